import type { Initializer, Layer } from '@updraft/core';
import { convTranspose } from '@updraft/graph';
import { heNormal, zeros, type Fans } from '../initializers.js';
import { staticSize } from './dense.js';

export interface TransposedConvolutionOptions {
  readonly channels: number;
  /** Kernel size on every spatial axis. */
  readonly kernelSize: number;
  /** By how much every spatial axis grows; default 1. */
  readonly stride?: number;
  /** Elements taken off every side of the result; default 0. */
  readonly padding?: number;
  readonly groups?: number;
  readonly bias?: boolean;
  /** Of weight [in, channels / groups, ...kernel]; an output element has `in` inputs. Default: He normal. */
  readonly initialize?: (fans: Fans) => Initializer;
  /** Default: zeros. */
  readonly initializeBias?: (fans: Fans) => Initializer;
  readonly name?: string;
}

/** Transposed convolution over 1 to 3 spatial axes of [batch, channels, ...sizes]: (size − 1)·stride + kernel − 2·padding. */
export const transposedConvolution =
  (options: TransposedConvolutionOptions): Layer =>
  (scope, x) =>
    scope.child(options.name ?? 'up', (inner) => {
      const { channels, kernelSize, stride = 1, padding = 0, groups = 1 } = options;
      const axes = x.rank - 2;
      const incoming = staticSize(x, 1, 'transposedConvolution()');
      const kernel = new Array<number>(axes).fill(kernelSize);
      const area = kernelSize ** axes;
      const fans = { in: (incoming / groups) * area, out: (channels / groups) * area };
      const weight = inner.parameter('weight', [incoming, channels / groups, ...kernel], {
        initialize: (options.initialize ?? heNormal)(fans),
        role: 'weight',
      });
      const bias =
        options.bias === false
          ? undefined
          : inner.parameter('bias', [channels], { initialize: options.initializeBias?.(fans) ?? zeros, role: 'bias' });
      return convTranspose(x, weight, bias, {
        strides: new Array<number>(axes).fill(stride),
        pads: new Array<number>(2 * axes).fill(padding),
        ...(groups === 1 ? {} : { group: groups }),
      });
    });
