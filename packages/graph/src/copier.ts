import { appendNode } from './apply.js';
import type { Attribute } from './attribute.js';
import { convertTensor } from './convert.js';
import { DATA_TYPES, dataTypeFromCode, tensor as literal, type DataType, type TensorData } from './data-type.js';
import { dimEquals, dimSubstitute, dimSymbols, dimText, isStatic, type Dim } from './dimension.js';
import { UpdraftError } from './errors.js';
import type { Graph } from './graph.js';
import { insideGraph } from './graph.js';
import type { Node } from './node.js';
import { bodyInputTypes } from './operators/control-flow.js';
import { identity } from './operators/creation.js';
import { capturesOf, reachableNodes } from './reachability.js';
import { substituteShape, type Shape } from './shape.js';
import { Tensor } from './tensor.js';

export type TypeMap = ReadonlyMap<DataType, DataType>;

/** Integer attributes that hold the number of an element type. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set(['to', 'dtype', 'output_dtype', 'output_datatype']);

/** Constants brought from other graphs, so that instantiating one graph again does not store its weights again. */
const imported = new WeakMap<Graph, Map<Tensor, Tensor>>();

/** What a rewriting rule may do besides building nodes. */
export interface CopyHooks {
  /** Outputs that replace a node whose inputs are already copied, or undefined to copy the node. */
  replace(
    node: Node,
    inputs: readonly (Tensor | undefined)[],
    graph: Graph,
    copier: Copier,
  ): readonly (Tensor | undefined)[] | undefined;
  /** An existing value in the place of a constant, or undefined to copy the constant. */
  constant?(data: TensorData, graph: Graph): Tensor | undefined;
  /** A node or constant that was copied as it is. */
  copied?(node: Node): void;
  copiedConstant?(value: Tensor, data: TensorData): void;
}

export interface CopierOptions {
  /** Values and nodes keep their exact names, which are free in the target. */
  readonly keepNames: boolean;
  readonly dataTypes?: TypeMap | undefined;
  readonly hooks?: CopyHooks | undefined;
}

/** Copies values and nodes into a target graph, re-running inference. */
export class Copier {
  #freshNames = false;
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

  get #keepNames(): boolean {
    return this.options.keepNames && !this.#freshNames;
  }

  /** Give generated names to what `copy` copies: nodes that move into another graph may meet their names there. */
  withFreshNames<T>(copy: () => T): T {
    const before = this.#freshNames;
    this.#freshNames = true;
    try {
      return copy();
    } finally {
      this.#freshNames = before;
    }
  }

  dataType(type: DataType): DataType {
    return this.options.dataTypes?.get(type) ?? type;
  }

  constant(graph: Graph, value: Tensor, data: TensorData): Tensor {
    const converted = convertTensor(data, this.dataType(data.dataType));
    const existing = this.options.hooks?.constant?.(converted, graph);
    if (existing !== undefined) {
      this.link(value, existing);
      return existing;
    }
    const made = graph.constant(converted, converted.dataType, value.name);
    if (this.#keepNames) made.name = value.name;
    this.options.hooks?.copiedConstant?.(made, converted);
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
    if (known2 === undefined) imported.set(root, (known2 = new Map<Tensor, Tensor>()));
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
    const replaced = this.options.hooks?.replace(node, inputs, graph, this);
    if (replaced !== undefined) {
      node.outputs.forEach((output, index) => {
        const made = replaced[index];
        if (output !== undefined && made !== undefined) this.link(output, made);
      });
      return;
    }
    const attributes = new Map<string, Attribute>();
    for (const [name, attribute] of node.attributes) {
      const [newName, made] = this.attribute(node, inputs, name, attribute, graph);
      attributes.set(newName, made);
    }
    this.#implicitTypes(node, attributes);
    const keepNames = this.#keepNames;
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
    this.options.hooks?.copied?.(copy);
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
    if (attribute.kind === 'graph')
      return [name, { kind: 'graph', value: this.body(node, inputs, attribute.value, graph) }];
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
        if (this.#keepNames) made.name = input.name;
        this.link(input, made);
      });
      const nodes = reachableNodes(source.outputs).filter((inner) => inner.graph === source);
      const used = new Set<Tensor | undefined>(source.outputs);
      for (const inner of nodes) for (const input of [...inner.inputs, ...capturesOf(inner)]) used.add(input);
      for (const [value, data] of source.constants) if (used.has(value)) this.constant(body, value, data);
      for (const inner of nodes) this.node(inner, body);
      for (const output of source.outputs) this.output(body, output, this.value(output));
      return body;
    });
  }

  /**
   * Declare `made` as what `output` was. Rules may have merged it with an input, a constant or another output: runtimes
   * want outputs that are computed in the graph, each once, so such values get a copy of their own.
   */
  output(graph: Graph, output: Tensor, made: Tensor): void {
    const own = made.graph === graph && made.producer !== undefined && !graph.outputs.includes(made);
    const same = this.options.hooks === undefined;
    const value = own || same ? made : insideGraph(graph, () => identity(made));
    if (this.#keepNames && value.producer !== undefined && value.graph === graph && !graph.outputs.includes(value))
      value.name = output.name;
    graph.output(value);
  }
}

/** Keep generated names away from names that are still to come. */
function reserveNames(target: Graph, source: Graph): void {
  for (const value of [...source.inputs, ...source.constants.keys()]) target.uniqueName(value.name);
  for (const node of source.nodes) {
    target.uniqueName(node.name);
    for (const output of node.outputs) if (output !== undefined) target.uniqueName(output.name);
    for (const [, body] of node.subgraphs()) reserveNames(target, body);
  }
}

/** Copy all that the outputs of `source` need into the empty graph `target`; returns what became of its values. */
export function copyInto(
  target: Graph,
  source: Graph,
  options: {
    readonly dims?: ReadonlyMap<string, Dim> | undefined;
    readonly dataTypes?: TypeMap | undefined;
    readonly hooks?: CopyHooks | undefined;
  } = {},
): ReadonlyMap<Tensor, Tensor> {
  const dims = options.dims ?? new Map<string, Dim>();
  target.documentation = source.documentation;
  for (const [key, value] of source.metadata) target.metadata.set(key, value);
  reserveNames(target, source);
  const map = new Map<Tensor, Tensor>();
  for (const input of source.inputs) {
    const shape = substituteShape(input.shape, dims);
    const made = new Tensor(target, input.name, options.dataTypes?.get(input.dataType) ?? input.dataType, shape);
    target.inputs.push(made);
    for (const dim of shape) for (const name of dimSymbols(dim)) target.uniqueName(name);
    map.set(input, made);
  }
  const copier = new Copier(target, map, { keepNames: true, dataTypes: options.dataTypes, hooks: options.hooks }, dims);
  for (const node of reachableNodes(source.outputs, map)) copier.node(node, target);
  for (const output of source.outputs) copier.output(target, output, copier.value(output));
  return copier.map;
}
