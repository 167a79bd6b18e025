import { apply } from '../apply.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import type { Dim } from '../dimension.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { BYTES, FLOATS, NUMBERS } from '../type-sets.js';
import { checkBroadcastsTo } from './checks.js';
import type { Quantized } from './convolution.js';
import { GEMM_ATTRIBUTES, gemmAttributes, gemmShape, matMulShape, type GemmOptions } from './matrix-shapes.js';

export type { GemmOptions } from './matrix-shapes.js';

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
