import { mapValues, type NamedValues, type Update, type UpdateContext, type UpdateRule } from '@updraft/core';
import { clip, sqrt, type Tensor } from '@updraft/graph';

/** A rule without state that changes gradients for the later links of a `chain`. */
const gradientTransformation = (
  change: (grads: NamedValues<Tensor>, context: UpdateContext) => Record<string, Tensor>,
): UpdateRule => ({
  init: () => ({}),
  update: (context): Update => ({ grads: change(context.grads, context), state: {} }),
});

const squaredNorm = (value: Tensor): Tensor => value.square().sum();
/** min(1, limit / norm), safe at norm 0. */
const shrinkTo = (limit: number, norm: Tensor): Tensor => norm.maximum(limit).reciprocal().mul(limit);

/** Limit every element of the gradients to [-limit, limit]. */
export const clipByValue = (limit: number): UpdateRule =>
  gradientTransformation((grads) => mapValues(grads, (gradient) => clip(gradient, -limit, limit)));

/** Scale each gradient down to an L2 norm of at most `limit`. */
export const clipByNorm = (limit: number): UpdateRule =>
  gradientTransformation((grads) =>
    mapValues(grads, (gradient) => gradient.mul(shrinkTo(limit, sqrt(squaredNorm(gradient))))),
  );

/** L2 norm of all gradients together. */
export const globalNorm = (grads: NamedValues<Tensor>): Tensor =>
  sqrt(
    Object.values(grads)
      .map(squaredNorm)
      .reduce((a, b) => a.add(b)),
  );

/** Scale all gradients together down to a global L2 norm of at most `limit` (Pascanu et al. 2013). */
export const clipByGlobalNorm = (limit: number): UpdateRule =>
  gradientTransformation((grads, context) => {
    const norm = globalNorm(grads);
    context.metric('globalNorm', norm);
    const factor = shrinkTo(limit, norm);
    return mapValues(grads, (gradient) => gradient.mul(factor));
  });
