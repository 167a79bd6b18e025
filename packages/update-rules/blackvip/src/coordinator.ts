import { defineModel, type Initializer, type Layer, type Model, type Scope } from '@updraft/core';
import { concat, expand, fill, shapeOf, UpdraftError, type Tensor } from '@updraft/graph';
import { batchNorm, convolution, gelu, sequential, transposedConvolution, uniform, type Fans } from '@updraft/nn';

/** Channels, height and width. */
export type ImageShape = readonly [number, number, number];

/** Bounds of a valid pixel: those of [0, 1] after (pixel − mean) / deviation per channel, or bounds for all channels. */
export type PixelRange =
  | { readonly mean: readonly number[]; readonly deviation: readonly number[] }
  | { readonly from: number; readonly to: number };

export interface CoordinatorOptions {
  readonly imageShape: ImageShape;
  /**
   * Images to features [batch, z], which a learned trigger vector completes (a frozen model: see `frozen` of @updraft/core),
   * or to maps [batch, channels, height, width], from which the decoder starts (`scratchEncoder`).
   */
  readonly encoder: Layer;
  /** Channels of the maps that features and trigger are cut into. Default 32. */
  readonly sourceChannels?: number;
  /** Length of the trigger, instead of the `sourceChannels` that follow from it. */
  readonly triggerDim?: number;
  /** Channels after each doubling of the size but the last one. Default [64, 32, 32, 16]: five doublings. */
  readonly channels?: readonly number[];
  /** Groups of the first up-sampling; default: as many as divide its channels, before and after. */
  readonly firstGroups?: number;
  /** How strong the prompt is, p_ε; default 1. */
  readonly pEps?: number;
  /** Range to clip prompted images to; default [0, 1]. False leaves them. */
  readonly clip?: PixelRange | false;
}

const refuse = (message: string, hint: string): never => {
  throw new UpdraftError('module', `coordinator(): ${message}`, { hint });
};
const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

/** Weights and biases of transposed convolutions as PyTorch draws them. */
const asTorch = (fans: Fans): Initializer => uniform(1 / Math.sqrt(fans.out));

/** 1. The learned part: five (or other) doublings of the size, from maps to an image-sized prompt. */
function decode(scope: Scope, maps: Tensor, options: CoordinatorOptions): Tensor {
  const { imageShape, channels = [64, 32, 32, 16], firstGroups } = options;
  const up = (to: number, groups: number, bias = true): Layer =>
    transposedConvolution({
      channels: to,
      kernelSize: 2,
      stride: 2,
      groups,
      bias,
      initialize: asTorch,
      initializeBias: asTorch,
    });
  const mix = (to: number): Layer =>
    transposedConvolution({ channels: to, kernelSize: 1, bias: false, initialize: asTorch, name: 'mix' });
  let value = maps;
  channels.forEach((out, stage) => {
    const incoming = value.shape[1] as number;
    const middle = stage === 0 ? out : incoming;
    const groups = (stage === 0 ? firstGroups : undefined) ?? greatestDivisor(incoming, middle);
    value = sequential(up(middle, groups), mix(out), batchNorm(), gelu)(scope, value);
  });
  return up(imageShape[0], 1, false)(scope, value);
}

/** Features [batch, z] and the trigger, side by side, as maps. */
function withTrigger(scope: Scope, features: Tensor, options: CoordinatorOptions): Tensor {
  const { imageShape, sourceChannels = 32, triggerDim, channels = [64, 32, 32, 16] } = options;
  const [, ...sizes] = imageShape;
  const [height, width] = sizes.map((size) => size / 2 ** (channels.length + 1)) as [number, number];
  if (!Number.isInteger(height) || !Number.isInteger(width))
    refuse(
      `an image of ${sizes.join(' × ')} is not ${channels.length + 1} doublings of a whole size.`,
      'Give a list of channels that is one shorter than the doublings.',
    );
  const z = features.shape[1];
  if (typeof z !== 'number') return refuse('the number of features is not known.', 'Let the encoder flatten them.');
  const length = triggerDim ?? sourceChannels * height * width - z;
  if (length < 1 || (z + length) % (height * width) !== 0)
    refuse(
      `${z} features and a trigger of ${length} do not fill maps of ${height} × ${width}.`,
      `Their sum is a multiple of ${height * width}; take other sourceChannels or another triggerDim.`,
    );
  const trigger = scope.parameter('trigger', [1, length], {
    // Uniform over [0, 0.1).
    initialize: (shape, random) => {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
      random.fillUniform(values);
      return values.map((value) => 0.1 * value);
    },
  });
  const rows = features.slice([0], [1], [1]);
  const repeated = expand(trigger, concat([shapeOf(rows).slice([0], [1], [0]), scope.graph.ints([length])], 0));
  return concat([features, repeated], 1).reshape([-1, (z + length) / (height * width), height, width]);
}

