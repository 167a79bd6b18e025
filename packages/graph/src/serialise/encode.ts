import { clone, create } from '@bufbuild/protobuf';
import { sha1 } from '@noble/hashes/legacy.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Attribute } from '../attribute.js';
import { DATA_TYPES, type TensorData } from '../data-type.js';
import { dimText } from '../dimension.js';
import { UpdraftError } from '../errors.js';
import { Graph } from '../graph.js';
import { isFunctionSchema, modelOf, type Model } from '../model.js';
import type { Node } from '../node.js';
import type { Tensor } from '../tensor.js';
import { assembleModel } from './assemble.js';
import type { FileNotes, ValueNote } from './file-notes.js';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation as DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type StringStringEntryProto,
  type TensorProto,
  type ValueInfoProto,
} from './generated/onnx_pb.js';

/** Largest protobuf message that readers accept. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;
/** Node metadata key under which the label of the builder is kept. */
export const SOURCE_KEY = 'updraft.source';

export interface EncodeOptions {
  /** Tensors of at least this many bytes go to the external file; default: none do. */
  readonly externalThreshold?: number;
  /** Name of the external file, beside the model. */
  readonly externalName?: string;
  /** Write the SHA-1 of the external file beside every reference to it. Default: true. */
  readonly checksums?: boolean;
  /** Leave out shapes of intermediate values and builder labels (smaller, faster to load). Default: false. */
  readonly bare?: boolean;
}

/** A model as bytes, and the contents of its external files by name (the caller writes them beside the model). */
export interface EncodedModel {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly external: ReadonlyMap<string, readonly Uint8Array[]>;
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Bytes of a numeric tensor, little-endian, without a copy where the machine is. */
export function tensorBytes(value: TensorData): Uint8Array {
  if (value.dataType === 'string') throw new UpdraftError('data-type', 'A string tensor has no raw bytes.');
  const view = value.data as Exclude<typeof value.data, readonly string[]>;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const width = view.BYTES_PER_ELEMENT;
  if (littleEndian || width === 1) return bytes;
  const swapped = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += width)
    for (let byte = 0; byte < width; byte++) swapped[at + byte] = bytes[at + width - 1 - byte] as number;
  return swapped;
}

/** Alignment of tensors in external files: typed arrays can view them in place. */
const EXTERNAL_ALIGNMENT = 64;

type ListData = Pick<Partial<TensorProto>, 'floatData' | 'doubleData' | 'int32Data' | 'int64Data' | 'uint64Data'>;

/** Contents as a list of numbers, as old files store them. */
function listData(value: TensorData): ListData {
  const numbers = (): number[] => Array.from(value.data as Float32Array);
  switch (value.dataType) {
    case 'float32':
      return { floatData: numbers() };
    case 'float64':
      return { doubleData: numbers() };
    case 'int64':
      return { int64Data: Array.from(value.data as BigInt64Array) };
    case 'uint64':
      return { uint64Data: Array.from(value.data as BigUint64Array) };
    case 'uint32':
      return { uint64Data: numbers().map(BigInt) };
    default:
      return { int32Data: numbers() };
  }
}

class Encoder {
  readonly external: Uint8Array[] = [];
  readonly #externalTensors: TensorProto[] = [];
  externalBytes = 0;
  readonly notes: FileNotes | undefined;

  constructor(
    readonly options: EncodeOptions,
    notes: FileNotes | undefined,
  ) {
    this.notes = options.bare === true ? undefined : notes;
  }

  tensor(value: TensorData, name: string): TensorProto {
    const notes = this.notes?.tensors.get(value);
    const named = name !== '' || notes?.name !== undefined;
    const head = {
      dims: value.dims.map(BigInt),
      dataType: DATA_TYPES[value.dataType].code,
      ...(named ? { name: name === '' ? (notes?.name ?? '') : name } : {}),
      ...(notes?.documentation === undefined ? {} : { docString: notes.documentation }),
      metadataProps: [...(notes?.metadata ?? [])],
    };
    if (value.dataType === 'string')
      return create(TensorProtoSchema, {
        ...head,
        stringData: (value.data as readonly string[]).map((text) => new TextEncoder().encode(text)),
      });
    const bytes = tensorBytes(value);
    const { externalThreshold } = this.options;
    if (externalThreshold === undefined || bytes.length < externalThreshold || name === '') {
      if (notes?.storage === 'list') return create(TensorProtoSchema, { ...head, ...listData(value) });
      return create(TensorProtoSchema, { ...head, rawData: bytes as Uint8Array<ArrayBuffer> });
    }
    const padding = (EXTERNAL_ALIGNMENT - (this.externalBytes % EXTERNAL_ALIGNMENT)) % EXTERNAL_ALIGNMENT;
    if (padding > 0) this.external.push(new Uint8Array(padding));
    const offset = this.externalBytes + padding;
    this.external.push(bytes);
    this.externalBytes = offset + bytes.length;
    const proto = create(TensorProtoSchema, {
      ...head,
      dataLocation: DataLocation.EXTERNAL,
      externalData: entries([
        ['location', this.externalName],
        ['offset', String(offset)],
        ['length', String(bytes.length)],
      ]),
    });
    this.#externalTensors.push(proto);
    return proto;
  }

