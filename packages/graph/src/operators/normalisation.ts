import { apply, applyNode } from '../apply.js';
import { isStatic, type Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { normalizeAxis, shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, FLOATS_BUT_BFLOAT16 } from '../type-sets.js';
import { checkBroadcastsTo, refuseEmpty, requireFilled } from './checks.js';

// Defaults of the ONNX specification.
const EPSILON = { kind: 'float', default: 1e-5 } as const;
const STASH_TYPE = { kind: 'int', default: 1 } as const;

/** One value per channel of `x` [batch, channels, ...]. */
function checkPerChannel(context: InferenceContext, x: Tensor, indices: readonly number[]): void {
  if (x.rank < 2)
    context.fail(`the input ${shapeText(x.shape)} has no channel axis`, 'It has to be [batch, channels, ...].');
  for (const index of indices) {
    const value = context.input(index);
    if (value.rank !== 1) context.fail(`input ${index} ${shapeText(value.shape)} must hold one value per channel`);
    context.unify(x.shape[1] as Dim, value.shape[0] as Dim, `channels of ${shapeText(x.shape)} and input ${index}`);
  }
}

const BATCH_NORMALIZATION: OperatorSchema = {
  type: 'BatchNormalization',
  since: 15,
  inputs: [
    { name: 'X', types: FLOATS, typeVariable: 'T' },
    { name: 'scale', types: FLOATS, typeVariable: 'T1' },
    { name: 'B', types: FLOATS, typeVariable: 'T1' },
    { name: 'input_mean', types: FLOATS, typeVariable: 'T2' },
    { name: 'input_var', types: FLOATS, typeVariable: 'T2' },
  ],
  attributes: {
    epsilon: EPSILON,
    momentum: { kind: 'float', default: 0.9 },
    training_mode: { kind: 'int', default: 0 },
  },
  outputs: [1, 3],
  infer(context) {
    const x = context.input(0);
    checkPerChannel(context, x, [1, 2, 3, 4]);
    const output = { dataType: x.dataType, shape: x.shape };
    const training = context.node.int('training_mode') !== 0;
    if (training !== context.outputCount > 1)
      context.fail(
        training ? 'training mode has three outputs' : 'running statistics are outputs of training mode only',
        'Use batchNormalization() for inference and batchNormalizationTraining() for training.',
      );
    if (!training) return [output];
    const statistics = { dataType: context.input(3).dataType, shape: [x.shape[1] as Dim] };
    return [output, statistics, statistics];
  },
};

/** First normalised axis of an operator that normalises `axis` and everything after it. */
function leadingAxis(context: InferenceContext, x: Tensor): number {
  if (x.rank === 0) context.fail('a scalar has no axis to normalise');
  const axis = context.node.int('axis');
  if (axis < -x.rank || axis >= x.rank) context.fail(`axis ${axis} is out of range for ${shapeText(x.shape)}`);
  return normalizeAxis(axis, x.rank);
}

const LAYER_NORMALIZATION: OperatorSchema = {
  type: 'LayerNormalization',
  since: 17,
  inputs: [
    { name: 'X', types: FLOATS, typeVariable: 'T' },
    { name: 'Scale', types: FLOATS, typeVariable: 'T' },
    { name: 'B', types: FLOATS, typeVariable: 'T', optional: true },
  ],
  attributes: { axis: { kind: 'int', default: -1 }, epsilon: EPSILON, stash_type: STASH_TYPE },
  outputs: [1, 3],
  infer(context) {
    const x = context.input(0);
    const axis = leadingAxis(context, x);
    const normalised = x.shape.slice(axis);
    refuseEmpty(context, normalised, 'the normalised part');
    checkBroadcastsTo(context, context.input(1), normalised, 'the scale');
    if (context.inputs[2] !== undefined) checkBroadcastsTo(context, context.inputs[2], normalised, 'the bias');
    const statistics = {
      dataType: context.node.int('stash_type') === 16 ? 'bfloat16' : 'float32',
      shape: x.shape.map((dim, index) => (index < axis ? dim : 1)),
    } as const;
    return [{ dataType: x.dataType, shape: x.shape }, statistics, statistics];
  },
};

const RMS_NORMALIZATION: OperatorSchema = {
  type: 'RMSNormalization',
  since: 23,
  inputs: [
    { name: 'X', types: FLOATS, typeVariable: 'T' },
    { name: 'scale', types: FLOATS, typeVariable: 'V' },
  ],
  attributes: { axis: { kind: 'int', default: -1 }, epsilon: EPSILON, stash_type: STASH_TYPE },
  infer(context) {
    const [x, scale] = [context.input(0), context.input(1)];
    const normalised = x.shape.slice(leadingAxis(context, x));
    refuseEmpty(context, normalised, 'the normalised part');
    checkBroadcastsTo(context, scale, normalised, 'the scale');
    return [{ dataType: scale.dataType, shape: x.shape }];
  },
};

const INSTANCE_NORMALIZATION: OperatorSchema = {
  type: 'InstanceNormalization',
  since: 6,
  inputs: [
    { name: 'input', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'scale', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'B', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
  ],
  attributes: { epsilon: EPSILON },
  infer(context) {
    const x = context.input(0);
    if (x.rank < 3) context.fail(`the input ${shapeText(x.shape)} has no spatial axis to normalise over`);
    requireFilled(context, x.shape, 'the input');
    checkPerChannel(context, x, [1, 2]);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

const GROUP_NORMALIZATION: OperatorSchema = {
  type: 'GroupNormalization',
  since: 21,
  inputs: [
    { name: 'X', types: FLOATS, typeVariable: 'T' },
    { name: 'scale', types: FLOATS, typeVariable: 'T' },
    { name: 'bias', types: FLOATS, typeVariable: 'T' },
  ],
  attributes: { num_groups: { kind: 'int', required: true }, epsilon: EPSILON, stash_type: STASH_TYPE },
  infer(context) {
    const x = context.input(0);
    if (x.rank < 3)
      context.fail(`the input ${shapeText(x.shape)} has no spatial axis`, 'It has to be [batch, channels, ...sizes].');
    refuseEmpty(context, x.shape, 'the input');
    checkPerChannel(context, x, [1, 2]);
    const groups = context.node.int('num_groups');
    const channels = x.shape[1] as Dim;
    if (groups < 1 || (isStatic(channels) && channels % groups !== 0))
      context.fail(`${isStatic(channels) ? channels : channels.text} channels do not divide into ${groups} groups`);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

const LRN: OperatorSchema = {
  type: 'LRN',
  since: 13,
  inputs: [{ name: 'X', types: FLOATS, typeVariable: 'T' }],
  attributes: {
    size: { kind: 'int', required: true },
    alpha: { kind: 'float', default: 1e-4 },
    beta: { kind: 'float', default: 0.75 },
    bias: { kind: 'float', default: 1 },
  },
  infer(context) {
    const { dataType, shape, rank } = context.input(0);
    if (rank < 2) context.fail(`the input ${shapeText(shape)} has no channel axis`);
    const size = context.node.int('size');
    if (size < 1) context.fail(`size is ${size}`, 'It is the number of neighbouring channels, at least 1.');
    return [{ dataType, shape }];
  },
};

const MEAN_VARIANCE_NORMALIZATION: OperatorSchema = {
  type: 'MeanVarianceNormalization',
  since: 13,
  inputs: [{ name: 'X', types: FLOATS, typeVariable: 'T' }],
  attributes: { axes: { kind: 'ints', default: [0, 2, 3] } },
  infer(context) {
    const { dataType, shape, rank } = context.input(0);
    for (const axis of context.node.ints('axes'))
      if (axis < -rank || axis >= rank) context.fail(`axis ${axis} is out of range for ${shapeText(shape)}`);
    return [{ dataType, shape }];
  },
};

const LP_NORMALIZATION: OperatorSchema = {
  type: 'LpNormalization',
  since: 1,
  inputs: [{ name: 'input', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' }],
  attributes: { axis: { kind: 'int', default: -1 }, p: { kind: 'int', default: 2 } },
  infer(context) {
    const x = context.input(0);
    leadingAxis(context, x);
    const p = context.node.int('p');
    if (p !== 1 && p !== 2) context.fail(`p is ${p}`, 'Only the 1-norm and the 2-norm exist.');
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

export const normalisationSchemas: readonly OperatorSchema[] = [
  BATCH_NORMALIZATION,
  LAYER_NORMALIZATION,
  RMS_NORMALIZATION,
  INSTANCE_NORMALIZATION,
  GROUP_NORMALIZATION,
  LRN,
  MEAN_VARIANCE_NORMALIZATION,
  LP_NORMALIZATION,
];

export interface BatchNormalizationOptions {
  /** Added to the variance; default: 1e-5. */
  readonly epsilon?: number;
}

/**
 * Normalise each channel of `x` [batch, channels, ...] with given statistics, then scale and shift; `scale`, `bias`,
 * `mean` and `variance` are [channels].
 */
export const batchNormalization = (
  x: Tensor,
  scale: Tensor,
  bias: Tensor,
  mean: Tensor,
  variance: Tensor,
  options: BatchNormalizationOptions = {},
): Tensor => apply(BATCH_NORMALIZATION, [x, scale, bias, mean, variance], { epsilon: options.epsilon });

/**
 * {@link batchNormalization} with the statistics of the batch itself (population variance). The running statistics
 * become `running * momentum + batch * (1 - momentum)`; momentum defaults to 0.9.
 */
export function batchNormalizationTraining(
  x: Tensor,
  scale: Tensor,
  bias: Tensor,
  runningMean: Tensor,
  runningVariance: Tensor,
  options: BatchNormalizationOptions & { readonly momentum?: number } = {},
): { output: Tensor; runningMean: Tensor; runningVariance: Tensor } {
  const outputs = applyNode(
    BATCH_NORMALIZATION,
    [x, scale, bias, runningMean, runningVariance],
    { epsilon: options.epsilon, momentum: options.momentum, training_mode: 1 },
    { outputs: 3 },
  ).outputs as readonly [Tensor, Tensor, Tensor];
  return { output: outputs[0], runningMean: outputs[1], runningVariance: outputs[2] };
}

export interface LayerNormalizationOptions {
  /** First normalised axis; all axes after it are normalised too. Default: -1. */
  readonly axis?: number;
  /** Added to the variance (to the mean square in RMS normalisation); default: 1e-5. */
  readonly epsilon?: number;
  /** `TensorProto.DataType` of the intermediate statistics: 1 (float32, default) or 16 (bfloat16). */
  readonly stashType?: 1 | 16;
}

const layerAttributes = (options: LayerNormalizationOptions) => ({
  axis: options.axis,
  epsilon: options.epsilon,
  stash_type: options.stashType,
});

/** Normalise the last axes of `x` to mean 0 and variance 1, then scale and shift (Ba et al. 2016). */
export const layerNormalization = (
  x: Tensor,
  scale: Tensor,
  bias?: Tensor,
  options: LayerNormalizationOptions = {},
): Tensor => apply(LAYER_NORMALIZATION, [x, scale, bias], layerAttributes(options));

/** {@link layerNormalization} with the statistics, normalised axes kept with size 1. */
export function layerNormalizationWithStatistics(
  x: Tensor,
  scale: Tensor,
  bias?: Tensor,
  options: LayerNormalizationOptions = {},
): { output: Tensor; mean: Tensor; inverseStandardDeviation: Tensor } {
  const outputs = applyNode(LAYER_NORMALIZATION, [x, scale, bias], layerAttributes(options), { outputs: 3 })
    .outputs as readonly [Tensor, Tensor, Tensor];
  return { output: outputs[0], mean: outputs[1], inverseStandardDeviation: outputs[2] };
}

/** Divide the last axes of `x` by their root mean square, then scale (Zhang and Sennrich 2019). ONNX opset 23. */
export const rmsNormalization = (x: Tensor, scale: Tensor, options: LayerNormalizationOptions = {}): Tensor =>
  apply(RMS_NORMALIZATION, [x, scale], layerAttributes(options));

/** Normalise each channel of each example of `x` [batch, channels, ...sizes]; `scale` and `bias` are [channels]. */
export const instanceNormalization = (
  x: Tensor,
  scale: Tensor,
  bias: Tensor,
  options: { readonly epsilon?: number } = {},
): Tensor => apply(INSTANCE_NORMALIZATION, [x, scale, bias], { epsilon: options.epsilon });

/** Normalise groups of channels of each example (Wu and He 2018); `scale` and `bias` are [channels]. */
export const groupNormalization = (
  x: Tensor,
  scale: Tensor,
  bias: Tensor,
  options: { readonly groups: number; readonly epsilon?: number; readonly stashType?: 1 | 16 },
): Tensor =>
  apply(GROUP_NORMALIZATION, [x, scale, bias], {
    num_groups: options.groups,
    epsilon: options.epsilon,
    stash_type: options.stashType,
  });

/** Local response normalisation over `size` neighbouring channels (Krizhevsky et al. 2012). */
export const lrn = (
  x: Tensor,
  options: { readonly size: number; readonly alpha?: number; readonly beta?: number; readonly bias?: number },
): Tensor => apply(LRN, [x], { size: options.size, alpha: options.alpha, beta: options.beta, bias: options.bias });

/** Subtract the mean over `axes` (default [0, 2, 3]) and divide by the standard deviation. */
export const meanVarianceNormalization = (x: Tensor, axes?: readonly number[]): Tensor =>
  apply(MEAN_VARIANCE_NORMALIZATION, [x], { axes });

/** Divide by the 1- or 2-norm (default) along `axis` (default -1). */
export const lpNormalization = (x: Tensor, options: { readonly axis?: number; readonly p?: 1 | 2 } = {}): Tensor =>
  apply(LP_NORMALIZATION, [x], { axis: options.axis, p: options.p });
