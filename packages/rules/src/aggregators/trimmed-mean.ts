import {
  countFromRatio,
  defineOptions,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  type Aggregator,
  type Combined,
  type CombineContext,
  type Source,
} from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { meanOfRange, sortedAcross } from './order-statistics.js';

const trimmedMeanOptions = defineOptions({
  trim: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0.1)
    .describe('Share β of the sources that is left out at either end, coordinate by coordinate.'),
});

/**
 * The mean of what is left of every coordinate without its ⌊β·n⌋ smallest and ⌊β·n⌋ largest values (Yin et al. 2018).
 * It stays within the range of the honest sources while at most ⌊β·n⌋ are not. Weights do not count.
 */
@plugin({
  name: 'trimmed-mean',
  contract: 'aggregator',
  options: trimmedMeanOptions,
  summary: 'Coordinate-wise mean without the extremes.',
  paper: 'Yin et al. 2018, Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates',
})
export class TrimmedMean implements Aggregator {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof trimmedMeanOptions>) {}

  combine(_context: CombineContext, sources: readonly Source[]): Combined {
    const [first] = sources as [Source, ...Source[]];
    const count = sources.length;
    const trimmed = countFromRatio(this.options.trim, count);
    return {
      values: mapValues(first.values, (_, name) =>
        meanOfRange(sortedAcross(sources.map(({ values }) => values[name] as Tensor)), trimmed, count - trimmed),
      ),
    };
  }
}

/** The coordinate-wise trimmed mean. */
export const trimmedMean = pluginFactory(TrimmedMean, trimmedMeanOptions);
