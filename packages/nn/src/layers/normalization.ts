import type { Layer } from '@updraft/core';
import {
  batchNormalization as normalize,
  groupNormalization as normalizeGroups,
  layerNormalization as normalizeLayer,
  layerNormalizationWithStatistics,
  sizeOf,
  sqrt,
} from '@updraft/graph';
import { ones, zeros } from '../initializers.js';
import { staticSize } from './dense.js';

export interface NormalizationOptions {
  /** Added to the variance. */
  readonly epsilon?: number;
  readonly name?: string;
}

/** Layer normalisation over the last axis (Ba et al. 2016). */
export const layerNorm =
  ({ epsilon = 1e-5, name = 'norm' }: NormalizationOptions = {}): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => {
      const width = staticSize(x, -1, 'layerNorm()');
      const gain = inner.parameter('gain', [width], { initialize: ones, role: 'gain' });
      const bias = inner.parameter('bias', [width], { initialize: zeros, role: 'bias' });
      // With its statistics as outputs the backward pass does not compute them again.
      return inner.training
        ? layerNormalizationWithStatistics(x, gain, bias, { axis: -1, epsilon }).output
        : normalizeLayer(x, gain, bias, { axis: -1, epsilon });
    });

/** Root-mean-square normalisation over the last axis (Zhang and Sennrich 2019). */
export const rmsNorm =
  ({ epsilon = 1e-6, name = 'norm' }: NormalizationOptions = {}): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => {
      const gain = inner.parameter('gain', [staticSize(x, -1, 'rmsNorm()')], { initialize: ones, role: 'gain' });
      return x.div(sqrt(x.square().mean([-1], { keepDims: true }).add(epsilon))).mul(gain);
    });

/** Group normalisation (Wu and He 2018) of [batch, channels, ...]. */
export const groupNorm =
  ({ groups, epsilon = 1e-5, name = 'norm' }: NormalizationOptions & { readonly groups: number }): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => {
      const channels = staticSize(x, 1, 'groupNorm()');
      const gain = inner.parameter('gain', [channels], { initialize: ones, role: 'gain' });
      const bias = inner.parameter('bias', [channels], { initialize: zeros, role: 'bias' });
      return normalizeGroups(x, gain, bias, { groups, epsilon });
    });

/**
 * Batch normalisation (Ioffe and Szegedy 2015) of [batch, channels, ...]: batch statistics in training, with running
 * ones (unbiased variance) for inference; running ← momentum · running + (1 - momentum) · batch.
 */
export const batchNorm =
  ({
    epsilon = 1e-5,
    momentum = 0.9,
    name = 'norm',
  }: NormalizationOptions & { readonly momentum?: number } = {}): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => {
      const channels = staticSize(x, 1, 'batchNorm()');
      const gain = inner.parameter('gain', [channels], { initialize: ones, role: 'gain' });
      const bias = inner.parameter('bias', [channels], { initialize: zeros, role: 'bias' });
      const runningMean = inner.variable('runningMean', [channels], 0);
      const runningVariance = inner.variable('runningVariance', [channels], 1);
      if (!inner.training) return normalize(x, gain, bias, runningMean, runningVariance, { epsilon });
      const axes = Array.from({ length: x.rank }, (_, axis) => axis).filter((axis) => axis !== 1);
      const spatial = axes.slice(1).map((axis) => axis - 1);
      const mean = x.mean(axes, { keepDims: true });
      const centred = x.sub(mean);
      const variance = centred.square().mean(axes, { keepDims: true });
      const count = sizeOf(x, axes);
      const unbiased = variance.mul(count.div(count.sub(1)));
      inner.assign('runningMean', runningMean.mul(momentum).add(mean.reshape([channels]).mul(1 - momentum)));
      inner.assign(
        'runningVariance',
        runningVariance.mul(momentum).add(unbiased.reshape([channels]).mul(1 - momentum)),
      );
      const scale = gain.unsqueeze(spatial).div(sqrt(variance.squeeze([0]).add(epsilon)));
      return centred.mul(scale).add(bias.unsqueeze(spatial));
    });
