import {
  defineOptions,
  mapValues,
  plugin,
  pluginFactory,
  type Aggregator,
  type Combined,
  type CombineContext,
  type Source,
} from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { meanOfRange, sortedAcross } from './order-statistics.js';

const medianOptions = defineOptions({});

/**
 * The median of all sources, coordinate by coordinate; for an even number the mean of the middle two (Yin et al. 2018).
 * It stays within the range of the honest sources while fewer than half of all are not. Weights do not count.
 */
@plugin({
  name: 'median',
  contract: 'aggregator',
  options: medianOptions,
  summary: 'Coordinate-wise median: robust against fewer than half of the sources.',
  paper: 'Yin et al. 2018, Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates',
})
export class Median implements Aggregator {
  combine(_context: CombineContext, sources: readonly Source[]): Combined {
    const [first] = sources as [Source, ...Source[]];
    const count = sources.length;
    return {
      values: mapValues(first.values, (_, name) =>
        meanOfRange(
          sortedAcross(sources.map(({ values }) => values[name] as Tensor)),
          Math.floor((count - 1) / 2),
          Math.floor(count / 2) + 1,
        ),
      ),
    };
  }
}

/** The coordinate-wise median. */
export const median = pluginFactory(Median, medianOptions);
