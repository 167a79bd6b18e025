import { appendNode } from './apply.js';
import type { Attribute } from './attribute.js';
import { convertTensor } from './convert.js';
import { DATA_TYPES, dataTypeFromCode, tensor as literal, type DataType, type TensorData } from './data-type.js';
import { dimEquals, dimSubstitute, dimSymbols, dimText, isStatic, type Dim } from './dimension.js';
import { UpdraftError } from './errors.js';
import { Graph, insideGraph } from './graph.js';
import type { Node } from './node.js';
import { bodyInputTypes } from './operators/control-flow.js';
import { dependenciesOf, reachableNodes } from './reachability.js';
import { shapeText, substituteShape, type Shape } from './shape.js';
import { Tensor } from './tensor.js';

type TypeMap = ReadonlyMap<DataType, DataType>;

/** Integer attributes that hold the number of an element type. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set(['to', 'dtype', 'output_dtype', 'output_datatype']);

/** Constants brought from other graphs, so that instantiating one graph again does not store its weights again. */
const imported = new WeakMap<Graph, Map<Tensor, Tensor>>();

interface CopierOptions {
  readonly keepNames: boolean;
  readonly dataTypes?: TypeMap | undefined;
}

/** Copies values and nodes into a target graph, re-running inference. */
class Copier {
  /** What the symbols of the source stand for in the target, where that differs. */
  readonly #symbols: Map<string, Dim>;

  constructor(
    readonly target: Graph,
    readonly map: Map<Tensor, Tensor>,
    readonly options: CopierOptions,
    symbols: ReadonlyMap<string, Dim> = new Map<string, Dim>(),
  ) {
    this.#symbols = new Map(symbols);
    for (const [from, to] of map) this.link(from, to);
  }

  link(from: Tensor, to: Tensor): void {
    this.map.set(from, to);
    if (from.rank !== to.rank) return;
    from.shape.forEach((dim, axis) => {
      const replacement = to.shape[axis] as Dim;
      const [name, ...others] = isStatic(dim) || dimEquals(dim, replacement) ? [] : [...dimSymbols(dim)];
      if (name !== undefined && others.length === 0 && name === dimText(dim)) this.#symbols.set(name, replacement);
    });
  }

  dataType(type: DataType): DataType {
    return this.options.dataTypes?.get(type) ?? type;
  }

  constant(graph: Graph, value: Tensor, data: TensorData): Tensor {
    const converted = convertTensor(data, this.dataType(data.dataType));
    const made = graph.constant(converted, converted.dataType, value.name);
    if (this.options.keepNames) made.name = value.name;
    this.link(value, made);
    return made;
  }

  value(value: Tensor): Tensor {
    const known = this.map.get(value);
    if (known !== undefined) return known;
    if (this.target.sees(value.graph)) return value;
    const data = value.constant;
    if (data === undefined)
      throw new UpdraftError(
        'graph',
        `"${value.name}" of the graph "${value.graph.name}" is neither bound nor computed in "${this.target.name}".`,
        { hint: 'Bind every input that the copied outputs depend on.' },
      );
    const { root } = this.target;
    if (this.options.dataTypes !== undefined || this.options.keepNames) return this.constant(root, value, data);
    let known2 = imported.get(root);
    if (known2 === undefined) imported.set(root, (known2 = new Map()));
    const before = known2.get(value);
    if (before !== undefined && root.constants.get(before) === data) {
      this.link(value, before);
      return before;
    }
    const made = this.constant(root, value, data);
    known2.set(value, made);
    return made;
  }

