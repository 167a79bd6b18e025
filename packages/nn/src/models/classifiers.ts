import { defineModel, type Layer, type Model } from '@updraft/core';
import { heNormal } from '../initializers.js';
import { attention } from '../layers/attention.js';
import { flatten, gelu, named, relu, residual, sequential } from '../layers/compose.js';
import { convolution } from '../layers/convolution.js';
import { dense } from '../layers/dense.js';
import { batchNorm, layerNorm } from '../layers/normalization.js';
import { patchEmbedding } from '../layers/patch-embedding.js';
import { globalMeanPool, maxPool } from '../layers/pooling.js';

export interface ClassifierInput {
  /** Shape of one example. */
  readonly input: readonly number[];
  readonly classes: number;
  /** Name of the batch column with the examples; default: `image`. */
  readonly column?: string;
}

const classifier = (name: string, { input, column = 'image' }: ClassifierInput, layers: Layer): Model =>
  defineModel({
    name,
    inputs: { [column]: { dataType: 'float32', shape: ['batch', ...input] } },
    build: (scope, inputs) => ({ logits: layers(scope, inputs[column] as Parameters<Layer>[1]) }),
  });

/** Multi-layer perceptron with ReLU; flattens its input. */
export const mlp = (options: ClassifierInput & { readonly hidden: readonly number[] }): Model =>
  classifier(
    'mlp',
    options,
    sequential(
      ...(options.input.length > 1 ? [flatten] : []),
      ...options.hidden.flatMap((units) => [dense({ units, initialize: heNormal }), relu]),
      dense({ units: options.classes, name: 'head' }),
    ),
  );

/** Small convolutional network in the manner of LeNet-5 (LeCun et al. 1998), with ReLU and max pooling. */
export const lenet = (
  options: ClassifierInput & {
    readonly channels?: readonly number[];
    readonly kernelSize?: number;
    readonly hidden?: number;
  },
): Model =>
  classifier(
    'lenet',
    options,
    sequential(
      ...(options.channels ?? [16, 32]).flatMap((channels) => [
        convolution({ channels, kernelSize: options.kernelSize ?? 5 }),
        // Equal to ReLU before pooling, as both are monotone, on a quarter of the elements.
        maxPool({ size: 2 }),
        relu,
      ]),
      flatten,
      dense({ units: options.hidden ?? 128, initialize: heNormal }),
      relu,
      dense({ units: options.classes, name: 'head' }),
    ),
  );

/** Two 3×3 convolutions with batch normalisation around a shortcut (He et al. 2016). */
const residualBlock =
  (channels: number, stride: number): Layer =>
  (scope, x) =>
    scope.child('block', (inner) => {
      const main = sequential(
        convolution({ channels, kernelSize: 3, stride, padding: 1, bias: false }),
        batchNorm(),
        relu,
        convolution({ channels, kernelSize: 3, padding: 1, bias: false }),
        batchNorm(),
      )(inner, x);
      const same = stride === 1 && x.shape[1] === channels;
      const shortcut = same
        ? x
        : sequential(convolution({ channels, kernelSize: 1, stride, bias: false, name: 'shortcut' }), batchNorm())(
            inner,
            x,
          );
      return main.add(shortcut).relu();
    });

/** Residual network for small images: three stages of doubling width (He et al. 2016, section 4.2). */
export const resnet = (
  options: ClassifierInput & { readonly width?: number; readonly blocksPerStage?: number },
): Model => {
  const { width = 16, blocksPerStage = 1 } = options;
  const stages = [0, 1, 2].flatMap((stage) =>
    Array.from({ length: blocksPerStage }, (_, block) =>
      residualBlock(width * 2 ** stage, stage > 0 && block === 0 ? 2 : 1),
    ),
  );
  return classifier(
    'resnet',
    options,
    sequential(
      convolution({ channels: width, kernelSize: 3, padding: 1, bias: false }),
      batchNorm(),
      relu,
      ...stages,
      globalMeanPool,
      dense({ units: options.classes, name: 'head' }),
    ),
  );
};

export interface TransformerBlockOptions {
  readonly heads: number;
  readonly width: number;
  readonly causal?: boolean;
  readonly rotary?: boolean;
  readonly keyValueHeads?: number;
  readonly expansion?: number;
}

/** Pre-norm transformer block: attention, then a two-layer perceptron with GELU, each around a shortcut. */
export const transformerBlock = (options: TransformerBlockOptions): Layer =>
  named(
    'block',
    sequential(
      residual(
        layerNorm({ name: 'norm' }),
        attention({
          heads: options.heads,
          ...(options.causal === undefined ? {} : { causal: options.causal }),
          ...(options.rotary === undefined ? {} : { rotary: options.rotary }),
          ...(options.keyValueHeads === undefined ? {} : { keyValueHeads: options.keyValueHeads }),
        }),
      ),
      residual(
        layerNorm({ name: 'norm' }),
        dense({ units: options.width * (options.expansion ?? 4), name: 'expand' }),
        gelu,
        dense({ units: options.width, name: 'contract' }),
      ),
    ),
  );

/** Vision transformer (Dosovitskiy et al. 2020) with mean pooling over patches. */
export const vit = (
  options: ClassifierInput & {
    readonly patchSize: number;
    readonly width: number;
    readonly depth: number;
    readonly heads: number;
  },
): Model =>
  classifier(
    'vit',
    options,
    sequential(
      patchEmbedding({ patchSize: options.patchSize, units: options.width }),
      ...Array.from({ length: options.depth }, () => transformerBlock({ heads: options.heads, width: options.width })),
      layerNorm({ name: 'norm' }),
      (_scope, x) => x.mean([1]),
      dense({ units: options.classes, name: 'head' }),
    ),
  );
