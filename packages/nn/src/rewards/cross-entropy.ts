import type { Reward } from '@updraft/core';
import { argMax, equal, gatherElements, softmaxCrossEntropyLossWithLogProbabilities, UpdraftError, type Tensor } from '@updraft/graph';

export interface CrossEntropyOptions {
  /** Batch column with class numbers (int64); default: `label`. */
  readonly label?: string;
  /** Model output with unnormalised scores; default: `logits`. */
  readonly output?: string;
}

/** Model output by name; the only one when there is just one. */
export function outputNamed(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = outputs[name] ?? (Object.keys(outputs).length === 1 ? Object.values(outputs)[0] : undefined);
  if (found === undefined)
    throw new UpdraftError('reward', `The model has no output "${name}".`, { hint: `It has: ${Object.keys(outputs).join(', ')}.` });
  return found;
}

function columnNamed(batch: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = batch[name];
  if (found === undefined)
    throw new UpdraftError('reward', `The batch has no column "${name}".`, { hint: `It has: ${Object.keys(batch).join(', ')}.` });
  return found;
}

/**
 * Mean cross entropy of softmax(logits) against class numbers, with accuracy. Logits are [..., classes], labels [...]:
 * [batch] for classification, [batch, length] for language models.
 */
export const crossEntropy = ({ label = 'label', output = 'logits' }: CrossEntropyOptions = {}): Reward => ({
  objective({ batch, forward, training }) {
    const logits = outputNamed(forward(), output);
    const labels = columnNamed(batch, label);
    const classes = logits.shape[logits.rank - 1];
    if (typeof classes !== 'number') throw new UpdraftError('reward', 'The number of classes must be known when the graph is built.');
    const rows = logits.rank === 2 ? logits : logits.reshape([-1, classes]);
    const targets = labels.rank === 1 ? labels : labels.reshape([-1]);
    const { loss, logProbabilities } = softmaxCrossEntropyLossWithLogProbabilities(rows, targets);
    const predictions = argMax(rows, 1, { keepDims: false });
    const accuracy = equal(predictions, targets).cast('float32').mean();
    const losses = gatherElements(logProbabilities, targets.unsqueeze([1]), { axis: 1 }).neg();
    const perExample = labels.rank === 1 ? losses.squeeze([1]) : losses.reshape([...labels.shape.map((dim, axis) => (axis === 0 ? -1 : Number(dim)))]).mean(labels.shape.slice(1).map((_, axis) => axis + 1));
    return {
      loss,
      metrics: { accuracy },
      perExample: {
        loss: perExample,
        ...(labels.rank === 1 && !training ? { label: labels, prediction: predictions } : {}),
      },
    };
  },
});