  node(node: Node, graph: Graph): void {
    const inputs = node.inputs.map((input) => (input === undefined ? undefined : this.value(input)));
    const attributes = new Map<string, Attribute>();
    for (const [name, attribute] of node.attributes) {
      const [newName, made] = this.attribute(node, inputs, name, attribute, graph);
      attributes.set(newName, made);
    }
    this.#implicitTypes(node, attributes);
    const { keepNames } = this.options;
    const copy = appendNode(graph, node.schema, inputs, attributes, {
      ...(keepNames ? { name: node.name } : {}),
      // Positions of omitted outputs matter; names are final below.
      outputNames: node.outputs.map((output) =>
        output === undefined ? '' : keepNames ? output.name : graph.uniqueName(output.name.replace(/(_\d+)+$/, '')),
      ),
    });
    copy.source = node.source;
    copy.documentation = node.documentation;
    copy.metadata = node.metadata;
    node.outputs.forEach((output, index) => {
      const made = copy.outputs[index];
      if (output !== undefined && made !== undefined) this.link(output, made);
    });
  }

  /** Operators that make float32 unless an attribute says otherwise have to say so once that changes. */
  #implicitTypes(node: Node, attributes: Map<string, Attribute>): void {
    const float = this.dataType('float32');
    if (float === 'float32') return;
    if (node.key === 'ConstantOfShape' && !attributes.has('value'))
      attributes.set('value', { kind: 'tensor', value: convertTensor(literal([0]), float) });
    if ((node.key === 'RandomNormal' || node.key === 'RandomUniform') && !attributes.has('dtype'))
      attributes.set('dtype', { kind: 'int', value: DATA_TYPES[float].code });
  }

  attribute(
    node: Node,
    inputs: readonly (Tensor | undefined)[],
    name: string,
    attribute: Attribute,
    graph: Graph,
  ): [string, Attribute] {
    if (attribute.kind === 'graph') return [name, { kind: 'graph', value: this.body(node, inputs, attribute.value, graph) }];
    if (this.options.dataTypes === undefined) return [name, attribute];
    if (attribute.kind === 'tensor')
      return [name, { kind: 'tensor', value: convertTensor(attribute.value, this.dataType(attribute.value.dataType)) }];
    if (attribute.kind === 'int' && TYPE_ATTRIBUTES.has(name)) {
      const type = dataTypeFromCode(Number(attribute.value));
      if (type !== undefined) return [name, { kind: 'int', value: DATA_TYPES[this.dataType(type)].code }];
    }
    if (node.key === 'Constant' && this.dataType('float32') !== 'float32') {
      const value = (values: number | readonly number[]): [string, Attribute] => [
        'value',
        { kind: 'tensor', value: convertTensor(literal(values), this.dataType('float32')) },
      ];
      if (attribute.kind === 'float') return value(attribute.value);
      if (attribute.kind === 'floats') return value(attribute.value);
    }
    return [name, attribute];
  }

  body(node: Node, inputs: readonly (Tensor | undefined)[], source: Graph, parent: Graph): Graph {
    const body = parent.body(source.name);
    body.documentation = source.documentation;
    for (const [key, value] of source.metadata) body.metadata.set(key, value);
    // A body input whose size is the size of an operand follows that operand.
    const before = bodyInputTypes(node.type, node.inputs, node.attributes);
    const after = bodyInputTypes(node.type, inputs, node.attributes);
    const shapeOf = (input: Tensor, index: number): Shape => {
      const [old, now] = [before[index]?.shape, after[index]?.shape];
      const known = old?.length === input.rank && now?.length === input.rank;
      return input.shape.map((dim, axis) =>
        known && dimEquals(dim, old[axis] as Dim) ? (now[axis] as Dim) : dimSubstitute(dim, this.#symbols),
      );
    };
    return insideGraph(body, () => {
      source.inputs.forEach((input, index) => {
        const made = body.input(input.name, this.dataType(input.dataType), shapeOf(input, index));
        if (this.options.keepNames) made.name = input.name;
        this.link(input, made);
      });
      for (const [value, data] of source.constants) this.constant(body, value, data);
      for (const inner of source.nodes) this.node(inner, body);
      for (const output of source.outputs) body.output(this.value(output));
      return body;
    });
  }
}

