import { sqrt, type Tensor } from '@updraft/graph';

/** Squares of smaller quotients vanish, and what is smaller than this in all elements has the norm 0. */
const LEAST = 1e-30;

/** Frobenius norm √(Σ x²), scalar, without squares that overflow or vanish: 3e20 and 4e20 have the norm 5e20 in float32 too. */
export function frobeniusNorm(x: Tensor): Tensor {
  const largest = x.abs().max();
  return sqrt(x.div(largest.maximum(LEAST)).square().sum()).mul(largest);
}
