import { RandomStream, train, type Reward } from '@updraft/core';
import { fromTensors } from '@updraft/data';
import { sgd } from '@updraft/rules';
import { defineExperiment, figureText, type Results, type Setting } from '@updraft/testing/experiment';
import { gradientQuality, type Estimator } from './gradient-quality.js';
import { groupRollouts, type RolloutPrompt } from './group-rollouts.js';
import { noisyVerifier, type NoisyVerifierOptions } from './noisy-verifiers.js';
import { tabularPolicy } from './tabular-policy.js';

type Answer = readonly number[];
type Method = 'oracle' | 'uncorrected' | 'standardised' | 'backward' | 'forward' | 'inverse';

/** Prompts of two types. Of type 0 action 0 is right and the verifier never errs; of type 1 it is action 1, and half is rejected. */
const RATES = [
  { rho0: 0, rho1: 0 },
  { rho0: 0, rho1: 0.5 },
] as const;
const typeOf = ({ columns }: RolloutPrompt): number => columns['type']?.[0] as number;

/** Rewards of one method, whose verifier errs by draws of its own. */
function rewardOf(method: Method, random: RandomStream): Reward<{ prompt: RolloutPrompt; answer: Answer }> {
  const clean = (prompt: RolloutPrompt, answer: Answer): boolean => answer[0] === typeOf(prompt);
  const observed = (prompt: RolloutPrompt, answer: Answer): boolean => {
    // Drawn in any case, so that all methods meet the same errors as long as they give the same answers.
    const kept = random.uniform() >= (RATES[typeOf(prompt)]?.rho1 as number);
    return clean(prompt, answer) && kept;
  };
  const options: NoisyVerifierOptions<RolloutPrompt, Answer> = {
    aggregation: 'sequence-sum',
    rho0: (prompt) => RATES[typeOf(prompt)]?.rho0 as number,
    rho1: (prompt) => RATES[typeOf(prompt)]?.rho1 as number,
  };
  const noisy = noisyVerifier(method === 'oracle' ? clean : observed, {
    ...options,
    ...(method === 'backward' || method === 'forward' ? { mode: method } : { mode: 'none', normalise: 'mean' }),
  });
  if (method !== 'standardised' && method !== 'inverse')
    return noisy as Reward<{ prompt: RolloutPrompt; answer: Answer }>;
  return {
    objective: (context) => noisy.objective(context),
    score: (items) => noisy.score(items),
    advantages(scores, groups = [], items = []) {
      const centred = noisy.advantages(scores, groups);
      // Multiplied where it should be divided.
      if (method === 'inverse')
        return centred.map((value, at) => {
          const { rho0, rho1 } = RATES[typeOf(items[at]?.prompt as RolloutPrompt)] as (typeof RATES)[number];
          return value * (1 - rho0 - rho1);
        });
      // As GRPO does: by the deviation of the group (ddof 1), with an ε.
      return centred.map((value, at) => {
        const own = centred.filter((_, other) => groups[other] === groups[at]);
        const variance = own.reduce((sum, one) => sum + one ** 2, 0) / (own.length - 1);
        return value / (Math.sqrt(variance) + 1e-6);
      });
    },
  };
}

const rates = [0.3, 1, 3];
const settings = (method: Method): Setting[] => rates.map((learningRate) => ({ method, learningRate }));
const METHODS: readonly (readonly [name: string, method: Method, role: 'method' | 'baseline' | 'ablation'])[] = [
  ['backward (PGBC)', 'backward', 'method'],
  ['forward (PGFC)', 'forward', 'method'],
  ['clean oracle', 'oracle', 'baseline'],
  ['uncorrected, centred', 'uncorrected', 'baseline'],
  ['uncorrected, standardised (GRPO)', 'standardised', 'baseline'],
  ['inverse factor', 'inverse', 'ablation'],
];

/** Means of an arm at its three learning rates. */
const means = (results: Results, arm: string): readonly (readonly [rate: number, mean: number])[] =>
  results.tried(arm).map((one) => [Number(one.setting['learningRate']), one.mean('objective')]);
const neverAbove = (results: Results, arm: string, most: number): { text: string; holds: boolean } => {
  const found = means(results, arm);
  return {
    text: `${arm}: ${found.map(([rate, mean]) => `${figureText(mean)} at ${rate}`).join(', ')} (at most ${most} at each)`,
    holds: found.every(([, mean]) => mean <= most),
  };
};

