import { dimEquals, symbol, type Dim } from './dimension.js';
import { elementCount, readElement, tensor as literal, type DataType, type TensorData } from './data-type.js';
import { UpdraftError } from './errors.js';
import type { Node } from './node.js';
import { isStaticShape, shapeText, type DimAssumption } from './shape.js';
import { Tensor } from './tensor.js';

/** Most elements of an integer constant whose contents take part in shape inference. */
const MAX_KNOWN_ELEMENTS = 64;

/**
 * A list of nodes in topological order with inputs, outputs and constants: an ONNX graph under construction.
 * Nodes are appended by the operator functions (`matMul(x, w)`, `x.add(1)`), which find the graph from their operands.
 */
export class Graph {
  readonly inputs: Tensor[] = [];
  readonly outputs: Tensor[] = [];
  readonly nodes: Node[] = [];
  /** Constants of the graph (ONNX initializers), in order. */
  readonly constants = new Map<Tensor, TensorData>();
  /** Pairs of symbolic dimensions that broadcasting took to be equal; checked against real shapes before a run. */
  readonly assumptions: DimAssumption[] = [];
  documentation = '';
  /** Graph metadata (ONNX `metadata_props`). */
  readonly metadata = new Map<string, string>();
  readonly #names: Map<string, number>;
  readonly #scalars = new Map<string, Tensor>();

  constructor(
    public name = 'main',
    /** Enclosing graph of a control-flow body, whose values the body may use. */
    readonly parent: Graph | undefined = undefined,
  ) {
    // ONNX forbids a body to shadow names of its enclosing graphs: they share one table.
    this.#names = parent === undefined ? new Map<string, number>() : parent.#names;
  }

  get depth(): number {
    return this.parent === undefined ? 0 : this.parent.depth + 1;
  }
  get root(): Graph {
    return this.parent?.root ?? this;
  }
  /** Whether values of `other` are visible here. */
  sees(other: Graph): boolean {
    return other === this || (this.parent?.sees(other) ?? false);
  }

  /** Reserve a name; a taken one gets a numeric suffix. */
  uniqueName(wanted: string): string {
    const count = this.#names.get(wanted);
    if (count === undefined) {
      this.#names.set(wanted, 1);
      return wanted;
    }
    for (let suffix = count; ; suffix++) {
      const name = `${wanted}_${suffix}`;
      if (!this.#names.has(name)) {
        this.#names.set(wanted, suffix + 1);
        this.#names.set(name, 1);
        return name;
      }
    }
  }

  /** Declare a graph input. Dimensions may be symbolic: `graph.input('x', 'float32', ['batch', 784])`. */
  input(name: string, dataType: DataType, shape: readonly (Dim | string)[]): Tensor {
    const dims = shape.map((dim) => (typeof dim === 'string' ? symbol(dim) : dim));
    const value = new Tensor(this, this.uniqueName(name), dataType, dims);
    if (this.parent === undefined && value.name !== name)
      throw new UpdraftError('graph', `The graph "${this.name}" already has a value named "${name}".`, {
        hint: 'Give every input its own name.',
      });
    this.inputs.push(value);
    return value;
  }

  /** Declare an output; `name` renames the value (a graph input or a value that is an output already is copied by the caller). */
  output(value: Tensor, name?: string): Tensor {
    if (!this.sees(value.graph))
      throw new UpdraftError('graph', `"${value.name}" does not belong to the graph "${this.name}".`);
    if (name !== undefined && name !== value.name) value.name = this.uniqueName(name);
    this.outputs.push(value);
    return value;
  }

  /** A constant. Equal scalars share one. */
  constant(value: TensorData | number, dataType: DataType = 'float32', name?: string): Tensor {
    if (typeof value === 'number') {
      const key = `${dataType}:${Object.is(value, -0) ? '-0' : value}`;
      const known = this.#scalars.get(key);
      if (known !== undefined && name === undefined) return known;
      const made = this.constant(literal(value, dataType as 'float32', []), dataType, name);
      if (name === undefined) this.#scalars.set(key, made);
      return made;
    }
    const integers = value.dataType === 'int64' || value.dataType === 'int32';
    const count = elementCount(value.dims);
    const elements =
      integers && value.dims.length <= 1 && count <= MAX_KNOWN_ELEMENTS
        ? Array.from({ length: count }, (_, index) => readElement(value, index))
        : undefined;
    const made = new Tensor(this, this.uniqueName(name ?? 'constant'), value.dataType, value.dims, elements);
    this.constants.set(made, value);
    return made;
  }

  /** A one-dimensional int64 constant, as shapes and axes are given to operators. */
  ints(values: readonly number[]): Tensor {
    const key = `ints:${values.join()}`;
    const known = this.#scalars.get(key);
    if (known !== undefined) return known;
    const made = this.constant(literal([...values], 'int64', [values.length]));
    this.#scalars.set(key, made);
    return made;
  }

  assume(left: Dim, right: Dim, where: string): void {
    const root = this.root;
    const known = root.assumptions.some((one) => dimEquals(one.left, left) && dimEquals(one.right, right));
    if (!known) root.assumptions.push({ left, right, where });
  }

  /** A body for control flow inside this graph. */
  body(name: string): Graph {
    return new Graph(name, this);
  }

  /** Replace the list of nodes, constants or outputs (for passes). */
  replaceNodes(nodes: readonly Node[]): void {
    this.nodes.splice(0, this.nodes.length, ...nodes);
  }

  /** Static shape of a value, or an error that names it. */
  static staticShape(value: Tensor): readonly number[] {
    if (isStaticShape(value.shape)) return value.shape;
    throw new UpdraftError('shape', `"${value.name}" has the symbolic shape ${shapeText(value.shape)}.`, {
      hint: 'Bind its dimensions to numbers first.',
    });
  }
}

let activeGraph: Graph | undefined;
let activeLabels: readonly string[] = [];

/**
 * Run `build` with new nodes going to `graph` where their operands allow (bodies of If, Loop and Scan need it: a node
 * whose operands all come from outside would otherwise be placed, correctly but eagerly, in the enclosing graph).
 * Synchronous; restores the previous state even when `build` throws.
 */
export function insideGraph<T>(graph: Graph, build: () => T): T {
  const previous = activeGraph;
  activeGraph = graph;
  try {
    return build();
  } finally {
    activeGraph = previous;
  }
}

/** Label the nodes that `build` makes (plugin, layer); nested labels join with `/`. Profiles group by them. */
export function labelled<T>(label: string, build: () => T): T {
  const previous = activeLabels;
  activeLabels = [...previous, label];
  try {
    return build();
  } finally {
    activeLabels = previous;
  }
}

export const currentLabel = (): string => activeLabels.join('/');
export const currentGraph = (): Graph | undefined => activeGraph;
