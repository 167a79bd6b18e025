import { apply } from '../apply.js';
import type { Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { BYTES, FLOATS, NUMBERS } from '../type-sets.js';
import type { Quantized } from './convolution.js';
import { flag } from './operands.js';

/** Shape of `a · b` as in numpy.matmul. */
export function matMulShape(context: InferenceContext, a: Shape, b: Shape): Shape {
  if (a.length === 0 || b.length === 0)
    context.fail(`a scalar cannot be a matrix factor: ${shapeText(a)} · ${shapeText(b)}`);
  // A vector is a row on the left and a column on the right, and its axis disappears.
  const left: readonly Dim[] = a.length === 1 ? [1, ...a] : a;
  const right: readonly Dim[] = b.length === 1 ? [...b, 1] : b;
  context.unify(
    left[left.length - 1] as Dim,
    right[right.length - 2] as Dim,
    `inner dimensions of ${shapeText(a)} · ${shapeText(b)}`,
  );
  const batch = context.broadcast(left.slice(0, -2), right.slice(0, -2));
  const rows = a.length === 1 ? [] : [left[left.length - 2] as Dim];
  const columns = b.length === 1 ? [] : [right[right.length - 1] as Dim];
  return [...batch, ...rows, ...columns];
}

/** `value` has to broadcast to `target` without enlarging it. */
export function checkBroadcastsTo(context: InferenceContext, value: Tensor, target: Shape, what: string): void {
  if (value.rank > target.length)
    context.fail(`${what} ${shapeText(value.shape)} does not broadcast to ${shapeText(target)}`);
  value.shape.forEach((dim, axis) => {
    if (dim !== 1)
      context.unify(
        target[target.length - value.rank + axis] as Dim,
        dim,
        `${what} ${shapeText(value.shape)} against ${shapeText(target)}`,
      );
  });
}

const MAT_MUL: OperatorSchema = {
  type: 'MatMul',
  since: 13,
  inputs: [
    { name: 'A', types: NUMBERS, typeVariable: 'T' },
    { name: 'B', types: NUMBERS, typeVariable: 'T' },
  ],
  infer(context) {
    const a = context.input(0);
    return [{ dataType: a.dataType, shape: matMulShape(context, a.shape, context.input(1).shape) }];
  },
};

const GEMM_TYPES = [...FLOATS, 'int32', 'int64', 'uint32', 'uint64'] as const;

export const GEMM_ATTRIBUTES = {
  alpha: { kind: 'float', default: 1 },
  beta: { kind: 'float', default: 1 },
  transA: { kind: 'int', default: 0 },
  transB: { kind: 'int', default: 0 },
} as const;

/** Shape of a product of matrices, either transposed on request, plus an addend that broadcasts. */
export function gemmShape(context: InferenceContext): Shape {
  const [a, b] = [context.input(0), context.input(1)];
  for (const factor of [a, b])
    if (factor.rank !== 2)
      context.fail(`a factor ${shapeText(factor.shape)} is not a matrix`, 'Use matMul() for other ranks.');
  const rowsLast = context.node.int('transA') !== 0;
  const columnsFirst = context.node.int('transB') !== 0;
  const [rows, inner] = (rowsLast ? [...a.shape].reverse() : a.shape) as [Dim, Dim];
  const [innerOfB, columns] = (columnsFirst ? [...b.shape].reverse() : b.shape) as [Dim, Dim];
  const mark = (value: Tensor, transposed: boolean): string => shapeText(value.shape) + (transposed ? 'ᵀ' : '');
  context.unify(inner, innerOfB, `inner dimensions of ${mark(a, rowsLast)} · ${mark(b, columnsFirst)}`);
  const c = context.inputs[2];
  if (c !== undefined) checkBroadcastsTo(context, c, [rows, columns], 'the addend');
  return [rows, columns];
}

const GEMM: OperatorSchema = {
  type: 'Gemm',
  since: 13,
  inputs: [
    { name: 'A', types: GEMM_TYPES, typeVariable: 'T' },
    { name: 'B', types: GEMM_TYPES, typeVariable: 'T' },
    { name: 'C', types: GEMM_TYPES, typeVariable: 'T', optional: true },
  ],
  attributes: GEMM_ATTRIBUTES,
  infer: (context) => [{ dataType: context.input(0).dataType, shape: gemmShape(context) }],
};

/** A scale or zero point of a quantised factor: a scalar, or one value per row of `a` or column of `b`. */
function checkQuantization(context: InferenceContext, index: number, factor: Tensor, axis: -1 | -2): void {
  const value = context.inputs[index];
  if (value === undefined || value.rank === 0) return;
  if (value.rank === 1) {
    if (value.shape[0] === 1) return;
    const size = factor.shape[factor.rank + axis];
    if (size === undefined) context.fail(`input ${index} ${shapeText(value.shape)} must be a scalar`);
    context.unify(size, value.shape[0] as Dim, `input ${index} of ${shapeText(factor.shape)}`);
    return;
  }
  checkBroadcastsTo(context, value, factor.shape, `input ${index}`);
}

const MAT_MUL_INTEGER: OperatorSchema = {
  type: 'MatMulInteger',
  since: 10,
  inputs: [
    { name: 'A', types: BYTES, typeVariable: 'T1' },
    { name: 'B', types: BYTES, typeVariable: 'T2' },
    { name: 'a_zero_point', types: BYTES, typeVariable: 'T1', optional: true },
    { name: 'b_zero_point', types: BYTES, typeVariable: 'T2', optional: true },
  ],
  infer(context) {
    const [a, b] = [context.input(0), context.input(1)];
    checkQuantization(context, 2, a, -2);
    checkQuantization(context, 3, b, -1);
    return [{ dataType: 'int32', shape: matMulShape(context, a.shape, b.shape) }];
  },
};

const SCALE_TYPES = ['float32', 'float16', 'bfloat16'] as const;

const Q_LINEAR_MAT_MUL: OperatorSchema = {
  type: 'QLinearMatMul',
  since: 21,
  inputs: [
    { name: 'a', types: BYTES, typeVariable: 'T1' },
    { name: 'a_scale', types: SCALE_TYPES, typeVariable: 'TS' },
    { name: 'a_zero_point', types: BYTES, typeVariable: 'T1' },
    { name: 'b', types: BYTES, typeVariable: 'T2' },
    { name: 'b_scale', types: SCALE_TYPES, typeVariable: 'TS' },
    { name: 'b_zero_point', types: BYTES, typeVariable: 'T2' },
    { name: 'y_scale', types: SCALE_TYPES, typeVariable: 'TS' },
    { name: 'y_zero_point', types: BYTES, typeVariable: 'T3' },
  ],
  infer(context) {
    const [a, b] = [context.input(0), context.input(3)];
    for (const index of [1, 2]) checkQuantization(context, index, a, -2);
    for (const index of [4, 5]) checkQuantization(context, index, b, -1);
    return [{ dataType: context.input(7).dataType, shape: matMulShape(context, a.shape, b.shape) }];
  },
};

export const matrixSchemas: readonly OperatorSchema[] = [MAT_MUL, GEMM, MAT_MUL_INTEGER, Q_LINEAR_MAT_MUL];

/** Matrix product over the last two axes, leading axes broadcast (as `numpy.matmul`). */
export const matMul = (a: Tensor, b: Tensor): Tensor => apply(MAT_MUL, [a, b]);

export interface GemmOptions {
  /** Factor of the product; default: 1. */
  readonly alpha?: number;
  /** Factor of the addend; default: 1. */
  readonly beta?: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

export const gemmAttributes = (options: GemmOptions) => ({
  alpha: options.alpha,
  beta: options.beta,
  transA: flag(options.transposeA),
  transB: flag(options.transposeB),
});

/** `alpha * a · b + beta * c` for matrices, either factor transposed on request; `c` broadcasts to the result. */
export const gemm = (a: Tensor, b: Tensor, c?: Tensor, options: GemmOptions = {}): Tensor =>
  apply(GEMM, [a, b, c], gemmAttributes(options));

/** Matrix product of 8-bit integers in int32; zero points are scalars, one per row of `a`, or one per column of `b`. */
export const matMulInteger = (
  a: Tensor,
  b: Tensor,
  zeroPoints: { readonly a?: Tensor; readonly b?: Tensor } = {},
): Tensor => apply(MAT_MUL_INTEGER, [a, b, zeroPoints.a, zeroPoints.b]);

/** Matrix product of quantised factors with quantised result. */
export const qLinearMatMul = (a: Quantized, b: Quantized, output: Omit<Quantized, 'values'>): Tensor =>
  apply(Q_LINEAR_MAT_MUL, [
    a.values,
    a.scale,
    a.zeroPoint,
    b.values,
    b.scale,
    b.zeroPoint,
    output.scale,
    output.zeroPoint,
  ]);