/**
 * Apply again, in `target`, the nodes that `outputs` need, with the values in `bindings` replaced: the same function at
 * other inputs. Shapes are inferred anew, so symbolic dimensions re-bind. `target` may be the graph itself or a body
 * inside it: then only what depends on a bound value is built again. Constants of other graphs are copied once.
 * Throws {@link UpdraftError} when an input is not bound or a binding has another element type.
 */
export function instantiate(
  outputs: readonly Tensor[],
  bindings: ReadonlyMap<Tensor, Tensor>,
  target: Graph,
): Tensor[] {
  for (const [from, to] of bindings)
    if (from.dataType !== to.dataType)
      throw new UpdraftError('graph', `"${from.name}" is ${from.dataType} and cannot be bound to the ${to.dataType} "${to.name}".`, {
        hint: 'Convert with cast(), or copy the graph with other element types first.',
      });
  const copier = new Copier(target, new Map(bindings), { keepNames: false });
  const dependent = new Set<Tensor>(bindings.keys());
  for (const node of reachableNodes(outputs, bindings)) {
    const foreign = !target.sees(node.graph);
    if (!foreign && !dependenciesOf(node).some((input) => input !== undefined && dependent.has(input))) continue;
    for (const output of node.outputs) if (output !== undefined) dependent.add(output);
    copier.node(node, target);
  }
  return outputs.map((output) => copier.value(output));
}

/** A whole graph as a function: its outputs in `target`, with `inputs` in the place of its inputs (in order, or by name). */
export function inlineGraph(
  graph: Graph,
  inputs: readonly Tensor[] | ReadonlyMap<string, Tensor>,
  target: Graph,
): Tensor[] {
  const bindings = new Map<Tensor, Tensor>();
  const given = (input: Tensor, index: number): Tensor | undefined =>
    inputs instanceof Map ? inputs.get(input.name) : (inputs as readonly Tensor[])[index];
  graph.inputs.forEach((input, index) => {
    const value = given(input, index);
    if (value === undefined) {
      if (input.constant !== undefined) return;
      throw new UpdraftError('graph', `The input "${input.name}" of the graph "${graph.name}" is not given.`, {
        hint: `Its inputs are ${graph.inputs.map(({ name }) => `"${name}"`).join(', ')}.`,
      });
    }
    if (value.rank !== input.rank)
      throw new UpdraftError(
        'shape',
        `The input "${input.name}" of the graph "${graph.name}" is ${shapeText(input.shape)}; it is given ${shapeText(value.shape)}.`,
      );
    bindings.set(input, value);
  });
  return instantiate(graph.outputs, bindings, target);
}

export interface CopyOptions {
  /** Sizes for symbolic dimensions. */
  readonly dims?: ReadonlyMap<string, Dim>;
  /** Other element types: float32 to float64, say. Constants, `Cast` and the like follow. */
  readonly dataTypes?: TypeMap;
}

/**
 * A copy of a graph with the same names, with symbolic dimensions bound and element types replaced where given. Nodes
 * and constants that no output needs go. `map` leads from old values to new ones.
 */
export function copyGraph(source: Graph, options: CopyOptions = {}): { graph: Graph; map: ReadonlyMap<Tensor, Tensor> } {
  if (source.parent !== undefined)
    throw new UpdraftError('graph', `"${source.name}" is the body of a control-flow node and cannot be copied on its own.`);
  const dims = options.dims ?? new Map<string, Dim>();
  const target = new Graph(source.name);
  target.documentation = source.documentation;
  for (const [key, value] of source.metadata) target.metadata.set(key, value);
  const map = new Map<Tensor, Tensor>();
  for (const input of source.inputs) {
    const dataType = options.dataTypes?.get(input.dataType) ?? input.dataType;
    map.set(input, target.input(input.name, dataType, substituteShape(input.shape, dims)));
  }
  const copier = new Copier(target, map, { keepNames: true, dataTypes: options.dataTypes }, dims);
  for (const node of reachableNodes(source.outputs, map)) copier.node(node, target);
  for (const output of source.outputs) target.output(copier.value(output));
  return { graph: target, map: copier.map };
}
