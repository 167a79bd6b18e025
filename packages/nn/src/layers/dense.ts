import type { Initializer, Layer, Scope } from '@updraft/core';
import { gemm, matMul, UpdraftError, type Tensor } from '@updraft/graph';
import { glorotUniform, zeros, type Fans } from '../initializers.js';

export interface DenseOptions {
  /** Size of the last axis of the output. */
  readonly units: number;
  /** Add a bias; default: true. */
  readonly bias?: boolean;
  /** Default: Glorot uniform. */
  readonly initialize?: (fans: Fans) => Initializer;
  /** Name of the scope; default: `dense`. */
  readonly name?: string;
}

/** Size of an axis that a layer needs as a number. */
export function staticSize(x: Tensor, axis: number, layer: string): number {
  const size = x.shape.at(axis);
  if (typeof size !== 'number')
    throw new UpdraftError(
      'module',
      `${layer} needs axis ${axis} of its input to have a fixed size, not ${String(size)}.`,
      {
        hint: 'Declare that dimension of the model input as a number.',
      },
    );
  return size;
}

/** y = x·W + b over the last axis; W is [in, units]. */
export const dense =
  ({ units, bias = true, initialize = glorotUniform, name = 'dense' }: DenseOptions): Layer =>
  (scope, x) =>
    scope.child(name, (inner: Scope) => {
      const width = staticSize(x, -1, 'dense()');
      const weight = inner.parameter('weight', [width, units], {
        initialize: initialize({ in: width, out: units }),
        role: 'weight',
      });
      if (!bias) return matMul(x, weight);
      const offset = inner.parameter('bias', [units], { initialize: zeros, role: 'bias' });
      // Gemm adds the bias in the same kernel.
      return x.rank === 2 ? gemm(x, weight, offset) : matMul(x, weight).add(offset);
    });
