import {
  div,
  equal,
  exp,
  logSoftmax,
  mul,
  reduceSum,
  scatterElements,
  sub,
  unsqueeze,
  where,
  zerosLike,
  type Tensor,
} from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

interface LabelTerms {
  /** Labels with ignored positions replaced by class 0, so that they index safely: [batch, ...]. */
  readonly labels: Tensor;
  /** Weight of every position: class weight, 0 where ignored; [batch, ...]. */
  readonly weights: Tensor;
}

/** Weights and safe labels of a classification loss. */
function labelTerms(context: DerivativeContext, like: Tensor): LabelTerms {
  const { node } = context;
  const given = context.input(1);
  const classWeights = context.inputs[2];
  const ignoreIndex = node.attribute('ignore_index', 'int');
  const ones = zerosLike(given).cast(like.dataType).add(1);
  const ignored =
    ignoreIndex === undefined ? undefined : equal(given, given.graph.constant(Number(ignoreIndex), given.dataType));
  const labels = ignored === undefined ? given : where(ignored, zerosLike(given), given);
  const weights = classWeights === undefined ? ones : classWeights.gather(labels, 0);
  return { labels, weights: ignored === undefined ? weights : where(ignored, zerosLike(weights), weights) };
}

/** Gradient of the loss with respect to the loss of every position, as [batch, ...]. */
function positionGradient(context: DerivativeContext, { weights }: LabelTerms): Tensor {
  const gradient = context.gradient(0);
  switch (context.node.string('reduction')) {
    case 'none':
    case 'sum':
      return mul(gradient, weights);
    default:
      return mul(div(gradient, reduceSum(weights, undefined, { keepDims: false })), weights);
  }
}

/** Minus the gradient of every position, placed at the class of its label: zeros elsewhere. */
const placed = (scores: Tensor, { labels }: LabelTerms, values: Tensor): Tensor =>
  scatterElements(zerosLike(scores), unsqueeze(labels, [1]), unsqueeze(values, [1]), { axis: 1 });

const failOnWeights = (context: DerivativeContext): void => {
  if (context.needs(2)) context.fail('class weights have no derivative', 'Pass them through stopGradient().');
};

export const lossRules: readonly DerivativeRule[] = [
  {
    operator: 'SoftmaxCrossEntropyLoss',
    order: 'any',
    notes: 'class weights carry no gradient',
    backward(context) {
      failOnWeights(context);
      const scores = context.input(0);
      const terms = labelTerms(context, scores);
      const logProbabilities = context.outputs[1] ?? logSoftmax(scores, 1);
      const probabilities = exp(logProbabilities);
      let result: Tensor | undefined;
      if (context.outputGradients[0] !== undefined) {
        const flowing = positionGradient(context, terms);
        // w·(softmax - one hot), without a one-hot tensor.
        result = sub(mul(probabilities, unsqueeze(flowing, [1])), placed(scores, terms, flowing));
      }
      const alongside = context.outputGradients[1];
      if (alongside !== undefined) {
        const second = sub(alongside, mul(probabilities, reduceSum(alongside, [1], { keepDims: true })));
        result = result === undefined ? second : result.add(second);
      }
      return [result];
    },
  },
  {
    operator: 'NegativeLogLikelihoodLoss',
    order: 'any',
    notes: 'class weights carry no gradient',
    backward(context) {
      failOnWeights(context);
      const terms = labelTerms(context, context.input(0));
      return [placed(context.input(0), terms, positionGradient(context, terms).neg())];
    },
  },
  {
    operator: 'Dropout',
    order: 'any',
    notes: 'needs the mask output in training mode',
    backward(context) {
      const { node } = context;
      const training = node.inputs[2];
      const gradient = context.gradient(0);
      const mode = training?.constant?.data[0];
      if (training === undefined || mode === 0) return [gradient];
      const mask = context.outputs[1] ?? context.fail('its mask is not an output', 'Build it with dropoutWithMask().');
      const ratio = context.inputs[1];
      const keep = ratio === undefined ? 0.5 : sub(1, ratio.cast(gradient.dataType));
      const scaled = mul(where(mask, gradient, zerosLike(gradient)), div(1, asScalar(keep, gradient)));
      return [mode === undefined ? where(training, scaled, gradient) : scaled];
    },
  },
];

const asScalar = (value: Tensor | number, like: Tensor): Tensor =>
  typeof value === 'number' ? like.graph.constant(value, like.dataType) : value;