  get externalName(): string {
    return this.options.externalName ?? 'weights.bin';
  }

  /** Add the checksum of the external file, once it is complete. */
  finishExternal(): void {
    if (this.options.checksums === false || this.external.length === 0) return;
    const hash = sha1.create();
    for (const chunk of this.external) hash.update(chunk);
    const [checksum] = entries([['checksum', bytesToHex(hash.digest())]]);
    if (checksum !== undefined) for (const tensor of this.#externalTensors) tensor.externalData.push(checksum);
  }

  attribute(name: string, attribute: Attribute): AttributeProto {
    switch (attribute.kind) {
      case 'int':
        return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(attribute.value) });
      case 'float':
        return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: attribute.value });
      case 'string':
        return create(AttributeProtoSchema, {
          name,
          type: AttributeType.STRING,
          s: new TextEncoder().encode(attribute.value),
        });
      case 'tensor':
        return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: this.tensor(attribute.value, '') });
      case 'graph':
        return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: this.graph(attribute.value) });
      case 'ints':
        return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: attribute.value.map(BigInt) });
      case 'floats':
        return create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...attribute.value] });
      case 'strings':
        return create(AttributeProtoSchema, {
          name,
          type: AttributeType.STRINGS,
          strings: attribute.value.map((text) => new TextEncoder().encode(text)),
        });
    }
  }

  node(node: Node): NodeProto {
    const notes = this.notes?.nodes.get(node);
    const metadata = [...node.metadata];
    if (node.source !== '' && this.options.bare !== true) metadata.push([SOURCE_KEY, node.source]);
    const input = node.inputs.map((value) => value?.name ?? '');
    while (input.length < (notes?.inputCount ?? 0)) input.push('');
    const domain = node.domain === '' ? (notes?.domain ?? '') : node.domain;
    const wanted = (name: string, text: string): boolean => text !== '' || (notes?.present.has(name) ?? false);
    return create(NodeProtoSchema, {
      opType: node.type,
      ...(wanted('name', node.name) ? { name: node.name } : {}),
      ...(wanted('domain', domain) ? { domain } : {}),
      ...(wanted('docString', node.documentation) ? { docString: node.documentation } : {}),
      ...(isFunctionSchema(node.schema) && node.schema.modelFunction.overload !== ''
        ? { overload: node.schema.modelFunction.overload }
        : {}),
      input,
      output: node.outputs.map((output) => output?.name ?? ''),
      attribute: [...node.attributes].map(([name, attribute]) => {
        const proto = this.attribute(name, attribute);
        const text = notes?.attributeTexts.get(name);
        if (text !== undefined) proto.docString = text;
        return proto;
      }),
      metadataProps: entries(metadata),
    });
  }

  value(value: Tensor): ValueInfoProto {
    return create(ValueInfoProtoSchema, {
      name: value.name,
      type: create(TypeProtoSchema, {
        value: {
          case: 'tensorType',
          value: create(TypeProto_TensorSchema, {
            elemType: DATA_TYPES[value.dataType].code,
            shape: create(TensorShapeProtoSchema, {
              dim: value.shape.map((dim) =>
                create(TensorShapeProto_DimensionSchema, {
                  value:
                    typeof dim === 'number'
                      ? { case: 'dimValue', value: BigInt(dim) }
                      : { case: 'dimParam', value: dimText(dim) },
                }),
              ),
            }),
          }),
        },
      }),
    });
  }

  /** The declaration of a value: as its file had it, or from its type. */
  #declaration(note: ValueNote | undefined, value: Tensor): ValueInfoProto {
    if (note === undefined) return this.value(value);
    if (note.proto.name === value.name) return note.proto;
    const renamed = clone(ValueInfoProtoSchema, note.proto);
    renamed.name = value.name;
    return renamed;
  }

  graph(graph: Graph): GraphProto {
    const notes = this.notes?.graphs.get(graph);
    const notedInputs = (notes?.inputs ?? []).filter(
      ({ value }) => value !== undefined && (graph.constants.has(value) || graph.inputs.includes(value)),
    );
    const noted = new Set(notedInputs.map(({ value }) => value));
    const wanted = (name: string, text: string): boolean => text !== '' || (notes?.present.has(name) ?? false);
    return create(GraphProtoSchema, {
      ...(notes === undefined || wanted('name', graph.name) ? { name: graph.name } : {}),
      ...(wanted('docString', graph.documentation) ? { docString: graph.documentation } : {}),
      node: graph.nodes.map((node) => this.node(node)),
      initializer: [...graph.constants].map(([value, data]) => this.tensor(data, value.name)),
      input: [
        ...notedInputs.map((note) => this.#declaration(note, note.value as Tensor)),
        ...graph.inputs.filter((input) => !noted.has(input)).map((input) => this.value(input)),
      ],
      output: graph.outputs.map((output, index) => {
        const note = notes?.outputs[index];
        return this.#declaration(note?.value === output ? note : undefined, output);
      }),
      valueInfo: this.#valueInfo(graph),
      quantizationAnnotation: [...(notes?.quantization ?? [])],
      metadataProps: entries(graph.metadata),
    });
  }

  #valueInfo(graph: Graph): ValueInfoProto[] {
    if (this.options.bare === true) return [];
    const ends = new Set([...graph.inputs, ...graph.outputs]);
    const notes = this.notes?.graphs.get(graph);
    const alive = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
    const kept = (notes?.valueInfo ?? []).filter(
      ({ value }) => value === undefined || value.graph !== graph || value.producer === undefined || alive.has(value),
    );
    // Nodes of the file are declared as there; those that were added since in full.
    const added = graph.nodes
      .filter((node) => this.notes?.nodes.has(node) !== true)
      .flatMap(({ outputs }) =>
        outputs.filter((output): output is Tensor => output !== undefined && !ends.has(output)),
      );
    return [
      ...kept.map((note) => (note.value === undefined ? note.proto : this.#declaration(note, note.value))),
      ...added.map((value) => this.value(value)),
    ];
  }
}

const entries = (values: Iterable<readonly [string, string]>): StringStringEntryProto[] =>
  [...values].map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));

