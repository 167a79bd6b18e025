import { sqrt, where, type Tensor } from '@updraft/graph';
import type { NamedValues } from '../tree.js';

const sum = (terms: readonly Tensor[]): Tensor => terms.reduce((left, right) => left.add(right));

/**
 * Euclidean norm of several tensors together, as if they were one vector. Elements are divided by the largest of them
 * before they are squared, so that values of 1e30 do not overflow and values of 1e-30 do not vanish. A NaN or an infinity
 * anywhere makes the norm NaN.
 *
 * @param values One or more tensors of one float type, none of them empty.
 * @returns A scalar of that type.
 */
export function jointNorm(values: NamedValues<Tensor> | readonly Tensor[]): Tensor {
  const parts: readonly Tensor[] = Object.values(values);
  const largest = parts.map((part) => part.abs().max()).reduce((left, right) => left.maximum(right));
  // Where everything is 0, 0/0 would not be 0.
  const scale = where(largest.greater(0), largest, 1);
  return sqrt(sum(parts.map((part) => part.div(scale).square().sum()))).mul(scale);
}
