import { defineModel, type Layer, type Model, type Scope } from '@updraft/core';
import { concat, cos, exp, sigmoid, sin, type Tensor } from '@updraft/graph';
import { zeros } from '../initializers.js';
import { convolution } from '../layers/convolution.js';
import { dense } from '../layers/dense.js';
import { groupNorm } from '../layers/normalization.js';
import { meanPool } from '../layers/pooling.js';

export interface UnetOptions {
  /** [channels, height, width] of an image; sizes divisible by 2^levels. */
  readonly input: readonly [number, number, number];
  readonly width?: number;
  /** Times that the resolution is halved. */
  readonly levels?: number;
  /** Condition on this many classes (column `label`), plus one for "none". */
  readonly classes?: number;
}

const silu = (x: Tensor): Tensor => x.mul(sigmoid(x));

/** Sinusoidal features of a time in [0, 1]: [batch] → [batch, width]. */
function timeFeatures(time: Tensor, width: number): Tensor {
  const half = width / 2;
  const exponents = time.graph.constant({
    dataType: 'float32',
    dims: [half],
    data: Float32Array.from({ length: half }, (_, index) => (-Math.log(10_000) * index) / half),
  });
  const angles = time.unsqueeze([1]).mul(1000).mul(exp(exponents));
  return concat([sin(angles), cos(angles)], 1);
}

/** Two normalised convolutions around a shortcut, shifted by the condition. */
function block(scope: Scope, x: Tensor, condition: Tensor, channels: number): Tensor {
  return scope.child('block', (inner) => {
    const apply = (layer: Layer, value: Tensor): Tensor => layer(inner, value);
    const groups = Math.min(8, channels);
    let h = apply(convolution({ channels, kernelSize: 3, padding: 1 }), x);
    h = silu(apply(groupNorm({ groups }), h));
    h = h.add(apply(dense({ units: channels, name: 'condition' }), condition).unsqueeze([2, 3]));
    h = silu(apply(groupNorm({ groups }), apply(convolution({ channels, kernelSize: 3, padding: 1 }), h)));
    const shortcut = x.shape[1] === channels ? x : apply(convolution({ channels, kernelSize: 1, name: 'shortcut' }), x);
    return h.add(shortcut);
  });
}

/** Repeat every pixel twice along height and width. */
function upsample(x: Tensor): Tensor {
  const [, channels, height, width] = x.shape as readonly [unknown, number, number, number];
  return x
    .reshape([-1, channels, height, 1, width, 1])
    .expand([1, 1, 1, 2, 1, 2])
    .reshape([-1, channels, 2 * height, 2 * width]);
}

/** U-Net (Ronneberger et al. 2015) conditioned on time (and class), as diffusion models use it: predicts an image. */
export const unet = (options: UnetOptions): Model => {
  const { input, width = 32, levels = 2, classes } = options;
  return defineModel({
    name: 'unet',
    inputs: {
      image: { dataType: 'float32', shape: ['batch', ...input] },
      time: { dataType: 'float32', shape: ['batch'] },
      ...(classes === undefined ? {} : { label: { dataType: 'int64', shape: ['batch'] } as const }),
    },
    build(scope, inputs) {
      let condition = silu(
        dense({ units: 4 * width, name: 'time' })(scope, timeFeatures(inputs['time'] as Tensor, width)),
      );
      const label = inputs['label'];
      if (classes !== undefined && label !== undefined)
        condition = condition.add(
          scope.parameter('classes', [classes + 1, 4 * width], { initialize: zeros, role: 'embedding' }).gather(label),
        );
      let x = convolution({ channels: width, kernelSize: 3, padding: 1, name: 'input' })(
        scope,
        inputs['image'] as Tensor,
      );
      const skips: Tensor[] = [];
      for (let level = 0; level < levels; level++) {
        x = block(scope, x, condition, width * 2 ** level);
        skips.push(x);
        x = meanPool({ size: 2 })(scope, x);
      }
      x = block(scope, x, condition, width * 2 ** levels);
      for (let level = levels - 1; level >= 0; level--)
        x = block(scope, concat([upsample(x), skips[level] as Tensor], 1), condition, width * 2 ** level);
      return convolution({ channels: input[0], kernelSize: 3, padding: 1, initialize: () => zeros, name: 'output' })(
        scope,
        x,
      );
    },
  });
};
