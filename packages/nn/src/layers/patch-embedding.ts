import type { Layer } from '@updraft/core';
import { glorotUniform, normal } from '../initializers.js';
import { convolution } from './convolution.js';
import { staticSize } from './dense.js';

/** Images [batch, channels, height, width] as [batch, patches, units] with learned positions (Dosovitskiy et al. 2020). */
export const patchEmbedding =
  ({
    patchSize,
    units,
    name = 'patches',
  }: {
    readonly patchSize: number;
    readonly units: number;
    readonly name?: string;
  }): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => {
      const patches = convolution({
        channels: units,
        kernelSize: patchSize,
        stride: patchSize,
        initialize: glorotUniform,
      })(inner, x);
      const count = staticSize(patches, 2, 'patchEmbedding()') * staticSize(patches, 3, 'patchEmbedding()');
      const positions = inner.parameter('positions', [count, units], { initialize: normal(0.02), role: 'embedding' });
      return patches.reshape([-1, units, count]).transpose([0, 2, 1]).add(positions);
    });
