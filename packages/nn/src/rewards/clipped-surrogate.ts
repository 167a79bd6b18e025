import {
  defineOptions,
  OPTIONS,
  plugin,
  pluginFactory,
  type Objective,
  type ObjectiveContext,
  type Reward,
} from '@updraft/core';
import { gatherElements, onesLike, sizeOf, UpdraftError, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { columnNamed, outputNamed } from './cross-entropy.js';

/** Options of a clipped surrogate, for rewards that have one. */
export const clippedSurrogateFields = {
  clip: z.number().positive().default(0.2).describe('The ratio of probabilities counts within [1 − clip, 1 + clip].'),
  aggregation: z
    .enum(['token-mean', 'sequence-mean', 'sequence-sum'])
    .default('token-mean')
    .describe('Mean over all tokens, mean over sequences of the mean over their tokens, or of the sum over them.'),
  output: z.string().default('logits').describe('Model output with the logits of each token, [batch, length, tokens].'),
  tokens: z.string().default('tokens').describe('Batch column with the tokens that were drawn, int64 [batch, length].'),
  advantage: z
    .string()
    .default('advantage')
    .describe('Batch column with the advantage of each sequence, float32 [batch].'),
  oldLogProbs: z
    .string()
    .default('oldLogProbs')
    .describe('Batch column with the log-probabilities of the tokens when they were drawn, float32 [batch, length].'),
  mask: z
    .string()
    .optional()
    .describe('Batch column with 1 where a token counts and 0 elsewhere, float32 [batch, length]; default: all count.'),
};

const clippedSurrogateOptions = defineOptions(clippedSurrogateFields);

/** Logarithms of ratios beyond this are cut off, so that no ratio overflows and makes a gradient NaN. */
const LARGEST_LOG_RATIO = 20;

/**
 * Policy gradient with a clipped ratio (Schulman et al. 2017, Proximal Policy Optimization), on whole sequences with one advantage
 * each, as in GRPO: the loss of a token is −min(r·A, clip(r)·A) with r the ratio of its probability now to that when it was
 * drawn. Its gradient at r = 1 is that of −A·log π. Metrics: `clippedShare` of the tokens that count, `meanRatio`.
 */
@plugin({
  name: 'clipped-surrogate',
  contract: 'reward',
  options: clippedSurrogateOptions,
  summary: 'Policy gradient with a clipped ratio, one advantage for each sequence.',
  paper: 'Schulman et al. 2017, Proximal Policy Optimization Algorithms',
})
export class ClippedSurrogate implements Reward {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof clippedSurrogateOptions>) {}

  objective({ batch, forward }: ObjectiveContext): Objective {
    const { clip, aggregation, ...names } = this.options;
    const logits = outputNamed(forward(), names.output);
    if (logits.rank !== 3)
      throw new UpdraftError(
        'reward',
        `The output "${names.output}" has ${logits.rank} axes, not [batch, length, tokens].`,
        {
          hint: 'A policy of one choice has length 1.',
        },
      );
    const tokens = columnNamed(batch, names.tokens);
    const advantage = columnNamed(batch, names.advantage).unsqueeze([1]);
    const logProbs = gatherElements(logits.logSoftmax(2), tokens.unsqueeze([2]), { axis: 2 }).squeeze([2]);
    const ratio = logProbs.sub(columnNamed(batch, names.oldLogProbs)).clip(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp();
    const losses = ratio
      .mul(advantage)
      .minimum(ratio.clip(1 - clip, 1 + clip).mul(advantage))
      .neg();

    const counts = names.mask === undefined ? onesLike(ratio) : columnNamed(batch, names.mask);
    const [total, own] = [counts.sum().maximum(1), counts.sum([1])];
    const sums = losses.mul(counts).sum([1]);
    // One number for each sequence, whose mean over the batch is the loss.
    const perSequence: Tensor =
      aggregation === 'sequence-sum'
        ? sums
        : aggregation === 'sequence-mean'
          ? sums.div(own.maximum(1))
          : sums.div(total.div(sizeOf(own, [0]).cast(own.dataType)));
    const clipped = ratio.sub(1).abs().greater(clip).cast(ratio.dataType);
    return {
      loss: perSequence.mean(),
      metrics: {
        clippedShare: clipped.mul(counts).sum().div(total),
        meanRatio: ratio.mul(counts).sum().div(total),
      },
      perExample: { loss: perSequence },
    };
  }
}

/** Policy gradient with a clipped ratio (Schulman et al. 2017). */
export const clippedSurrogate = pluginFactory(ClippedSurrogate, clippedSurrogateOptions);
