import { distance } from 'fastest-levenshtein';
import { appendNode } from '../apply.js';
import type { Attribute } from '../attribute.js';
import { dimSubstitute, dimSymbols, isStatic, symbol, type Dim } from '../dimension.js';
import { UpdraftError } from '../errors.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { bodyInputTypes, settleLoopBody } from '../operators/control-flow.js';
import type { OperatorSchema, OperatorTable, TensorType } from '../schema.js';
import { SOURCE_KEY } from '../serialise/encode.js';
import type { FileNotes, ValueNote } from '../serialise/file-notes.js';
import {
  AttributeProto_AttributeType as AttributeType,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type StringStringEntryProto,
  type TensorProto,
  type TypeProto,
  type ValueInfoProto,
} from '../serialise/generated/onnx_pb.js';
import { shapeText, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import type { LoadBudgets } from './budgets.js';
import { parseDim } from './dim-text.js';
import type { ExternalDataReader } from './external-data.js';
import { ModelBudgetError, ModelFormatError } from './format-error.js';
import { checkIterations, checkNativeHazards } from './native-hazards.js';
import { sortNodes } from './order.js';
import type { OpsetCheck } from './opsets.js';
import { decodeText, readDataType, readDims, readTensor } from './read-tensor.js';

/** Values by name, with those of enclosing graphs. */
export class Scope {
  readonly values = new Map<string, Tensor>();
  /** Names that the graph defines somewhere, seen or not. */
  readonly declared = new Set<string>();
  constructor(readonly parent?: Scope) {}

  find(name: string): Tensor | undefined {
    return this.values.get(name) ?? this.parent?.find(name);
  }
  declares(name: string): boolean {
    return this.declared.has(name) || (this.parent?.declares(name) ?? false);
  }
  *names(): Iterable<string> {
    yield* this.declared;
    if (this.parent !== undefined) yield* this.parent.names();
  }
}

/** What reading any part of a model needs. */
export interface ReadContext {
  readonly budgets: LoadBudgets;
  readonly external: ExternalDataReader;
  readonly operators: OperatorTable;
  readonly notes: FileNotes;
  readonly opsets: OpsetCheck;
  /** Schema of a call of a function of the model, or undefined. */
  readonly functionSchema: (
    node: NodeProto,
    attributes: ReadonlyMap<string, Attribute>,
    where: string,
  ) => OperatorSchema | undefined;
  readonly isFunction: (node: NodeProto) => boolean;
  /** Values of `ref_attr_name` inside a function. */
  readonly functionAttributes?: ReadonlyMap<string, Attribute> | undefined;
  /** Whether symbolic dimensions are expressions as Updraft writes them, or just names. */
  readonly dimExpressions: boolean;
  /** Leave out what guards only against files that mean harm. */
  readonly trusted: boolean;
  /** Sizes for symbolic dimensions that the caller wants bound. */
  readonly dims: ReadonlyMap<string, Dim>;
  /** Shared between all parts: how often inference ran. */
  readonly work: { inferences: number };
}

const quote = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);

/** The known names nearest to a misspelt one. */
export function nearest(name: string, known: Iterable<string>): string[] {
  if (name.length > 100) return [];
  const ranked: [number, string][] = [];
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > 3) continue;
    const far = distance(name.toLowerCase(), candidate.toLowerCase());
    if (far <= 3) ranked.push([far, candidate]);
    if (ranked.length > 200) break;
  }
  return ranked
    .sort(([a], [b]) => a - b)
    .slice(0, 3)
    .map(([, candidate]) => candidate);
}

const present = (proto: object, names: readonly string[]): ReadonlySet<string> =>
  new Set(names.filter((name) => Object.hasOwn(proto, name)));

