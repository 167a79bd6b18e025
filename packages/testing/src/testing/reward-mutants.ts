import { stopGradient } from '@updraft/autodiff';
import { OPTIONS, plugin, scalar, scalarAt, type Objective, type ObjectiveContext, type Reward } from '@updraft/core';
import { emptyTensor, UpdraftError, where, type Tensor, type TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { rewardKit } from '../reward/reward-kit.js';
import { goldenFile, type MutantFamily } from './mutants.js';

const WRONG = {
  'sum-for-mean': 'the loss is the sum over the batch',
  'mean-over-wrong-axis': 'entries are averaged over the batch before the examples are',
  'mask-forgotten': 'masked entries count',
  'mask-not-counted': 'sums are divided by all entries, masked ones too',
  'mask-may-be-empty': 'an example that is masked altogether divides by 0',
  'sign-flipped': 'the loss grows towards the target',
  'gradient-cut': 'the gradient of large errors is cut',
  'gradient-doubled': 'a detached copy hides half of the loss from the gradient',
  'label-leak': 'a tenth of the target is mixed into the prediction',
  'output-ignored': 'the loss does not depend on the output',
  'unseeded-noise': 'Math.random scales the loss',
  'wall-clock': 'the time of day scales the loss',
  'shared-state': 'a counter of the module scales the loss',
  'instance-state': 'a counter of the instance scales the loss',
  'schedule-baked-in': 'the strength is a constant of the graph',
  'schedule-read-once': 'the strength of step 1 is used for ever',
  'strength-squared': 'the strength is applied twice',
  'delta-ignored': 'delta is always 1',
  'half-forgotten': 'the quadratic part lacks its factor ½',
  'absolute-for-huber': 'small errors are not squared',
  'option-undocumented': 'an option has no description',
  'option-unbounded': 'delta may be negative',
  'default-invalid': 'a default is outside of its own bounds',
  'per-example-missing': 'there is no loss per example',
  'per-example-sum': 'losses per example are sums over entries',
  'per-example-axis': 'losses are per entry of an example, not per example',
  'metric-vector': 'a metric is a vector',
  'metric-nan': 'a metric is NaN where nothing is masked',
  'batch-centred': 'errors are taken from their mean over the batch',
  'order-dependent': 'later examples count less',
  'first-only': 'only the first example counts',
  'batch-size-fixed': 'sums are divided by 8',
  'overflows-to-nan': 'both branches of the loss are added and subtracted',
  'differs-in-evaluation': 'the loss is half as large when not training',
  'column-untyped-error': 'a missing column ends in a TypeError',
  'column-replaced': 'a missing mask is taken for ones',
  'output-any': 'any output is taken for the missing one',
  'score-relative': 'scores are relative to the best of the list',
  'score-unseeded': 'scores have noise from Math.random',
  'score-changes-items': 'judging sorts the items',
  'score-too-few': 'the last item is not judged',
  'score-nan': 'an answer that is no number scores NaN',
  'score-inverted': 'far answers score more',
  'advantages-not-centred': 'the mean of the group is not subtracted',
  'groups-ignored': 'the mean is that of all groups',
  'groups-as-index': 'groups must be numbered from 0',
  'divides-by-zero': 'equal scores divide by 0',
  'not-normalised': 'advantages are not divided by the spread',
  'spread-of-all': 'the spread is that of all groups',
  'spread-unbiased': 'the spread is divided by n − 1',
  'changes-scores': 'the scores are changed in place',
  'advantages-sorted': 'advantages come in the order of the scores',
  'late-fault': 'after step 100,000 the strength is halved',
} as const;
type Fault = keyof typeof WRONG;

interface Item {
  readonly answer: string;
  readonly expected: number;
}

let sharedCounter = 0;

/**
 * A masked Huber loss with a strength that may be scheduled, scores of numeric answers by their distance, and advantages
 * that are standardised within groups: everything that a reward may have, in small.
 */
function maskedHuber(fault?: Fault) {
  const is = (...faults: readonly Fault[]): boolean => fault !== undefined && faults.includes(fault);
  const schema = z.object({
    strength: scalar({ min: 0 }).default(1).describe('Factor of the loss.'),
    delta: (is('option-unbounded') ? z.number() : z.number().positive())
      .default(is('default-invalid') ? -1 : 0.75)
      .describe('Errors up to this are squared.'),
    tolerance: is('option-undocumented')
      ? z.number().min(0).default(0.5)
      : z.number().min(0).default(0.5).describe('Distance at which an answer scores half.'),
  });

  class MaskedHuber implements Reward<Item> {
    #used = 0;
    constructor(@inject(OPTIONS) readonly options: z.output<typeof schema>) {}

    objective({ batch, forward, scalar: scalarInput, training }: ObjectiveContext): Objective {
      const outputs = forward();
      const named = (values: Readonly<Record<string, Tensor>>, name: string): Tensor => {
        const found = values[name];
        if (found === undefined) throw new UpdraftError('reward', `There is no "${name}".`);
        return found;
      };
      const output = is('output-any') ? (Object.values(outputs)[0] as Tensor) : named(outputs, 'output');
      const target = is('column-untyped-error') ? (batch['target'] as Tensor).identity() : named(batch, 'target');
      const given = is('column-replaced') ? (batch['mask'] ?? target.mul(0).add(1)) : named(batch, 'mask');
      const mask = is('mask-forgotten') ? given.mul(0).add(1) : given;
      let prediction = output;
      if (is('label-leak')) prediction = output.mul(0.9).add(target.mul(0.1));
      if (is('output-ignored')) prediction = stopGradient(output);
      let error = prediction.sub(target);
      if (is('batch-centred')) error = error.sub(error.mean([0], { keepDims: true }));
      const entries = this.#huber(error).mul(mask);

      const counts = mask.sum([1]);
      const divisor = is('mask-not-counted')
        ? counts.mul(0).add(mask.shape[1] as number)
        : is('mask-may-be-empty')
          ? counts
          : counts.maximum(1);
      let losses = is('per-example-sum') ? entries.sum([1]) : entries.sum([1]).div(divisor);
      if (is('order-dependent')) {
        const sizes = losses.mul(0).add(1);
        losses = losses.mul(
          sizes.sub(
            losses
              .sub(losses.slice([0], [1], [0]))
              .abs()
              .minimum(1)
              .mul(0.1),
          ),
        );
      }
      const strength = this.#strength(output, scalarInput);
      let scaled = losses.mul(strength);
      if (is('strength-squared')) scaled = scaled.mul(strength);
      if (is('unseeded-noise')) scaled = scaled.mul(1 + 0.01 * Math.random());
      if (is('wall-clock')) scaled = scaled.mul(1 + (Date.now() % 1009) * 1e-4);
      if (is('shared-state')) scaled = scaled.mul(1 + 0.01 * sharedCounter++);
      if (is('instance-state')) scaled = scaled.mul(1 + 0.01 * this.#used++);
      if (is('sign-flipped')) scaled = scaled.neg();
      if (is('differs-in-evaluation') && !training) scaled = scaled.mul(0.5);

      const reduced: Partial<Record<Fault, () => Tensor>> = {
        'sum-for-mean': () => scaled.sum(),
        'mean-over-wrong-axis': () =>
          entries
            .sum([0])
            .div(mask.sum([0]).maximum(1))
            .mean()
            .mul(strength),
        'first-only': () => scaled.slice([0], [1], [0]).sum(),
        'batch-size-fixed': () => scaled.sum().div(8),
        'gradient-doubled': () =>
          scaled
            .mean()
            .mul(0.5)
            .add(stopGradient(scaled.mean().mul(0.5))),
      };
      const loss = (fault === undefined ? undefined : reduced[fault]?.()) ?? scaled.mean();
      const share = mask.mean();
      const perExample = is('per-example-axis') ? entries.sum([0]) : scaled;
      return {
        loss,
        metrics: {
          masked: is('metric-vector')
            ? counts
            : is('metric-nan')
              ? share.sub(1).abs().log().mul(0).add(share.mul(-1).add(1))
              : share.mul(-1).add(1),
        },
        ...(is('per-example-missing') ? {} : { perExample: { loss: perExample } }),
      };
    }

    #huber(error: Tensor): Tensor {
      const delta = is('delta-ignored') ? 1 : this.options.delta;
      const distance = error.abs();
      const square = is('absolute-for-huber')
        ? distance.mul(delta)
        : distance.mul(distance).mul(is('half-forgotten') ? 1 : 0.5);
      const tail = distance.sub(0.5 * delta).mul(delta);
      const linear = is('gradient-cut') ? stopGradient(tail) : tail;
      if (is('overflows-to-nan')) {
        const excess = distance.sub(delta).maximum(0);
        return distance.mul(distance).mul(0.5).sub(excess.mul(excess).mul(0.5));
      }
      return where(distance.lessOrEqual(delta), square, linear);
    }

    #strength(output: Tensor, input: ObjectiveContext['scalar']): Tensor {
      const { strength } = this.options;
      const wide = (value: Tensor): Tensor => (output.dataType === 'float32' ? value : value.cast(output.dataType));
      if (is('schedule-baked-in')) return wide(output.graph.constant(scalarAt(strength, 1)));
      if (is('schedule-read-once')) return wide(input('strength', () => scalarAt(strength, 1)));
      if (is('late-fault'))
        return wide(input('strength', (step) => scalarAt(strength, step) * (step > 100_000 ? 0.5 : 1)));
      return wide(input('strength', strength));
    }

    score(items: readonly Item[]): number[] {
      if (is('score-changes-items')) (items as Item[]).sort((a, b) => b.expected - a.expected);
      const scores = items.map(({ answer, expected }) => {
        const value = Number.parseFloat(answer);
        if (!Number.isFinite(value)) return is('score-nan') ? NaN : 0;
        const ratio = Math.abs(value - expected) / this.options.tolerance;
        return is('score-inverted') ? ratio / (1 + ratio) : 1 / (1 + ratio);
      });
      if (is('score-relative')) return scores.map((score) => score / Math.max(...scores, 1e-9));
      if (is('score-unseeded')) return scores.map((score) => score + 1e-6 * Math.random());
      return is('score-too-few') ? scores.slice(0, -1) : scores;
    }

    advantages(scores: readonly number[], groups: readonly number[] = scores.map(() => 0)): number[] {
      const places = is('groups-ignored') ? groups.map(() => 0) : groups;
      const byIndex: number[][] = [];
      const statistics = (at: number): { mean: number; spread: number } => {
        const members = scores.filter((_, index) => places[index] === places[at]);
        if (is('groups-as-index')) (byIndex[places[at] as number] ??= []).push(at);
        const mean = members.reduce((a, b) => a + b, 0) / members.length;
        const pool = is('spread-of-all') ? [...scores] : members;
        const middle = pool.reduce((a, b) => a + b, 0) / pool.length;
        const square = pool.reduce((a, b) => a + (b - middle) ** 2, 0);
        return { mean, spread: Math.sqrt(square / (is('spread-unbiased') ? pool.length - 1 : pool.length)) };
      };
      const result = scores.map((score, at) => {
        const { mean, spread } = statistics(at);
        const known = !is('groups-as-index') || ((places[at] as number) >= 0 && (places[at] as number) < scores.length);
        const centred = is('advantages-not-centred') || !known ? score : score - mean;
        if (is('not-normalised')) return centred;
        return centred / (is('divides-by-zero') ? spread : spread + 1e-6);
      });
      if (is('changes-scores'))
        result.forEach((value, at) => {
          (scores as number[])[at] = value;
        });
      return is('advantages-sorted') ? result.sort((a, b) => a - b) : result;
    }
  }
  plugin({ name: 'masked-huber', contract: 'reward', options: schema, summary: 'For the tests of the kits.' })(
    MaskedHuber,
  );
  return MaskedHuber;
}