/** Fail early on calls of functions that the model does not carry. */
function checkFunctions(model: Model): void {
  const visit = (graph: Graph): void => {
    for (const node of graph.nodes) {
      if (isFunctionSchema(node.schema) && !model.functions.includes(node.schema.modelFunction))
        throw new UpdraftError(
          'graph',
          `"${node.name}" calls the function "${node.type}", which the model does not hold.`,
          {
            hint: 'Encode the whole model, or call inlineFunctions(model) first.',
          },
        );
      for (const [, body] of node.subgraphs()) visit(body);
    }
  };
  visit(model.graph);
}

/** Bytes of all constants of a graph and its bodies. */
function constantBytes(graph: Graph): number {
  let bytes = 0;
  for (const value of graph.constants.values())
    if (value.dataType !== 'string') bytes += (value.data as Uint8Array).byteLength;
  for (const node of graph.nodes) for (const [, body] of node.subgraphs()) bytes += constantBytes(body);
  return bytes;
}

/**
 * Write a model (or a graph, as a model) as ONNX, with large tensors in an external file on request. Contents of
 * constants are not copied more than once; the external file comes as chunks that view them.
 * Throws {@link UpdraftError} (`model-size`) when one file cannot hold the model.
 */
export function encodeModelFiles(source: Model | Graph, options: EncodeOptions = {}): EncodedModel {
  const model = source instanceof Graph ? modelOf(source) : source;
  checkFunctions(model);
  const encoder = new Encoder(options, model.notes);
  const size = constantBytes(model.graph);
  if (options.externalThreshold === undefined && size > MAX_MESSAGE_BYTES)
    throw new UpdraftError(
      'model-size',
      `The constants of the model take ${size} bytes; one ONNX file holds at most 2 GiB.`,
      {
        hint: 'Encode with externalThreshold, so that weights go to a file of their own.',
        details: { bytes: size, limit: MAX_MESSAGE_BYTES },
      },
    );
  const graph = encoder.graph(model.graph);
  encoder.finishExternal();
  const wanted = (name: string, text: string): boolean => text !== '' || (encoder.notes?.present.has(name) ?? false);
  const proto = create(ModelProtoSchema, {
    irVersion: BigInt(model.irVersion),
    ...(wanted('producerName', model.producerName) ? { producerName: model.producerName } : {}),
    ...(wanted('producerVersion', model.producerVersion) ? { producerVersion: model.producerVersion } : {}),
    ...(wanted('domain', model.domain) ? { domain: model.domain } : {}),
    ...(wanted('modelVersion', model.modelVersion === 0 ? '' : '1')
      ? { modelVersion: BigInt(model.modelVersion) }
      : {}),
    ...(wanted('docString', model.documentation) ? { docString: model.documentation } : {}),
    opsetImport: [...model.opsets].map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, {
        ...(domain === '' && encoder.notes?.unnamedDomain === true ? {} : { domain }),
        version: BigInt(version),
      }),
    ),
    metadataProps: entries(model.metadata),
    functions: model.functions.map((entry) => entry.proto),
    graph,
  });
  const external = new Map<string, readonly Uint8Array[]>();
  if (encoder.external.length > 0) external.set(encoder.externalName, encoder.external);
  return { bytes: assembleModel(proto), external };
}

/** Write a model (or a graph, as a model) as one ONNX file of at most 2 GiB. */
export const encodeModel = (
  source: Model | Graph,
  options: Pick<EncodeOptions, 'bare'> = {},
): Uint8Array<ArrayBuffer> => encodeModelFiles(source, options).bytes;