export function readEntries(entries: readonly StringStringEntryProto[], where: string): Map<string, string> {
  const map = new Map<string, string>();
  for (const { key, value } of entries) {
    if (map.has(key)) throw new ModelFormatError(where, `The key ${quote(key)} occurs twice.`);
    map.set(key, value);
  }
  return map;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  sequenceType: 'a sequence',
  mapType: 'a map',
  optionalType: 'an optional',
  sparseTensorType: 'a sparse tensor',
  opaqueType: 'an opaque value',
};

/** Declared type of a value: undefined parts are not given. Anonymous dimensions are undefined. */
export function readType(
  type: TypeProto | undefined,
  context: ReadContext,
  where: string,
): { dataType: TensorType['dataType'] | undefined; shape: readonly (Dim | undefined)[] | undefined } {
  if (type?.value.case === undefined) return { dataType: undefined, shape: undefined };
  if (type.value.case !== 'tensorType')
    throw new ModelFormatError(
      where,
      `It is ${TYPE_NAMES[type.value.case] ?? type.value.case}, which is not supported.`,
      { hint: 'Updraft carries tensors.' },
    );
  const { elemType, shape } = type.value.value;
  const dataType = elemType === 0 ? undefined : readDataType(elemType, where);
  if (shape === undefined) return { dataType, shape: undefined };
  if (shape.dim.length > context.budgets.rank)
    throw new ModelBudgetError(where, 'rank', context.budgets.rank, shape.dim.length);
  const sizes = readDims(
    shape.dim.flatMap(({ value }) => (value.case === 'dimValue' ? [value.value] : [])),
    context.budgets,
    where,
  );
  let next = 0;
  return {
    dataType,
    shape: shape.dim.map(({ value }) => {
      if (value.case === 'dimValue') return sizes[next++];
      if (value.case === 'dimParam' && value.value !== '') {
        if (value.value.length > context.budgets.dimensionText)
          throw new ModelBudgetError(where, 'dimensionText', context.budgets.dimensionText, value.value.length);
        return dimSubstitute(context.dimExpressions ? parseDim(value.value) : symbol(value.value), context.dims);
      }
      return undefined;
    }),
  };
}

/** Reads one graph of a file into one `Graph`. */
export class GraphReader {
  constructor(
    readonly context: ReadContext,
    readonly graph: Graph,
    readonly scope: Scope,
    readonly where: string,
  ) {}