const sharedChoice = defineExperiment({
  id: 'shared-choice',
  title: 'One choice for two kinds of prompts, of which one is judged badly',
  protocol:
    'A softmax over 6 actions, shared by all prompts. Every step has 8 prompts for which action 0 is right and the verifier never errs, and 12 for which action 1 is right and half of the right answers are rejected; 8 answers each, SGD on the mean over the answers. The true objective is 0.4·p₀ + 0.6·p₁, at most 0.6; noise makes the larger group look smaller (0.3 against 0.4). Figures are of the last policy, exactly; the learning rate of each arm is chosen by them.',
  workload: { steps: 300 },
  quick: { steps: 40 },
  seeds: 5,
  tune: { metric: 'objective', goal: 'most' },
  columns: ['objective'],
  plot: 'objective',
  arms: METHODS.map(([name, method, role]) => ({ name, role, settings: settings(method) })),
  claims: [
    {
      id: 'backward-repairs-unequal-noise',
      statement:
        'With error rates that differ between prompts, backward correction at learning rate 1 reaches 0.57 and comes within 0.01 of training on clean rewards; without correction, centred or standardised, training stays below 0.42 at every learning rate.',
      source:
        'Cai et al. 2025, abstract: both corrections improve on uncorrected training; a test of that where no rate can hide it',
      arms: [
        'backward (PGBC)',
        'clean oracle',
        'uncorrected, centred',
        'uncorrected, standardised (GRPO)',
        'inverse factor',
      ],
      judge: (results) => {
        const atOne = (arm: string) =>
          results.tried(arm).find(({ setting }) => setting['learningRate'] === 1) ?? results.chosen(arm);
        const [own, oracle] = [atOne('backward (PGBC)'), atOne('clean oracle')];
        const gap = results.compare(oracle, own, 'objective');
        return [
          {
            text: `backward reaches ${figureText(own.mean('objective'))} (0.57)`,
            holds: own.mean('objective') >= 0.57,
          },
          { text: `it is ${figureText(gap.mean)} below the oracle (0.01)`, holds: gap.mean <= 0.01 },
          neverAbove(results, 'uncorrected, centred', 0.42),
          neverAbove(results, 'uncorrected, standardised (GRPO)', 0.42),
        ];
      },
    },
    {
      id: 'forward-improves-under-unequal-noise',
      statement:
        'With error rates that differ between prompts, forward correction too beats uncorrected training by 0.1.',
      source: 'Cai et al. 2025, abstract, taken literally; its theorem needs 1 − ρ₀ − ρ₁ to be equal for all prompts',
      arms: ['forward (PGFC)', 'uncorrected, centred'],
      judge: (results) => {
        const { mean } = results.compare(
          results.chosen('forward (PGFC)'),
          results.chosen('uncorrected, centred'),
          'objective',
        );
        return [{ text: `forward is ${figureText(mean)} above uncorrected training (0.1)`, holds: mean >= 0.1 }];
      },
    },
  ],
  async run(setting, { seed, workload, backend, signal, progress }) {
    const random = RandomStream.fromSeed(seed).split('verifier');
    const reward = rewardOf(setting['method'] as Method, random);
    const policy = tabularPolicy({ tokens: 6 });
    const prompts = fromTensors({
      type: { dataType: 'float32', dims: [20], data: Float32Array.from({ length: 20 }, (_, at) => (at < 8 ? 0 : 1)) },
    });
    const objectiveOf = (table: ArrayLike<number>): number => {
      const weights = Array.from(table, Math.exp);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return (0.4 * (weights[0] as number) + 0.6 * (weights[1] as number)) / total;
    };
    const sampler = groupRollouts({ policy, prompts, reward: reward as Reward, backend, n: 8 });
    const points = { steps: [] as number[], values: [] as number[] };
    const run = train({
      model: policy,
      sampler: {
        ...sampler,
        async draw(context) {
          if (context.step % 20 === 1) {
            points.steps.push(context.step - 1);
            points.values.push(objectiveOf(((await context.values?.())?.['policy.table']?.data ?? []) as Float32Array));
          }
          return sampler.draw(context);
        },
      },
      reward: reward as Reward,
      updateRule: sgd({ learningRate: Number(setting['learningRate']) }),
      backend,
      seed,
      steps: workload.steps,
      ...(signal === undefined ? {} : { signal }),
    });
    for await (const event of run) if (event.type === 'step') progress(event.step / workload.steps);
    signal?.throwIfAborted();
    const { params } = await run.result();
    return {
      metrics: { objective: objectiveOf(params['policy.table']?.data as Float32Array) },
      curves: { objective: points },
    };
  },
});

