import {
  mapValues,
  OPTIONS,
  plugin,
  scalar,
  scalarAt,
  type Aggregator,
  type AggregatorInitContext,
  type Combined,
  type CombineContext,
  type Source,
  type SourcePolicy,
  type StateSpec,
  type StateSpecs,
} from '@updraft/core';
import { equal, stack, topK, where, zerosLike, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { aggregatorKit } from '../aggregator/aggregator-kit.js';
import { goldenFile, type MutantFamily } from './mutants.js';

const MEAN = {
  'weights-ignored': 'all sources count alike',
  'divides-by-count': 'the weighted sum is divided by the number of sources',
  'weights-squared': 'weights count twice',
  'weights-softmaxed': 'shares are the softmax of the weights',
  'weights-inverted': 'heavier sources count less',
  'last-dropped': 'the last source is left out',
  'first-dropped': 'the first source is left out where there are several',
  'first-twice': 'the first source counts twice',
  'order-dependent': 'earlier sources count a little more',
  'running-mean': 'the mean is halved source by source',
  'nan-let-through': 'NaN is not looked for',
  'infinity-let-through': 'only NaN is looked for, not infinity',
  'nan-to-zero': 'a source with NaN counts as 0 instead of not at all',
  'nan-by-value': 'only the value that holds NaN is left out, by the weight of all',
  'shared-state': 'a counter of the module changes the result',
  'instance-state': 'a counter of the instance changes the result',
  'state-not-returned': 'the mean so far is used but not kept',
  'state-restarts': 'the mean so far starts from 1',
  'decay-ignored': 'the decay is always 0.5',
  'rate-baked-in': 'the rate is a constant of the graph',
  'rate-read-once': 'the rate of round 1 is used for ever',
  'no-bias-correction': 'the mean so far is not corrected for its start at 0',
  'bias-correction-late': 'the correction uses the round after this one',
  'round-counted': 'rounds are counted by the instance, and each is a program of its own',
  'unseeded-noise': 'a little of Math.random is added',
  overflow: 'values are multiplied by 1e25 on the way',
  underflow: 'values below 1e-6 are taken for 0',
  'absolute-epsilon': 'a thousandth is added to everything',
  inflated: 'the result is larger by a thousandth',
  negated: 'the result has the other sign',
  'wrong-type': 'the result is float64',
  'value-missing': 'the last value is not returned',
  'mixed-values': 'every value gets a hundredth of the mean of the first',
  'undeclared-state': 'a state is returned that was not declared',
  'policy-unknown': 'the policy for malformed sources is none',
  'minimum-zero': 'no source is enough',
  'option-undocumented': 'an option has no description',
  'option-unbounded': 'the decay may be anything',
  'metric-nan': 'a metric is NaN',
  'one-source-fails': 'one source alone divides by 0',
  'no-weight-partly': 'with all weights 0 the first value is 0 and the others NaN',
  'late-fault': 'after round 100,000 the rate is halved',
} as const;
const TRIMMED = {
  'not-sorted': 'the middle of the sources as they come is taken',
  'trims-less': 'one source less is cut at either end',
  'trims-low-only': 'only the smallest are cut',
  'trims-high-only': 'only the largest are cut',
  'trims-nothing': 'it is the mean',
  'trims-more': 'one source more is cut at either end',
  'mean-of-ends': 'the extremes are kept and the middle is cut',
  'by-first-value': 'the order of the first value decides for all',
  'winsorised-zero': 'what is cut counts as 0',
  'trim-ignored': 'the share is always a fifth',
} as const;
type MeanFault = keyof typeof MEAN;
type TrimmedFault = keyof typeof TRIMMED;

let sharedCounter = 0;

interface MeanState extends StateSpecs {
  readonly average: Readonly<Record<string, StateSpec>>;
}

const sum = (terms: readonly Tensor[]): Tensor => terms.reduce((left, right) => left.add(right));

/** The weighted mean, averaged over rounds with a corrected decay; sources with NaN or infinity have weight 0. */
function averagedMean(fault?: MeanFault) {
  const is = (...faults: readonly MeanFault[]): boolean => fault !== undefined && faults.includes(fault);
  const schema = z.object({
    decay: (is('option-unbounded') ? z.number() : z.number().min(0).lt(1))
      .default(0.3)
      .describe('Decay of the mean over rounds.'),
    rate: is('option-undocumented')
      ? scalar({ min: 0, max: 1 }).default(1)
      : scalar({ min: 0, max: 1 }).default(1).describe('Part of the way from the mean over rounds to this round.'),
  });

  class AveragedMean implements Aggregator<MeanState> {
    #used = 0;
    readonly policy: Partial<SourcePolicy> = is('policy-unknown')
      ? { malformed: 'ignore' as 'drop' }
      : is('minimum-zero')
        ? { minimum: 0 }
        : { malformed: 'drop', minimum: 1 };
    constructor(@inject(OPTIONS) readonly options: z.output<typeof schema>) {}

    init(context: AggregatorInitContext): MeanState {
      return { average: context.likeValues(is('state-restarts') ? 1 : 0) };
    }

    combine(context: CombineContext<MeanState>, all: readonly Source[]): Combined<MeanState> {
      const decay = is('decay-ignored') ? 0.5 : this.options.decay;
      const rate = this.#rate(context);
      const late = is('bias-correction-late') ? 1 : 0;
      const correction = is('round-counted')
        ? all[0]!.weight.graph.constant(1 - decay ** (1 + (this.#used++ % 50)))
        : context.scalar('correction', (round) => (is('no-bias-correction') ? 1 : 1 - decay ** (round + late)));
      const sources =
        is('last-dropped') && all.length > 1
          ? all.slice(0, -1)
          : is('first-dropped') && all.length > 1
            ? all.slice(1)
            : all;

      const finite = (value: Tensor): Tensor =>
        is('infinity-let-through')
          ? equal(value, value).cast('float32').min().greater(0.5)
          : value.mul(0).sum().equal(0);
      const sound = sources.map(({ values }) => {
        const flags = Object.values(values).map((value) => finite(value).cast('float32'));
        return flags.reduce((left, right) => left.mul(right));
      });
      const raw = sources.map(({ weight }, index) => this.#weight(weight, index, all.length));
      const screened = is('nan-let-through', 'nan-to-zero', 'nan-by-value');
      const weights = raw.map((weight, index) => (screened ? weight : weight.mul(sound[index] as Tensor)));
      const shares = this.#shares(weights, sources.length);

      const mean = mapValues((sources[0] as Source).values, (_, name) => {
        const parts = sources.map(({ values }) => {
          const value = values[name] as Tensor;
          if (is('nan-let-through')) return value;
          if (is('infinity-let-through')) return where(equal(value, value), value, zerosLike(value));
          return where(equal(value.mul(0), 0), value, zerosLike(value));
        });
        if (is('running-mean')) return parts.reduce((left, right) => left.add(right).mul(0.5));
        return sum(parts.map((value, index) => value.mul(shares[index] as Tensor)));
      });
      const [firstName] = Object.keys(mean) as [string];
      const average: Record<string, Tensor> = {};
      const values: Record<string, Tensor> = {};
      for (const [name, fresh] of Object.entries(mean)) {
        const old = context.state.average[name] as Tensor;
        const next = old.mul(decay).add(fresh.mul(1 - decay));
        average[name] = is('state-not-returned') ? old : next;
        const smooth = next.div(correction);
        values[name] = this.#spoilt(smooth.add(fresh.sub(smooth).mul(rate)), mean[firstName] as Tensor);
      }
      const last = Object.keys(values).at(-1) as string;
      if (is('value-missing')) Reflect.deleteProperty(values, last);
      if (is('no-weight-partly'))
        values[firstName] = where(
          sum(weights).greater(0),
          values[firstName] as Tensor,
          zerosLike(values[firstName] as Tensor),
        );
      const total = sum(weights);
      context.metric('totalWeight', is('metric-nan') ? total.sub(total).div(total.sub(total)) : total);
      return {
        values,
        state: (is('undeclared-state') ? { average, more: { total } } : { average }) as {
          average: Record<string, Tensor>;
        },
      };
    }

    #rate(context: CombineContext<MeanState>): Tensor {
      const { rate } = this.options;
      if (is('rate-baked-in')) return context.population.graph.constant(scalarAt(rate, 1));
      if (is('rate-read-once')) return context.scalar('rate', () => scalarAt(rate, 1));
      if (is('late-fault'))
        return context.scalar('rate', (round) => scalarAt(rate, round) * (round > 100_000 ? 0.5 : 1));
      return context.scalar('rate', rate);
    }
    #weight(weight: Tensor, index: number, count: number): Tensor {
      if (is('weights-ignored')) return weight.mul(0).add(1);
      if (is('weights-squared')) return weight.square();
      if (is('weights-softmaxed')) return weight.minimum(20).exp();
      if (is('weights-inverted')) return weight.maximum(1e-6).reciprocal();
      if (is('first-twice')) return index === 0 && count > 1 ? weight.mul(2) : weight;
      if (is('order-dependent')) return weight.mul(1 - 0.01 * index);
      return weight;
    }
    #shares(weights: readonly Tensor[], count: number): Tensor[] {
      const total = sum(weights);
      if (is('divides-by-count')) return weights.map((weight) => weight.div(count));
      if (is('one-source-fails')) return weights.map((weight) => weight.div(total).mul((count - 1) / (count - 1)));
      return weights.map((weight) => weight.div(total));
    }
    #spoilt(value: Tensor, first: Tensor): Tensor {
      const changes: Partial<Record<MeanFault, () => Tensor>> = {
        'shared-state': () => value.mul(1 + 0.01 * sharedCounter++),
        'instance-state': () => value.mul(1 + 0.01 * this.#used++),
        'unseeded-noise': () => value.add(1e-3 * Math.random()),
        overflow: () => value.mul(1e25).mul(1e-25),
        underflow: () => where(value.abs().less(1e-6), zerosLike(value), value),
        'absolute-epsilon': () => value.add(1e-3),
        inflated: () => value.mul(1.001),
        negated: () => value.neg(),
        'wrong-type': () => value.cast('float64'),
        'mixed-values': () => value.add(first.mean().mul(0.01)),
      };
      return (fault === undefined ? undefined : changes[fault]?.()) ?? value;
    }
  }
  plugin({ name: 'averaged-mean', contract: 'aggregator', options: schema, summary: 'For the tests of the kits.' })(
    AveragedMean,
  );
  return AveragedMean;
}

/** Coordinate by coordinate the mean of what is left when the share `trim` is cut off at either end. */
function trimmed(fault?: TrimmedFault) {
  const is = (wanted: TrimmedFault): boolean => fault === wanted;
  const schema = z.object({
    trim: z.number().min(0).lt(0.5).default(0.2).describe('Share that is cut off at either end.'),
  });

  class Trimmed implements Aggregator {
    constructor(@inject(OPTIONS) readonly options: z.output<typeof schema>) {}
    combine(_context: CombineContext, sources: readonly Source[]): Combined {
      const count = sources.length;
      const share = is('trim-ignored') ? 0.2 : this.options.trim;
      let cut = Math.floor(share * count + 1e-9);
      if (is('trims-less')) cut = Math.max(0, cut - 1);
      if (is('trims-more')) cut = Math.min(cut + 1, Math.floor((count - 1) / 2));
      if (is('trims-nothing')) cut = 0;
      const low = is('trims-high-only') ? 0 : cut;
      const high = is('trims-low-only') ? count : count - cut;
      const [first] = sources as [Source];
      return {
        values: mapValues(first.values, (_, name) => {
          const all = stack(
            sources.map(({ values }) => values[name] as Tensor),
            0,
          );
          const sorted = is('not-sorted') ? all : topK(all, count, { axis: 0, largest: false, sorted: true }).values;
          const middle = sorted.slice([low], [high], [0]);
          if (is('winsorised-zero')) return middle.sum([0]).div(count);
          if (is('mean-of-ends'))
            return sorted
              .slice([0], [1], [0])
              .add(sorted.slice([count - 1], [count], [0]))
              .mul(0.5)
              .squeeze([0]);
          if (is('by-first-value') && all.rank > 1) {
            const keys = all.reshape([count, -1]).slice([0], [1], [1]).squeeze([1]);
            const { indices } = topK(keys, count, { axis: 0, largest: false, sorted: true });
            return all.gather(indices, 0).slice([low], [high], [0]).mean([0]);
          }
          return middle.mean([0]);
        }),
      };
    }
  }
  plugin({ name: 'trimmed', contract: 'aggregator', options: schema, summary: 'For the tests of the kits.' })(Trimmed);
  return Trimmed;
}

/** Wrong aggregators. */
export const aggregatorMutants: MutantFamily = {
  contract: 'aggregator',
  mutants: Object.entries({ ...MEAN, ...TRIMMED }).map(([fault, wrong]) => ({
    fault,
    wrong,
    ...(fault === 'late-fault' ? { unseen: 'no check runs that many rounds' } : {}),
  })),
  correct(backend) {
    return ['', 'trimmed'].map((which) => this.kit(which, backend));
  },
  kit(fault, backend) {
    if (fault === 'trimmed' || fault in TRIMMED)
      return aggregatorKit(trimmed(fault === 'trimmed' ? undefined : (fault as TrimmedFault)), {
        backend,
        weighted: false,
        breakdown: 1,
        effects: { trim: { value: 0.4 } },
        golden: [goldenFile('trimmed')],
      });
    return aggregatorKit(averagedMean(fault === '' ? undefined : (fault as MeanFault)), {
      backend,
      options: { rate: 0.5 },
      survivesNonFinite: true,
      golden: [goldenFile('averaged-mean')],
    });
  },
};