  /** Enter a value under its exact name. */
  #define(value: Tensor, name: string): void {
    value.name = name;
    this.scope.values.set(name, value);
  }

  #declare(name: string, where: string): void {
    if (name === '') throw new ModelFormatError(where, 'It has no name.');
    if (this.scope.declared.has(name))
      throw new ModelFormatError(where, `The name ${quote(name)} is defined twice.`, { details: { name } });
    if (this.scope.parent?.declares(name) === true)
      throw new ModelFormatError(where, `The name ${quote(name)} is taken by a value of an enclosing graph.`, {
        hint: 'ONNX does not allow a body to shadow outer names.',
        details: { name },
      });
    this.scope.declared.add(name);
  }

  /** Fill the graph. `inputTypes` are what the enclosing node says of the inputs of a body. */
  read(proto: GraphProto, inputTypes: readonly (TensorType | undefined)[] = []): Graph {
    const { graph, context, where } = this;
    if (proto.sparseInitializer.length > 0)
      throw new ModelFormatError(`${where}.sparse_initializer[0]`, 'Sparse tensors are not supported.');
    graph.name = proto.name;
    graph.documentation = proto.docString;
    for (const [key, value] of readEntries(proto.metadataProps, `${where}.metadata_props`))
      graph.metadata.set(key, value);
    const initializers = new Map<string, [TensorProto, string]>();
    proto.initializer.forEach((tensor, index) => {
      const at = `${where}.initializer[${index}] ${quote(tensor.name)}`;
      this.#declare(tensor.name, at);
      initializers.set(tensor.name, [tensor, at]);
    });
    const inputs = proto.input.map((input, index) =>
      this.#input(input, initializers, inputTypes[index], `${where}.input[${index}] ${quote(input.name)}`),
    );
    for (const [name, [tensor, at]] of initializers) this.#initializer(name, tensor, at);
    this.#nodes(proto.node);
    const outputs = this.#outputs(proto);
    const valueInfo = proto.valueInfo.map((info, index) =>
      this.#declaration(info, `${where}.value_info[${index}] ${quote(info.name)}`),
    );
    context.notes.graphs.set(graph, {
      inputs: inputs.map((input) => ({ value: this.scope.values.get(input.name), proto: input })),
      outputs,
      valueInfo,
      quantization: proto.quantizationAnnotation,
      present: present(proto, ['name', 'docString']),
    });
    return graph;
  }

  #input(
    proto: ValueInfoProto,
    initializers: ReadonlyMap<string, [TensorProto, string]>,
    given: TensorType | undefined,
    where: string,
  ): ValueInfoProto {
    const initializer = initializers.get(proto.name);
    const { dataType, shape } = readType(proto.type, this.context, where);
    if (initializer !== undefined) {
      const [tensor] = initializer;
      if (dataType !== undefined && dataType !== readDataType(tensor.dataType, initializer[1]))
        throw new ModelFormatError(where, `It is declared as ${dataType}; its initializer is another type.`);
      if (
        shape !== undefined &&
        (shape.length !== tensor.dims.length ||
          shape.some((dim, axis) => dim !== undefined && isStatic(dim) && BigInt(dim) !== tensor.dims[axis]))
      )
        throw new ModelFormatError(
          where,
          `It is declared with another shape than its initializer [${tensor.dims.join(', ')}].`,
        );
      return proto;
    }
    this.#declare(proto.name, where);
    const type = dataType ?? given?.dataType;
    if (type === undefined) throw new ModelFormatError(where, 'It has no element type.');
    if (given !== undefined && type !== given.dataType)
      throw new ModelFormatError(where, `It is declared as ${type} and given ${given.dataType}.`);
    if (shape === undefined && given === undefined)
      throw new ModelFormatError(where, 'Its rank is not declared.', {
        hint: 'Declare its shape; dimensions may be symbolic.',
      });
    const dims: Shape =
      shape === undefined
        ? (given as TensorType).shape
        : shape.map(
            (dim, axis) =>
              dim ??
              (given?.shape.length === shape.length ? given.shape[axis] : undefined) ??
              dimSubstitute(symbol(this.graph.root.uniqueName(`${proto.name}_dim${axis}`)), this.context.dims),
          );
    // Not graph.input(): siblings may repeat names, which are exact here.
    const value = new Tensor(this.graph, proto.name, type, dims);
    this.graph.inputs.push(value);
    this.graph.uniqueName(proto.name);
    for (const dim of dims) for (const name of dimSymbols(dim)) this.graph.uniqueName(name);
    this.#define(value, proto.name);
    return proto;
  }

  #initializer(name: string, proto: TensorProto, where: string): void {
    const { value, storage } = readTensor(proto, this.context.budgets, this.context.external, where);
    const constant = this.graph.constant(value, value.dataType, name);
    this.#define(constant, name);
    this.context.notes.tensors.set(value, {
      name,
      storage,
      documentation: Object.hasOwn(proto, 'docString') ? proto.docString : undefined,
      metadata: proto.metadataProps,
    });
  }

  #nodes(protos: readonly NodeProto[]): void {
    const at = (index: number): string => {
      const proto = protos[index] as NodeProto;
      return `${this.where}.node[${index}] ${quote(proto.name === '' ? proto.opType : proto.name)}`;
    };
    const nodeNames = new Set<string>();
    protos.forEach((proto, index) => {
      if (proto.name !== '' && nodeNames.has(proto.name))
        throw new ModelFormatError(at(index), 'Another node of the graph has the same name.');
      nodeNames.add(proto.name);
      for (const name of proto.output) if (name !== '') this.#declare(name, at(index));
    });
    for (const index of sortNodes(protos, this.scope, at)) this.node(protos[index] as NodeProto, at(index));
  }

  /** Append one node; its inputs are defined. */
  node(proto: NodeProto, where: string): Node {
    const { context } = this;
    if (++context.work.inferences > context.budgets.inferences)
      throw new ModelBudgetError(where, 'inferences', context.budgets.inferences, context.work.inferences);
    if (proto.deviceConfigurations.length > 0)
      throw new ModelFormatError(where, 'Device configurations are not supported.');
    const inputs = proto.input.map((name) => (name === '' ? undefined : this.#use(name, where)));
    const schema = this.#schema(proto, where);
    const texts = new Map<string, string>();
    const attributes = new Map<string, Attribute>();
    for (const attribute of proto.attribute) {
      const attributeWhere = `${where}.attribute ${quote(attribute.name)}`;
      if (attributes.has(attribute.name)) throw new ModelFormatError(attributeWhere, 'It occurs twice.');
      const value = this.#attribute(attribute, proto, inputs, attributeWhere);
      if (value === undefined) continue;
      attributes.set(attribute.name, value);
      if (Object.hasOwn(attribute, 'docString')) texts.set(attribute.name, attribute.docString);
    }
    const resolved = schema ?? context.functionSchema(proto, attributes, where);
    if (resolved === undefined) throw this.#unknown(proto, where);
    const refusal = schema === undefined ? undefined : context.opsets.attributeHint(schema, attributes);
    if (refusal !== undefined) throw new ModelFormatError(where, refusal.message, { hint: refusal.hint });
    const node = this.#append(resolved, inputs, attributes, proto, where);
    node.source = '';
    const metadata = readEntries(proto.metadataProps, `${where}.metadata_props`);
    const source = metadata.get(SOURCE_KEY);
    if (source !== undefined) {
      node.source = source;
      metadata.delete(SOURCE_KEY);
    }
    node.metadata = metadata;
    node.documentation = proto.docString;
    checkIterations(node, context.budgets, where);
    if (!context.trusted) checkNativeHazards(node, where);
    node.outputs.forEach((output, index) => {
      if (output === undefined) return;
      this.#checkSize(output, where);
      this.#define(output, proto.output[index] as string);
    });
    context.notes.nodes.set(node, {
      domain: proto.domain,
      inputCount: proto.input.length,
      attributeTexts: texts,
      present: present(proto, ['name', 'domain', 'docString']),
    });
    return node;
  }

  #append(
    schema: OperatorSchema,
    inputs: readonly (Tensor | undefined)[],
    attributes: ReadonlyMap<string, Attribute>,
    proto: NodeProto,
    where: string,
  ): Node {
    try {
      return appendNode(this.graph, schema, inputs, attributes, { name: proto.name, outputNames: proto.output });
    } catch (error) {
      if (error instanceof ModelFormatError || !(error instanceof UpdraftError)) throw error;
      throw new ModelFormatError(where, error.message, {
        cause: error,
        details: { ...error.details, code: error.code },
      });
    }
  }

  #use(name: string, where: string): Tensor {
    const value = this.scope.find(name);
    if (value !== undefined) return value;
    const near = nearest(name, this.scope.names());
    throw new ModelFormatError(where, `Its input ${quote(name)} is neither an input nor computed by a node.`, {
      hint: near.length === 0 ? undefined : `Did you mean ${near.map(quote).join(' or ')}?`,
      details: { name },
    });
  }

  #schema(proto: NodeProto, where: string): OperatorSchema | undefined {
    const { context } = this;
    if (proto.opType === '') throw new ModelFormatError(where, 'It names no operator.');
    if (context.isFunction(proto)) return undefined;
    const domain = proto.domain === 'ai.onnx' ? '' : proto.domain;
    const schema = context.operators.find(domain, proto.opType);
    if (schema === undefined) throw this.#unknown(proto, where);
    context.opsets.check(schema, proto, where);
    return schema;
  }

  #unknown(proto: NodeProto, where: string): ModelFormatError {
    const prefix = proto.domain === '' || proto.domain === 'ai.onnx' ? '' : `${proto.domain}.`;
    const near = nearest(prefix + proto.opType, this.context.operators.names());
    return new ModelFormatError(where, `Updraft does not know the operator ${quote(prefix + proto.opType)}.`, {
      hint:
        near.length === 0
          ? 'Add its schema to the operator table: { operators: standardOperators().add(schema) }.'
          : `The nearest that it knows: ${near.join(', ')}.`,
      details: { operator: prefix + proto.opType },
    });
  }

  #checkSize(value: Tensor, where: string): void {
    const { budgets } = this.context;
    if (value.rank > budgets.rank) throw new ModelBudgetError(where, 'rank', budgets.rank, value.rank);
    let elements = 1;
    for (const dim of value.shape) {
      if (!isStatic(dim)) {
        checkText(dim, budgets, where);
        continue;
      }
      if (!Number.isSafeInteger(dim) || dim < 0)
        throw new ModelFormatError(where, `The shape of "${value.name}", ${shapeText(value.shape)}, has no meaning.`);
      if (dim > budgets.dimension) throw new ModelBudgetError(where, 'dimension', budgets.dimension, dim);
      elements *= dim;
    }
    if (elements > budgets.elements) throw new ModelBudgetError(where, 'elements', budgets.elements, elements);
    for (const element of value.elements ?? []) if (!isStatic(element)) checkText(element, budgets, where);
  }

  #attribute(
    proto: AttributeProto,
    node: NodeProto,
    inputs: readonly (Tensor | undefined)[],
    where: string,
  ): Attribute | undefined {
    if (proto.name === '') throw new ModelFormatError(where, 'An attribute has no name.');
    if (proto.refAttrName !== '') {
      const { functionAttributes } = this.context;
      if (functionAttributes === undefined)
        throw new ModelFormatError(where, 'It refers to an attribute of a function outside of one.');
      return functionAttributes.get(proto.refAttrName);
    }
    if (proto.type === AttributeType.GRAPH) {
      if (proto.g === undefined) throw new ModelFormatError(where, 'It holds no graph.');
      return { kind: 'graph', value: this.#body(proto.g, node, inputs, where) };
    }
    return readAttribute(proto, this.context, where);
  }

  #body(proto: GraphProto, node: NodeProto, inputs: readonly (Tensor | undefined)[], where: string): Graph {
    const build = (types: readonly (TensorType | undefined)[]): Graph =>
      new GraphReader(this.context, this.graph.body(proto.name), new Scope(this.scope), where).read(proto, types);
    const standard = node.domain === '' || node.domain === 'ai.onnx';
    if (!standard) return build([]);
    const attributes = new Map<string, Attribute>();
    for (const attribute of node.attribute)
      if (attribute.type === AttributeType.INT || attribute.type === AttributeType.INTS)
        attributes.set(attribute.name, readAttribute(attribute, this.context, where));
    const types = bodyInputTypes(node.opType, inputs, attributes);
    if (node.opType !== 'Loop') return build(types);
    return settleLoopBody(this.graph, types.slice(2), (states) => build([...types.slice(0, 2), ...states]));
  }

  #outputs(proto: GraphProto): ValueNote[] {
    const seen = new Set<string>();
    return proto.output.map((output, index) => {
      const where = `${this.where}.output[${index}] ${quote(output.name)}`;
      if (seen.has(output.name)) throw new ModelFormatError(where, 'It is an output twice.');
      seen.add(output.name);
      const value = this.scope.find(output.name);
      if (value === undefined) {
        const near = nearest(output.name, this.scope.names());
        throw new ModelFormatError(where, 'No node computes it.', {
          hint: near.length === 0 ? undefined : `Did you mean ${near.map(quote).join(' or ')}?`,
        });
      }
      this.graph.output(value);
      return this.#declaration(output, where);
    });
  }

  /** What a file declares about a value must not contradict what inference found. */
  #declaration(proto: ValueInfoProto, where: string): ValueNote {
    const { dataType, shape } = readType(proto.type, this.context, where);
    const value = this.scope.find(proto.name);
    if (value === undefined) return { value, proto };
    if (dataType !== undefined && dataType !== value.dataType)
      throw new ModelFormatError(where, `It is declared as ${dataType}; the graph computes ${value.dataType}.`);
    const contradicts =
      shape !== undefined &&
      (shape.length !== value.rank ||
        shape.some((dim, axis) => {
          const found = value.shape[axis] as Dim;
          return dim !== undefined && isStatic(dim) && isStatic(found) && dim !== found;
        }));
    if (contradicts)
      throw new ModelFormatError(
        where,
        `It is declared as ${shapeText(shape.map((dim) => dim ?? symbol('?')))}; the graph computes ${shapeText(value.shape)}.`,
      );
    return { value, proto };
  }
}

