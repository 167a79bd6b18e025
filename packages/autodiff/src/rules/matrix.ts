import { gemm, matMul, mul, sumTo, type Tensor } from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Swap the last two axes. ONNX Runtime fuses this transpose into the product that reads it. */
const transposed = (x: Tensor): Tensor =>
  x.transpose([...Array.from({ length: x.rank - 2 }, (_, axis) => axis), x.rank - 1, x.rank - 2]);

/** Gemm needs no explicit transposes and takes float types only. */
const plainMatrices = (a: Tensor, b: Tensor): boolean => a.rank === 2 && b.rank === 2;

const matrixProduct: DerivativeRule = {
  operator: 'MatMul',
  order: 'any',
  backward(context) {
    const [a, b] = [context.input(0), context.input(1)];
    const gradient = context.gradient(0);
    if (plainMatrices(a, b))
      return [
        context.needs(0) ? gemm(gradient, b, undefined, { transposeB: true }) : undefined,
        context.needs(1) ? gemm(a, gradient, undefined, { transposeA: true }) : undefined,
      ];
    return generalProduct(context, a, b, gradient);
  },
};

/** Vectors are lifted to matrices, batched products summed back over broadcast axes. */
function generalProduct(context: DerivativeContext, a: Tensor, b: Tensor, gradient: Tensor): (Tensor | undefined)[] {
  const left = a.rank === 1 ? a.unsqueeze([0]) : a;
  const right = b.rank === 1 ? b.unsqueeze([1]) : b;
  let lifted = gradient;
  // Undo the two axes that a vector factor drops from the product: rows first, as they come before columns.
  if (b.rank === 1) lifted = lifted.unsqueeze([-1]);
  if (a.rank === 1) lifted = lifted.unsqueeze([-2]);
  const results: (Tensor | undefined)[] = [undefined, undefined];
  if (context.needs(0)) {
    const product = sumTo(matMul(lifted, transposed(right)), left);
    results[0] = a.rank === 1 ? product.squeeze([0]) : product;
  }
  if (context.needs(1)) {
    const product =
      right.rank === 2 && left.rank > 2
        ? // A shared matrix under a batch: one flat product instead of a batch of products and their sum.
          gemm(flattenRows(left), flattenRows(lifted), undefined, { transposeA: true })
        : sumTo(matMul(transposed(left), lifted), right);
    results[1] = b.rank === 1 ? product.squeeze([1]) : product;
  }
  return results;
}

/** [.., k] → [rows, k]. */
export function flattenRows(x: Tensor): Tensor {
  const width = x.shape[x.rank - 1];
  if (x.rank === 2) return x;
  return typeof width === 'number' ? x.reshape([-1, width]) : x.flatten(x.rank - 1);
}

const generalMatrixProduct: DerivativeRule = {
  operator: 'Gemm',
  order: 'any',
  backward(context) {
    const { node } = context;
    const [a, b] = [context.input(0), context.input(1)];
    const gradient = context.gradient(0);
    const alpha = node.float('alpha');
    const beta = node.float('beta');
    const transA = node.int('transA') === 1;
    const transB = node.int('transB') === 1;
    const c = context.inputs[2];
    const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, factor));
    return [
      context.needs(0)
        ? transA
          ? gemm(b, gradient, undefined, { alpha, transposeA: transB, transposeB: true })
          : gemm(gradient, b, undefined, { alpha, transposeB: !transB })
        : undefined,
      context.needs(1)
        ? transB
          ? gemm(gradient, a, undefined, { alpha, transposeA: true, transposeB: transA })
          : gemm(a, gradient, undefined, { alpha, transposeA: !transA })
        : undefined,
      c !== undefined && context.needs(2) ? scaled(sumTo(gradient, c), beta) : undefined,
    ];
  },
};

export const matrixRules: readonly DerivativeRule[] = [matrixProduct, generalMatrixProduct];