/** h(x): images [batch, ...imageShape] to prompts of the same shape. Trains the trigger and the decoder. */
export const coordinatorPrompt =
  (options: CoordinatorOptions): Layer =>
  (scope, images) =>
    scope.child('coordinator', (inner) => {
      const encoded = options.encoder(inner, images);
      return decode(inner, encoded.rank === 2 ? withTrigger(inner, encoded, options) : encoded, options);
    });

/** 2. x̃ = clip(x + p_ε·prompt). */
export function prompted(
  images: Tensor,
  prompt: Tensor,
  { pEps = 1, clip = { from: 0, to: 1 } }: Pick<CoordinatorOptions, 'pEps' | 'clip'> = {},
): Tensor {
  const sum = images.add(prompt.mul(pEps));
  if (clip === false) return sum;
  if ('from' in clip) return sum.clip(clip.from, clip.to);
  const bound = (pixel: number): Tensor => {
    const data = clip.mean.map((mean, channel) => (pixel - mean) / (clip.deviation[channel] as number));
    return images.graph.constant({ dataType: 'float32', dims: [data.length, 1, 1], data: Float32Array.from(data) });
  };
  return sum.maximum(bound(0)).minimum(bound(1));
}

/**
 * The Coordinator (Oh et al. 2023, section 4.1): images to prompted images x̃ = clip(x + p_ε·h(x)), where h is a frozen
 * encoder and a small decoder that is trained.
 *
 * @throws UpdraftError where the sizes do not fit.
 */
export const coordinator =
  (options: CoordinatorOptions): Layer =>
  (scope, images) =>
    prompted(images, coordinatorPrompt(options)(scope, images), options);

export interface PadPromptOptions extends Pick<CoordinatorOptions, 'imageShape' | 'pEps' | 'clip'> {
  /** Width of the frame in pixels. */
  readonly padSize: number;
  /** Default: standard normal, as in the authors' code. */
  readonly initialize?: Initializer;
}

/** One prompt for all images: a learned frame (Bahng et al. 2022), the baseline VP. */
export const padPrompt =
  ({ imageShape, padSize, initialize, ...options }: PadPromptOptions): Layer =>
  (scope, images) =>
    scope.child('frame', (inner) => {
      const [channels, height, width] = imageShape;
      const part = (name: string, ...sizes: readonly number[]): Tensor =>
        inner.parameter(name, [1, channels, ...sizes], { initialize: initialize ?? normals, role: 'other' });
      const [top, bottom] = [part('top', padSize, width), part('bottom', padSize, width)];
      const [left, right] = [part('left', height - 2 * padSize, padSize), part('right', height - 2 * padSize, padSize)];
      const hole = fill(inner.graph, [1, channels, height - 2 * padSize, width - 2 * padSize], 0);
      return prompted(images, concat([top, concat([left, hole, right], 3), bottom], 2), options);
    });

const normals: Initializer = (shape, random) => {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  random.fillNormal(values);
  return values;
};

/**
 * The trainable encoder of the variant without a pre-trained one ("scratch"): per stage a 3×3 convolution and one of 2×2
 * that halves the size, batch normalisation and GELU.
 *
 * @param channels Pairs of channels of the two convolutions of each stage; default: the authors' five stages to 32 maps.
 */
export const scratchEncoder =
  (
    channels: readonly (readonly [number, number])[] = [
      [32, 32],
      [32, 64],
      [64, 64],
      [64, 128],
      [128, 32],
    ],
  ): Layer =>
  (scope, images) => {
    const asTorchConvolution = (fans: Fans): Initializer => uniform(1 / Math.sqrt(fans.in));
    return scope.child('encoder', (inner) =>
      channels.reduce<Tensor>(
        (value, [wide, out]) =>
          sequential(
            convolution({ channels: wide, kernelSize: 3, padding: 1, initialize: asTorchConvolution }),
            convolution({
              channels: out,
              kernelSize: 2,
              stride: 2,
              bias: false,
              initialize: asTorchConvolution,
              name: 'halve',
            }),
            batchNorm(),
            gelu,
          )(inner, value),
        images,
      ),
    );
  };

export interface PromptedModelOptions {
  readonly imageShape: ImageShape;
  /** Images to prompted images: `coordinator(…)`, `padPrompt(…)`. */
  readonly prompt: Layer;
  /** Images to logits. Its parameters, if it declares any, would be trained: give a frozen one. */
  readonly blackBox: Layer;
  /** Batch column with the images; default `image`. */
  readonly column?: string;
}

/** B(x̃): a black box behind a prompt, whose parameters are those of the prompt. */
export const promptedModel = ({ imageShape, prompt, blackBox, column = 'image' }: PromptedModelOptions): Model =>
  defineModel({
    name: 'prompted',
    inputs: { [column]: { dataType: 'float32', shape: ['batch', ...imageShape] } },
    build: (scope, inputs) => ({ logits: blackBox(scope, prompt(scope, inputs[column] as Tensor)) }),
  });