function checkText(dim: Exclude<Dim, number>, budgets: LoadBudgets, where: string): void {
  if (dim.text.length > budgets.dimensionText)
    throw new ModelBudgetError(where, 'dimensionText', budgets.dimensionText, dim.text.length);
}

const integer = (value: bigint): number | bigint =>
  value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value;

const CONTENT: Readonly<Partial<Record<AttributeType, keyof AttributeProto>>> = {
  [AttributeType.FLOAT]: 'f',
  [AttributeType.INT]: 'i',
  [AttributeType.STRING]: 's',
  [AttributeType.TENSOR]: 't',
  [AttributeType.GRAPH]: 'g',
  [AttributeType.FLOATS]: 'floats',
  [AttributeType.INTS]: 'ints',
  [AttributeType.STRINGS]: 'strings',
};

/** An attribute without a body. Refuses kinds that Updraft does not carry, by name. */
export function readAttribute(proto: AttributeProto, context: ReadContext, where: string): Attribute {
  const content = CONTENT[proto.type];
  for (const name of new Set(Object.values(CONTENT))) {
    const value: unknown = proto[name];
    const held = Array.isArray(value) ? value.length > 0 : Object.hasOwn(proto, name);
    if (held && name !== content)
      throw new ModelFormatError(where, `It is of kind ${AttributeType[proto.type]} but holds "${name}".`);
  }
  switch (proto.type) {
    case AttributeType.FLOAT:
      return { kind: 'float', value: proto.f };
    case AttributeType.INT:
      return { kind: 'int', value: integer(proto.i) };
    case AttributeType.STRING:
      return { kind: 'string', value: decodeText(proto.s, where) };
    case AttributeType.FLOATS:
      return { kind: 'floats', value: proto.floats };
    case AttributeType.INTS:
      return { kind: 'ints', value: proto.ints.map(integer) };
    case AttributeType.STRINGS:
      return { kind: 'strings', value: proto.strings.map((bytes) => decodeText(bytes, where)) };
    case AttributeType.TENSOR: {
      if (proto.t === undefined) throw new ModelFormatError(where, 'It holds no tensor.');
      const { value, storage } = readTensor(proto.t, context.budgets, context.external, where);
      context.notes.tensors.set(value, {
        name: Object.hasOwn(proto.t, 'name') ? proto.t.name : undefined,
        storage,
        documentation: Object.hasOwn(proto.t, 'docString') ? proto.t.docString : undefined,
        metadata: proto.t.metadataProps,
      });
      return { kind: 'tensor', value };
    }
    case AttributeType.UNDEFINED:
      throw new ModelFormatError(where, 'Its kind is not given.', {
        hint: 'Files older than ONNX 1.0 leave it out; convert the file.',
      });
    default: {
      const name: string | undefined = AttributeType[proto.type];
      throw new ModelFormatError(where, `Attributes of kind ${name ?? String(proto.type)} are not supported.`);
    }
  }
}
