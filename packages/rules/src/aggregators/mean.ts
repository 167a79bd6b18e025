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
import type { DataType, Tensor } from '@updraft/graph';

const meanOptions = defineOptions({});

/**
 * The weighted mean of all sources, Σ w·x / Σ w: federated averaging (McMahan et al. 2017), uniform soups of checkpoints,
 * mixtures of predictions. One source of any scale moves it as far as it likes.
 */
@plugin({
  name: 'mean',
  contract: 'aggregator',
  options: meanOptions,
  summary: 'Weighted mean (federated averaging).',
  paper: 'McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized Data',
})
export class Mean implements Aggregator {
  combine(_context: CombineContext, sources: readonly Source[]): Combined {
    const [first] = sources as [Source, ...Source[]];
    const types = new Set(Object.values(first.values).map(({ dataType }) => dataType));
    const shares = new Map([...types].map((dataType) => [dataType, sharesOf(sources, dataType)]));
    return {
      values: mapValues(first.values, ({ dataType }, name) =>
        sum(sources.map(({ values }, index) => (values[name] as Tensor).mul(shares.get(dataType)?.[index] as Tensor))),
      ),
    };
  }
}

/** w / Σ w. Shares rather than one division at the end: huge values stay in range, and one source alone stays itself. */
function sharesOf(sources: readonly Source[], dataType: DataType): readonly Tensor[] {
  const weights = sources.map(({ weight }) => (dataType === 'float32' ? weight : weight.cast(dataType)));
  const total = sum(weights);
  return weights.map((weight) => weight.div(total));
}

const sum = (terms: readonly Tensor[]): Tensor => terms.reduce((left, right) => left.add(right));

/** The weighted mean of all sources. */
export const mean = pluginFactory(Mean, meanOptions);
