import type { NamedValues } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import { flat, meanVector, squaredDistance } from './vectors.js';

type Models = readonly NamedValues<TensorData>[];

/** How far models are apart: the mean of ‖θ_i − θ̄‖². */
export function dispersion(models: Models): number {
  const vectors = models.map((model) => flat(model));
  const centre = meanVector(vectors);
  return vectors.reduce((sum, vector) => sum + squaredDistance(vector, centre) / vectors.length, 0);
}

/**
 * What a mixing did to the honest models x → y, in units of their dispersion before: `alpha` is what is left of it, `lambda`
 * how far their mean was moved, ‖ȳ − x̄‖². A mixing has the (α, λ)-reduction property where neither is ever exceeded.
 */
export function reduction(before: Models, after: Models): { readonly alpha: number; readonly lambda: number } {
  const unit = dispersion(before);
  const [x, y] = [before, after].map((models) => meanVector(models.map((model) => flat(model)))) as [
    Float64Array,
    Float64Array,
  ];
  const inUnits = (value: number): number => (value === 0 ? 0 : value / unit);
  return { alpha: inUnits(dispersion(after)), lambda: inUnits(squaredDistance(y, x)) };
}
