import type { Layer } from '@updraft/core';
import { gelu as geluOf, relu as reluOf, sigmoid as sigmoidOf, tanh as tanhOf } from '@updraft/graph';

/** Layers one after the other. */
export const sequential =
  (...layers: readonly Layer[]): Layer =>
  (scope, x) =>
    layers.reduce((value, layer) => layer(scope, value), x);

/** x + layers(x). */
export const residual = (...layers: readonly Layer[]): Layer => {
  const inner = sequential(...layers);
  return (scope, x) => x.add(inner(scope, x));
};

/** Layers under a name of their own. */
export const named =
  (name: string, layer: Layer): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => layer(inner, x));

/** All axes but the first as one. */
export const flatten: Layer = (_scope, x) => x.flatten(1);
export const relu: Layer = (_scope, x) => reluOf(x);
/** Gaussian error linear unit, exact form. */
export const gelu: Layer = (_scope, x) => geluOf(x);
export const tanh: Layer = (_scope, x) => tanhOf(x);
export const sigmoid: Layer = (_scope, x) => sigmoidOf(x);
