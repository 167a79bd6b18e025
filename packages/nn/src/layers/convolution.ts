import type { Initializer, Layer } from '@updraft/core';
import { conv } from '@updraft/graph';
import { heNormal, zeros, type Fans } from '../initializers.js';
import { staticSize } from './dense.js';

export interface ConvolutionOptions {
  readonly channels: number;
  /** Kernel size on every spatial axis, or one for each. */
  readonly kernelSize: number | readonly number[];
  readonly stride?: number | readonly number[];
  readonly dilation?: number | readonly number[];
  /** `valid` (default): none; `same`: output size = ceil(input / stride); a number on every side. */
  readonly padding?: 'valid' | 'same' | number;
  readonly groups?: number;
  readonly bias?: boolean;
  /** Default: He normal. */
  readonly initialize?: (fans: Fans) => Initializer;
  readonly name?: string;
}

const spread = (value: number | readonly number[] | undefined, axes: number, otherwise: number): readonly number[] =>
  value === undefined
    ? new Array<number>(axes).fill(otherwise)
    : typeof value === 'number'
      ? new Array<number>(axes).fill(value)
      : value;

/** Convolution over 1 to 3 spatial axes of [batch, channels, ...sizes]. */
export const convolution =
  (options: ConvolutionOptions): Layer =>
  (scope, x) =>
    scope.child(options.name ?? 'conv', (inner) => {
      const axes = x.rank - 2;
      const groups = options.groups ?? 1;
      const kernel = spread(options.kernelSize, axes, 1);
      const incoming = staticSize(x, 1, 'convolution()');
      const area = kernel.reduce((a, b) => a * b, 1);
      const weight = inner.parameter('weight', [options.channels, incoming / groups, ...kernel], {
        initialize: (options.initialize ?? heNormal)({
          in: (incoming / groups) * area,
          out: (options.channels / groups) * area,
        }),
        role: 'weight',
      });
      const bias =
        options.bias === false
          ? undefined
          : inner.parameter('bias', [options.channels], { initialize: zeros, role: 'bias' });
      const { padding = 'valid' } = options;
      return conv(x, weight, bias, {
        strides: spread(options.stride, axes, 1),
        dilations: spread(options.dilation, axes, 1),
        ...(padding === 'same' ? { autoPad: 'SAME_UPPER' } : {}),
        ...(typeof padding === 'number' ? { pads: new Array<number>(2 * axes).fill(padding) } : {}),
        ...(groups === 1 ? {} : { group: groups }),
      });
    });
