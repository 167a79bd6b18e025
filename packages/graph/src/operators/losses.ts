import { apply, applyNode } from '../apply.js';
import type { Dim } from '../dimension.js';
import type { AttributeSchema, InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, FLOATS_BUT_BFLOAT16, INDICES } from '../type-sets.js';
import { refuseEmpty } from './checks.js';

const LOSS_ATTRIBUTES: Readonly<Record<string, AttributeSchema>> = {
  reduction: { kind: 'string', default: 'mean', values: ['none', 'sum', 'mean'] },
  ignore_index: { kind: 'int' },
};

/** Shape of a loss of scores [batch, classes, ...positions] against labels [batch, ...positions]. */
function lossShape(context: InferenceContext): Shape {
  const [scores, labels] = [context.input(0), context.input(1)];
  const expected = `scores ${shapeText(scores.shape)} and labels ${shapeText(labels.shape)}`;
  if (scores.rank < 2 || labels.rank !== scores.rank - 1)
    context.fail(
      `${expected} do not fit`,
      'Scores are [batch, classes, ...], labels hold class numbers and lack the class axis.',
    );
  const shape = labels.shape.map((dim, axis) =>
    context.unify(scores.shape[axis === 0 ? 0 : axis + 1] as Dim, dim, `${expected}, label axis ${axis}`),
  );
  refuseEmpty(context, scores.shape, 'the scores');
  const weights = context.inputs[2];
  if (weights !== undefined) {
    if (weights.rank !== 1) context.fail(`the weights ${shapeText(weights.shape)} must hold one value per class`);
    context.unify(scores.shape[1] as Dim, weights.shape[0] as Dim, 'classes and weights');
  }
  return context.node.string('reduction') === 'none' ? shape : [];
}

const SOFTMAX_CROSS_ENTROPY_LOSS: OperatorSchema = {
  type: 'SoftmaxCrossEntropyLoss',
  since: 13,
  inputs: [
    { name: 'scores', types: FLOATS, typeVariable: 'T' },
    { name: 'labels', types: INDICES },
    { name: 'weights', types: FLOATS, typeVariable: 'T', optional: true },
  ],
  attributes: LOSS_ATTRIBUTES,
  outputs: [1, 2],
  infer(context) {
    const { dataType, shape } = context.input(0);
    return [
      { dataType, shape: lossShape(context) },
      { dataType, shape },
    ];
  },
};

const NEGATIVE_LOG_LIKELIHOOD_LOSS: OperatorSchema = {
  type: 'NegativeLogLikelihoodLoss',
  since: 13,
  inputs: [
    { name: 'input', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'target', types: INDICES },
    { name: 'weight', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T', optional: true },
  ],
  attributes: LOSS_ATTRIBUTES,
  infer: (context) => [{ dataType: context.input(0).dataType, shape: lossShape(context) }],
};

export const lossSchemas: readonly OperatorSchema[] = [SOFTMAX_CROSS_ENTROPY_LOSS, NEGATIVE_LOG_LIKELIHOOD_LOSS];

export interface ClassificationLossOptions {
  /** Weight of each class, [classes]; the mean divides by the sum of the weights that count. */
  readonly weights?: Tensor;
  /** Default: mean. */
  readonly reduction?: 'none' | 'sum' | 'mean';
  /** Positions with this label count for nothing. It may lie outside the range of classes. */
  readonly ignoreIndex?: number;
}

const lossAttributes = (options: ClassificationLossOptions) => ({
  reduction: options.reduction,
  ignore_index: options.ignoreIndex,
});

/** Cross entropy of softmax(scores) against class numbers: scores [batch, classes, ...], labels [batch, ...]. */
export const softmaxCrossEntropyLoss = (
  scores: Tensor,
  labels: Tensor,
  options: ClassificationLossOptions = {},
): Tensor => apply(SOFTMAX_CROSS_ENTROPY_LOSS, [scores, labels, options.weights], lossAttributes(options));

/** {@link softmaxCrossEntropyLoss} together with the logarithms of the probabilities, shaped as `scores`. */
export function softmaxCrossEntropyLossWithLogProbabilities(
  scores: Tensor,
  labels: Tensor,
  options: ClassificationLossOptions = {},
): { loss: Tensor; logProbabilities: Tensor } {
  const [loss, logProbabilities] = applyNode(
    SOFTMAX_CROSS_ENTROPY_LOSS,
    [scores, labels, options.weights],
    lossAttributes(options),
    { outputs: 2 },
  ).outputs as readonly [Tensor, Tensor];
  return { loss, logProbabilities };
}

/** Minus the log-probability of each label: log-probabilities [batch, classes, ...], labels [batch, ...]. */
export const negativeLogLikelihoodLoss = (
  logProbabilities: Tensor,
  labels: Tensor,
  options: ClassificationLossOptions = {},
): Tensor => apply(NEGATIVE_LOG_LIKELIHOOD_LOSS, [logProbabilities, labels, options.weights], lossAttributes(options));
