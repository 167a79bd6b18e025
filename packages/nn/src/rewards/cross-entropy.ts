import { OPTIONS, plugin, pluginFactory, type Objective, type ObjectiveContext, type Reward } from '@updraft/core';
import {
  argMax,
  equal,
  gatherElements,
  sizeOf,
  softmaxCrossEntropyLossWithLogProbabilities,
  UpdraftError,
  type Tensor,
} from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const crossEntropyOptions = z.object({
  label: z.string().default('label').describe('Batch column with class numbers (int64).'),
  output: z.string().default('logits').describe('Model output with unnormalised scores.'),
});

/** Model output by name; the only one when there is just one. */
export function outputNamed(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = outputs[name] ?? (Object.keys(outputs).length === 1 ? Object.values(outputs)[0] : undefined);
  if (found === undefined)
    throw new UpdraftError('reward', `The model has no output "${name}".`, {
      hint: `It has: ${Object.keys(outputs).join(', ')}.`,
    });
  return found;
}

/** Batch column by name. */
export function columnNamed(batch: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = batch[name];
  if (found === undefined)
    throw new UpdraftError('reward', `The batch has no column "${name}".`, {
      hint: `It has: ${Object.keys(batch).join(', ')}.`,
    });
  return found;
}

/**
 * Mean cross entropy of softmax(logits) against class numbers, with accuracy. Logits are [..., classes], labels [...]:
 * [batch] for classification, [batch, length] for language models.
 */
@plugin({
  name: 'cross-entropy',
  contract: 'reward',
  options: crossEntropyOptions,
  summary: 'Cross entropy of softmax scores against class numbers.',
})
export class CrossEntropy implements Reward {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof crossEntropyOptions>) {}

  objective({ batch, forward, training, noise }: ObjectiveContext): Objective {
    const logits = outputNamed(forward(), this.options.output);
    const labels = columnNamed(batch, this.options.label);
    const classes = logits.shape[logits.rank - 1];
    if (typeof classes !== 'number')
      throw new UpdraftError('reward', 'The number of classes must be known when the graph is built.');
    const rows = logits.rank === 2 ? logits : logits.reshape([-1, classes]);
    const targets = labels.rank === 1 ? labels : labels.reshape([-1]);
    const { loss, logProbabilities } = softmaxCrossEntropyLossWithLogProbabilities(rows, targets);
    const predictions = argMax(rows, 1, { keepDims: false });
    const losses = gatherElements(logProbabilities, targets.unsqueeze([1]), { axis: 1 }).neg();
    const rest = labels.shape.slice(1).map(Number);
    return {
      loss,
      metrics: { accuracy: equal(predictions, targets).cast('float32').mean() },
      perExample: {
        loss:
          rest.length === 0 ? losses.squeeze([1]) : losses.reshape([-1, ...rest]).mean(rest.map((_, axis) => axis + 1)),
        ...(rest.length === 0 && !training ? { label: labels, prediction: predictions } : {}),
      },
      sampled: () => {
        // Gumbel's trick, of uniform numbers: runtimes lack an operator that draws from a categorical distribution.
        const uniform = noise('sampledLabels', logits.shape, 'uniform');
        const gumbel = uniform.log().neg().log().neg().reshape([-1, classes]);
        const drawn = rows.cast('float32').add(gumbel).argMax(1);
        return {
          loss: softmaxCrossEntropyLossWithLogProbabilities(rows, drawn).loss,
          predictions: sizeOf(rows, [0]).cast('float32'),
        };
      },
    };
  }
}

export const crossEntropy = pluginFactory(CrossEntropy, crossEntropyOptions);
