import type { Reward } from '@updraft/core';
import { softplus, UpdraftError, where, type Tensor } from '@updraft/graph';
import { outputNamed } from './cross-entropy.js';

export interface RegressionOptions {
  /** Batch column with the targets; default: `target`. */
  readonly target?: string;
  readonly output?: string;
}

/** Mean over examples of the mean of `error` over all other axes. */
const fromErrors = (
  { target = 'target', output = 'output' }: RegressionOptions,
  error: (prediction: Tensor, target: Tensor) => Tensor,
): Reward => ({
  objective({ batch, forward }) {
    const prediction = outputNamed(forward(), output);
    const goal = batch[target];
    if (goal === undefined)
      throw new UpdraftError('reward', `The batch has no column "${target}".`, { hint: `It has: ${Object.keys(batch).join(', ')}.` });
    const errors = error(prediction, goal);
    const rest = errors.shape.slice(1).map((_, axis) => axis + 1);
    return { loss: errors.mean(), perExample: { loss: rest.length === 0 ? errors : errors.mean(rest) } };
  },
});

/** Mean squared error. */
export const meanSquaredError = (options: RegressionOptions = {}): Reward =>
  fromErrors(options, (prediction, target) => prediction.sub(target).square());

/** Mean absolute error. */
export const meanAbsoluteError = (options: RegressionOptions = {}): Reward =>
  fromErrors(options, (prediction, target) => prediction.sub(target).abs());

/** Huber 1964: quadratic up to `delta`, linear beyond. */
export const huber = ({ delta = 1, ...options }: RegressionOptions & { readonly delta?: number } = {}): Reward =>
  fromErrors(options, (prediction, target) => {
    const distance = prediction.sub(target).abs();
    return where(distance.lessOrEqual(delta), distance.square().mul(0.5), distance.sub(0.5 * delta).mul(delta));
  });

/** Cross entropy of sigmoid(output) against probabilities in [0, 1], from unnormalised scores. */
export const binaryCrossEntropy = (options: RegressionOptions = {}): Reward =>
  fromErrors(options, (scores, target) => softplus(scores).sub(scores.mul(target)));

