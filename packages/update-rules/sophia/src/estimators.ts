import { mapValues, type NamedValues, type UpdateContext } from '@updraft/core';
import { globalNorm } from '@updraft/rules';
import type { Tensor } from '@updraft/graph';

/** An estimate of the diagonal of the Hessian: `factor` · `diagonal`. */
export interface DiagonalEstimate {
  /** One tensor per parameter, of its shape. */
  readonly diagonal: NamedValues<Tensor>;
  /** Scalar that belongs to the estimate; none is 1. Apart from it, since squares of small gradients are kept unscaled. */
  readonly factor?: Tensor;
}

/** Estimates the diagonal of the Hessian of this batch, at `context.params` or at other parameters. */
export type DiagonalEstimator = (context: UpdateContext, at?: NamedValues<Tensor>) => DiagonalEstimate;

/** Scales all gradients together down to a global norm of at most `limit`; as they are without one. */
export function limitNorm(grads: NamedValues<Tensor>, limit: number | undefined): NamedValues<Tensor> {
  if (limit === undefined) return grads;
  const factor = globalNorm(grads).maximum(limit).reciprocal().mul(limit);
  return mapValues(grads, (gradient) => gradient.mul(factor));
}

/** Halves are too coarse for curvatures: what is derived from them is kept in float32. */
export const wide = (value: Tensor): Tensor => (value.dataType === 'float16' ? value.cast('float32') : value);

/**
 * Gauss–Newton–Bartlett estimator (Liu et al. 2023, algorithm 2), of Sophia-G: targets ŷ are drawn from the model's own
 * predictions, ĝ = ∇ (1/B) Σ loss(ŷ), and B·ĝ⊙ĝ estimates the diagonal of the Gauss–Newton matrix: its mean is that
 * diagonal, and it is never negative. Targets of the data instead would make it the empirical Fisher, another matrix.
 *
 * @param options.maximumNorm Global norm that ĝ is scaled down to, as the authors' script does.
 */
export const gnbDiagonal =
  ({ maximumNorm }: { readonly maximumNorm?: number | undefined } = {}): DiagonalEstimator =>
  (context, at) => {
    const { grads, predictions } = context.sampledGrads(at);
    return {
      diagonal: mapValues(limitNorm(grads, maximumNorm), (gradient) => wide(gradient).square()),
      factor: predictions,
    };
  };

/**
 * Hutchinson's estimator (Liu et al. 2023, algorithm 1), of Sophia-H: u ⊙ ∇²L·u with u of mean 0 and covariance 1. Its mean
 * is the diagonal of the Hessian, so that it may be negative. With u = ±1 (`rademacher`) a diagonal Hessian is met exactly.
 */
export const hutchinsonDiagonal =
  ({ distribution = 'normal' }: { readonly distribution?: 'normal' | 'rademacher' } = {}): DiagonalEstimator =>
  (context, at) => {
    const u = mapValues(context.params, (param, name) =>
      context.noise(`hutchinson/${name}`, param.shape, distribution).cast(param.dataType),
    );
    const products = context.hvp(u, at);
    return { diagonal: mapValues(u, (direction, name) => wide(direction).mul(wide(products[name] as Tensor))) };
  };
