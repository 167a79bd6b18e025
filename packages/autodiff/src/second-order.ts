import { mul, type Tensor } from '@updraft/graph';
import { gradients } from './gradients.js';

/** Hessian-vector products of a scalar `loss`: the gradient of ⟨∇loss, vectors⟩. One result per value in `wrt`. */
export function hessianVectorProduct(loss: Tensor, wrt: readonly Tensor[], vectors: readonly Tensor[]): Tensor[] {
  const first = gradients(loss, wrt);
  // The vectors are constants here, even when they were computed from the same parameters.
  return gradients(first, wrt, { outputGradients: vectors });
}

/**
 * Forward-mode derivatives: how `outputs` change when `inputs` move along `tangents`. Built from two reverse passes: the
 * reverse pass is linear in its output gradients, and its transpose is the forward derivative. Runs at the cost of the
 * forward derivative alone, since the nodes of the first pass that only carry the placeholder cancel out.
 */
export function jvp(outputs: readonly Tensor[], inputs: readonly Tensor[], tangents: readonly Tensor[]): Tensor[] {
  // Any value will do as the point of a linear function; zeros fold away.
  const placeholders = outputs.map((output) => mul(output, 0));
  const pulled = gradients(outputs, inputs, { outputGradients: placeholders, independent: true });
  return gradients(pulled, placeholders, { outputGradients: tangents, independent: true });
}

/** Value and gradients of a scalar function of the given values. */
export function valueAndGrad<T extends readonly Tensor[]>(
  loss: (...values: T) => Tensor,
  values: T,
): { value: Tensor; gradients: Tensor[] } {
  const value = loss(...values);
  return { value, gradients: gradients(value, values) };
}