const LEVELS = [
  ['cold', 0],
  ['warm', 2],
  ['hot', 4],
] as const;
const ESTIMATORS = ['raw', 'backward', 'forward'] as const satisfies readonly Estimator[];

const quality = defineExperiment({
  id: 'gradient-quality',
  title: 'How far estimates point along the clean gradient',
  protocol:
    '16 prompts, answers of 3 tokens out of 8, of which 4 are good at each place; an answer is right if all of its tokens are good, and the verifier errs with ρ₀ = 0.1, ρ₁ = 0.3. The policies are fixed tables of normal logits (deviation 0.1), with 0, 2 or 4 added to those of the good tokens. Batches have 8 answers to each prompt; advantages are not centred. The projection is that of the mean estimate on the exact clean gradient, in lengths of it; the cosine that of a single batch, on average.',
  workload: { batches: 4000 },
  quick: { batches: 100 },
  tune: { metric: 'cosine', goal: 'most' },
  columns: ['success', 'projection', 'cosine'],
  arms: ESTIMATORS.flatMap((estimator) =>
    LEVELS.map(([level, bonus]) => ({
      name: `${estimator}, ${level}`,
      role: estimator === 'raw' ? ('baseline' as const) : ('method' as const),
      fixed: 'Nothing is learned, so that there is nothing to tune.',
      settings: [{ estimator, bonus }],
    })),
  ),
  claims: [
    {
      id: 'theory-of-scales',
      statement:
        'The mean estimate is the clean gradient with backward correction, and 0.6 = 1 − ρ₀ − ρ₁ of it with forward correction and without any, within 0.05, at three levels of skill.',
      source: 'Cai et al. 2025: the two corrections',
      arms: ESTIMATORS.flatMap((estimator) => LEVELS.map(([level]) => `${estimator}, ${level}`)),
      judge: (results) =>
        ESTIMATORS.flatMap((estimator) =>
          LEVELS.map(([level]) => {
            const found = results.chosen(`${estimator}, ${level}`).mean('projection');
            const expected = estimator === 'backward' ? 1 : 0.6;
            return {
              text: `${estimator}, ${level}: ${figureText(found)} (${expected})`,
              holds: Math.abs(found - expected) <= 0.05,
            };
          }),
        ),
    },
    {
      id: 'forward-is-steadier-when-mostly-right',
      statement:
        'On the policy that is right nine times of ten, a single batch points nearer to the clean gradient with forward correction than without, on every seed.',
      source: 'Cai et al. 2025, abstract: forward correction converges faster',
      arms: ['forward, hot', 'raw, hot', 'backward, hot', 'forward, cold', 'raw, cold'],
      judge: (results) => {
        const { differences, mean } = results.compare(
          results.chosen('forward, hot'),
          results.chosen('raw, hot'),
          'cosine',
        );
        return [
          {
            text: `the cosine is ${figureText(mean)} larger, on no seed by less than ${figureText(Math.min(...differences))} (0)`,
            holds: Math.min(...differences) > 0,
          },
        ];
      },
    },
    {
      id: 'forward-is-steadier-from-a-cold-start',
      statement: 'The same on the policy that is right one time of eight.',
      source: 'Cai et al. 2025, abstract: forward correction converges faster, without a restriction to good policies',
      arms: ['forward, cold', 'raw, cold'],
      judge: (results) => {
        const { mean } = results.compare(results.chosen('forward, cold'), results.chosen('raw, cold'), 'cosine');
        return [{ text: `the cosine is ${figureText(mean)} larger (0)`, holds: mean > 0 }];
      },
    },
  ],
  run: (setting, { seed, workload, progress }) => {
    const metrics = gradientQuality({
      estimator: setting['estimator'] as Estimator,
      bonus: Number(setting['bonus']),
      batches: workload.batches,
      seed,
      progress,
    });
    return Promise.resolve({ metrics: { ...metrics } });
  },
});

export const experiments = [sharedChoice, quality];
