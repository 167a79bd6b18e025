import type { Layer } from '@updraft/core';
import { averagePool, globalAveragePool, maxPool as pool, maxPoolWithIndices } from '@updraft/graph';

export interface PoolingOptions {
  readonly size: number;
  /** Default: the size, so that windows tile the input. */
  readonly stride?: number;
  readonly padding?: number;
}

const windowOf = ({ size, stride = size, padding = 0 }: PoolingOptions, axes: number) => ({
  kernelShape: new Array<number>(axes).fill(size),
  strides: new Array<number>(axes).fill(stride),
  pads: new Array<number>(2 * axes).fill(padding),
});

/** Maximum of every window. */
export const maxPool =
  (options: PoolingOptions): Layer =>
  (scope, x) => {
    const window = windowOf(options, x.rank - 2);
    // In training the backward pass needs the positions of the maxima: one node gives both.
    return scope.training ? maxPoolWithIndices(x, window).values : pool(x, window);
  };

/** Mean of every window. */
export const meanPool =
  (options: PoolingOptions): Layer =>
  (_scope, x) =>
    averagePool(x, windowOf(options, x.rank - 2));

/** Mean over all spatial axes: [batch, channels, ...] → [batch, channels]. */
export const globalMeanPool: Layer = (_scope, x) => globalAveragePool(x).flatten(1);
