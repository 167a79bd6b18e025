import { create, toBinary } from '@bufbuild/protobuf';
import type { Attribute } from '../attribute.js';
import { DATA_TYPES, type TensorData } from '../data-type.js';
import { dimText } from '../dimension.js';
import { UpdraftError } from '../errors.js';
import { Graph } from '../graph.js';
import { modelOf, type Model } from '../model.js';
import type { Node } from '../node.js';
import type { Tensor } from '../tensor.js';
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

class Encoder {
  readonly external: Uint8Array[] = [];
  externalBytes = 0;
  constructor(readonly options: EncodeOptions) {}

  tensor(value: TensorData, name: string): TensorProto {
    const head = { name, dims: value.dims.map(BigInt), dataType: DATA_TYPES[value.dataType].code };
    if (value.dataType === 'string')
      return create(TensorProtoSchema, {
        ...head,
        stringData: (value.data as readonly string[]).map((text) => new TextEncoder().encode(text)),
      });
    const bytes = tensorBytes(value);
    const { externalThreshold, externalName = 'weights.bin' } = this.options;
    if (externalThreshold === undefined || bytes.length < externalThreshold || name === '')
      return create(TensorProtoSchema, { ...head, rawData: bytes as Uint8Array<ArrayBuffer> });
    const padding = (8 - (this.externalBytes % 8)) % 8;
    if (padding > 0) this.external.push(new Uint8Array(padding));
    const offset = this.externalBytes + padding;
    this.external.push(bytes);
    this.externalBytes = offset + bytes.length;
    return create(TensorProtoSchema, {
      ...head,
      dataLocation: DataLocation.EXTERNAL,
      externalData: entries([
        ['location', externalName],
        ['offset', String(offset)],
        ['length', String(bytes.length)],
      ]),
    });
  }

  attribute(name: string, attribute: Attribute): AttributeProto {
    switch (attribute.kind) {
      case 'int':
        return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(attribute.value) });
      case 'float':
        return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: attribute.value });
      case 'string':
        return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(attribute.value) });
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
    const metadata = [...node.metadata];
    if (node.source !== '' && this.options.bare !== true) metadata.push([SOURCE_KEY, node.source]);
    return create(NodeProtoSchema, {
      opType: node.type,
      name: node.name,
      ...(node.domain === '' ? {} : { domain: node.domain }),
      ...(node.documentation === '' ? {} : { docString: node.documentation }),
      input: node.inputs.map((input) => input?.name ?? ''),
      output: node.outputs.map((output) => output?.name ?? ''),
      attribute: [...node.attributes].map(([name, attribute]) => this.attribute(name, attribute)),
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

  graph(graph: Graph): GraphProto {
    const ends = new Set([...graph.inputs, ...graph.outputs]);
    const between =
      this.options.bare === true
        ? []
        : graph.nodes.flatMap((node) => node.outputs.filter((output): output is Tensor => output !== undefined && !ends.has(output)));
    return create(GraphProtoSchema, {
      name: graph.name,
      ...(graph.documentation === '' ? {} : { docString: graph.documentation }),
      node: graph.nodes.map((node) => this.node(node)),
      initializer: [...graph.constants].map(([value, data]) => this.tensor(data, value.name)),
      input: graph.inputs.map((input) => this.value(input)),
      output: graph.outputs.map((output) => this.value(output)),
      valueInfo: between.map((value) => this.value(value)),
      metadataProps: entries(graph.metadata),
    });
  }
}

const entries = (values: Iterable<readonly [string, string]>): StringStringEntryProto[] =>
  [...values].map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));

/** Write a model (or a graph, as a model) as ONNX, with large tensors in an external file on request. */
export function encodeModelFiles(source: Model | Graph, options: EncodeOptions = {}): EncodedModel {
  const model = source instanceof Graph ? modelOf(source) : source;
  const encoder = new Encoder(options);
  const size = [...model.graph.constants.values()].reduce(
    (sum, value) => sum + (value.dataType === 'string' ? 0 : (value.data as Uint8Array).byteLength),
    0,
  );
  if (options.externalThreshold === undefined && size > MAX_MESSAGE_BYTES)
    throw new UpdraftError('model-size', `The constants of the model take ${size} bytes; one ONNX file holds at most 2 GiB.`, {
      hint: 'Encode with externalThreshold, so that weights go to a file of their own.',
      details: { bytes: size, limit: MAX_MESSAGE_BYTES },
    });
  const proto = create(ModelProtoSchema, {
    irVersion: BigInt(model.irVersion),
    producerName: model.producerName,
    ...(model.producerVersion === '' ? {} : { producerVersion: model.producerVersion }),
    ...(model.domain === '' ? {} : { domain: model.domain }),
    ...(model.modelVersion === 0 ? {} : { modelVersion: BigInt(model.modelVersion) }),
    ...(model.documentation === '' ? {} : { docString: model.documentation }),
    opsetImport: [...model.opsets].map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
    ),
    metadataProps: entries(model.metadata),
    graph: encoder.graph(model.graph),
  });
  const external = new Map<string, readonly Uint8Array[]>();
  if (encoder.external.length > 0) external.set(options.externalName ?? 'weights.bin', encoder.external);
  return { bytes: toBinary(ModelProtoSchema, proto), external };
}

/** Write a model (or a graph, as a model) as one ONNX file of at most 2 GiB. */
export const encodeModel = (source: Model | Graph, options: Pick<EncodeOptions, 'bare'> = {}): Uint8Array<ArrayBuffer> =>
  encodeModelFiles(source, options).bytes;
