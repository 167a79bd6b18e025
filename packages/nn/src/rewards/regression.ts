import { OPTIONS, plugin, pluginFactory, type Objective, type ObjectiveContext, type Reward } from '@updraft/core';
import { softplus, where, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { columnNamed, outputNamed } from './cross-entropy.js';

const regressionOptions = z.object({
  target: z.string().default('target').describe('Batch column with the targets.'),
  output: z.string().default('output').describe('Model output that is compared with them.'),
});
const huberOptions = regressionOptions.extend({
  delta: z.number().positive().default(1).describe('Errors up to this are squared.'),
});

/** Mean over everything of an elementwise error. Subclasses have a constructor, since injection does not see an inherited one. */
abstract class ElementwiseError implements Reward {
  constructor(readonly options: z.output<typeof regressionOptions>) {}

  abstract error(prediction: Tensor, target: Tensor): Tensor;

  objective({ batch, forward }: ObjectiveContext): Objective {
    const errors = this.error(outputNamed(forward(), this.options.output), columnNamed(batch, this.options.target));
    const rest = errors.shape.slice(1).map((_, axis) => axis + 1);
    return { loss: errors.mean(), perExample: { loss: rest.length === 0 ? errors : errors.mean(rest) } };
  }
}

@plugin({ name: 'mean-squared-error', contract: 'reward', options: regressionOptions, summary: 'Mean squared error.' })
export class MeanSquaredError extends ElementwiseError {
  constructor(@inject(OPTIONS) options: z.output<typeof regressionOptions>) {
    super(options);
  }
  error(prediction: Tensor, target: Tensor): Tensor {
    return prediction.sub(target).square();
  }
}

@plugin({
  name: 'mean-absolute-error',
  contract: 'reward',
  options: regressionOptions,
  summary: 'Mean absolute error.',
})
export class MeanAbsoluteError extends ElementwiseError {
  constructor(@inject(OPTIONS) options: z.output<typeof regressionOptions>) {
    super(options);
  }
  error(prediction: Tensor, target: Tensor): Tensor {
    return prediction.sub(target).abs();
  }
}

@plugin({
  name: 'huber',
  contract: 'reward',
  options: huberOptions,
  summary: 'Quadratic for small errors, linear for large ones.',
  paper: 'Huber 1964, Robust Estimation of a Location Parameter',
})
export class Huber extends ElementwiseError {
  constructor(@inject(OPTIONS) override readonly options: z.output<typeof huberOptions>) {
    super(options);
  }
  error(prediction: Tensor, target: Tensor): Tensor {
    const { delta } = this.options;
    const distance = prediction.sub(target).abs();
    return where(distance.lessOrEqual(delta), distance.square().mul(0.5), distance.sub(0.5 * delta).mul(delta));
  }
}

@plugin({
  name: 'binary-cross-entropy',
  contract: 'reward',
  options: regressionOptions,
  summary: 'Cross entropy of sigmoid(output) against probabilities.',
})
export class BinaryCrossEntropy extends ElementwiseError {
  constructor(@inject(OPTIONS) options: z.output<typeof regressionOptions>) {
    super(options);
  }
  error(scores: Tensor, target: Tensor): Tensor {
    return softplus(scores).sub(scores.mul(target));
  }
}

export const meanSquaredError = pluginFactory(MeanSquaredError, regressionOptions);
export const meanAbsoluteError = pluginFactory(MeanAbsoluteError, regressionOptions);
export const huber = pluginFactory(Huber, huberOptions);
export const binaryCrossEntropy = pluginFactory(BinaryCrossEntropy, regressionOptions);
