import type { DataType, TensorData } from './data-type.js';
import type { Dim } from './dimension.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import type { Shape } from './shape.js';

/** A symbolic tensor: a value of a graph with known element type and (possibly symbolic) shape. */
export class Tensor {
  constructor(
    readonly graph: Graph,
    public name: string,
    readonly dataType: DataType,
    readonly shape: Shape,
    /** Contents of a small integer tensor as symbolic integers, where known. */
    readonly elements: readonly Dim[] | undefined = undefined,
    /** Node that computes this value; undefined for inputs and constants. */
    readonly producer: Node | undefined = undefined,
    /** Which output of the producer this is. */
    readonly outputIndex = 0,
  ) {}

  get rank(): number {
    return this.shape.length;
  }
  /** Contents, when this is a constant of its graph. */
  get constant(): TensorData | undefined {
    return this.graph.constants.get(this);
  }
}
