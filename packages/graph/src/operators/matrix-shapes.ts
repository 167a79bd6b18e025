import type { Dim } from '../dimension.js';
import type { InferenceContext } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { checkBroadcastsTo } from './checks.js';
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