const rows = { dataType: 'float32', shape: ['batch', 3] } as const;

/** Wrong rewards. */
export const rewardMutants: MutantFamily = {
  contract: 'reward',
  mutants: Object.entries(WRONG).map(([fault, wrong]) => ({
    fault,
    wrong,
    ...(fault === 'late-fault' ? { unseen: 'no check runs that many steps' } : {}),
  })),
  correct(backend) {
    return [this.kit('', backend)];
  },
  kit: (fault, backend) =>
    rewardKit(maskedHuber(fault === '' ? undefined : (fault as Fault)), {
      backend,
      options: { strength: 0.5 },
      objective: {
        columns: { target: rows, mask: rows },
        outputs: { output: rows },
        batch(size, random) {
          const [target, mask] = [emptyTensor('float32', [size, 3]), emptyTensor('float32', [size, 3])];
          random.fillNormal(target.data);
          mask.data.forEach((_, at) => {
            mask.data[at] = at % 4 === 1 ? 0 : 1;
          });
          return { target, mask };
        },
        best: ({ target }) => ({ output: target as TensorData }),
        mask: { column: 'mask', output: 'output' },
      },
      score: {
        items: [
          { answer: '3.5', expected: 3 },
          { answer: 'no idea', expected: 4 },
          { answer: '-2', expected: -2 },
          { answer: '7', expected: 9 },
        ],
      },
      advantages: {
        scores: [1, 0.2, 0.5, 0.1, 0.9, 0.4, 0.3],
        groups: [0, 0, 0, 1, 1, 2, 2],
        centred: true,
        shiftInvariant: true,
        scaleInvariant: true,
      },
      golden: [goldenFile('masked-huber')],
    }),
};
