import type { Operand } from './apply.js';
import type { DataType, TensorData } from './data-type.js';
import type { Dim } from './dimension.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { add, div, mul, pow, sub } from './operators/arithmetic.js';
import { cast, identity } from './operators/creation.js';
import * as elementwise from './operators/elementwise.js';
import { gather } from './operators/indexing.js';
import { matMul } from './operators/matrix.js';
import type { IntegerList } from './operators/operands.js';
import * as reductions from './operators/reductions.js';
import * as shapes from './operators/shape-operators.js';
import type { Shape } from './shape.js';

/** Options of the fluent reductions: unlike ONNX they drop reduced axes unless told to keep them. */
export interface KeepDims {
  readonly keepDims?: boolean;
}

/**
 * A symbolic tensor: a value of a graph with known element type and (possibly symbolic) shape. Methods append nodes and
 * return new tensors; each delegates to the operator function of the same name.
 */
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

  add(other: Operand): Tensor {
    return add(this, other);
  }
  sub(other: Operand): Tensor {
    return sub(this, other);
  }
  mul(other: Operand): Tensor {
    return mul(this, other);
  }
  div(other: Operand): Tensor {
    return div(this, other);
  }
  pow(exponent: Operand): Tensor {
    return pow(this, exponent);
  }
  neg(): Tensor {
    return elementwise.neg(this);
  }
  abs(): Tensor {
    return elementwise.abs(this);
  }
  sign(): Tensor {
    return elementwise.sign(this);
  }
  exp(): Tensor {
    return elementwise.exp(this);
  }
  log(): Tensor {
    return elementwise.log(this);
  }
  sqrt(): Tensor {
    return elementwise.sqrt(this);
  }
  square(): Tensor {
    return mul(this, this);
  }
  reciprocal(): Tensor {
    return elementwise.reciprocal(this);
  }
  tanh(): Tensor {
    return elementwise.tanh(this);
  }
  sigmoid(): Tensor {
    return elementwise.sigmoid(this);
  }
  relu(): Tensor {
    return elementwise.relu(this);
  }
  erf(): Tensor {
    return elementwise.erf(this);
  }
  maximum(other: Operand): Tensor {
    return elementwise.maximum(this, other);
  }
  minimum(other: Operand): Tensor {
    return elementwise.minimum(this, other);
  }
  clip(min?: Operand, max?: Operand): Tensor {
    return elementwise.clip(this, min, max);
  }
  equal(other: Operand): Tensor {
    return elementwise.equal(this, other);
  }
  greater(other: Operand): Tensor {
    return elementwise.greater(this, other);
  }
  greaterOrEqual(other: Operand): Tensor {
    return elementwise.greaterOrEqual(this, other);
  }
  less(other: Operand): Tensor {
    return elementwise.less(this, other);
  }
  lessOrEqual(other: Operand): Tensor {
    return elementwise.lessOrEqual(this, other);
  }
  matMul(other: Tensor): Tensor {
    return matMul(this, other);
  }
  transpose(permutation?: readonly number[]): Tensor {
    return shapes.transpose(this, permutation);
  }
  reshape(shape: IntegerList): Tensor {
    return shapes.reshape(this, shape);
  }
  flatten(axis?: number): Tensor {
    return shapes.flatten(this, axis);
  }
  squeeze(axes?: IntegerList): Tensor {
    return shapes.squeeze(this, axes);
  }
  unsqueeze(axes: IntegerList): Tensor {
    return shapes.unsqueeze(this, axes);
  }
  expand(shape: IntegerList): Tensor {
    return shapes.expand(this, shape);
  }
  slice(starts: IntegerList, ends: IntegerList, axes?: IntegerList, steps?: IntegerList): Tensor {
    return shapes.slice(this, starts, ends, axes, steps);
  }
  gather(indices: Tensor, axis?: number): Tensor {
    return gather(this, indices, axis);
  }
  sum(axes?: IntegerList, { keepDims = false }: KeepDims = {}): Tensor {
    return reductions.reduceSum(this, axes, { keepDims });
  }
  mean(axes?: IntegerList, { keepDims = false }: KeepDims = {}): Tensor {
    return reductions.reduceMean(this, axes, { keepDims });
  }
  max(axes?: IntegerList, { keepDims = false }: KeepDims = {}): Tensor {
    return reductions.reduceMax(this, axes, { keepDims });
  }
  min(axes?: IntegerList, { keepDims = false }: KeepDims = {}): Tensor {
    return reductions.reduceMin(this, axes, { keepDims });
  }
  argMax(axis: number, { keepDims = false }: KeepDims = {}): Tensor {
    return reductions.argMax(this, axis, { keepDims });
  }
  softmax(axis?: number): Tensor {
    return reductions.softmax(this, axis);
  }
  logSoftmax(axis?: number): Tensor {
    return reductions.logSoftmax(this, axis);
  }
  /** Convert the element type. */
  cast(to: DataType): Tensor {
    return cast(this, to);
  }
  /** A copy under a name of its own. */
  identity(): Tensor {
    return identity(this);
  }
}
