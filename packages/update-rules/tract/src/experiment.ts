import { evaluate, MemoryCheckpointStore, train, type UpdateRule } from '@updraft/core';
import { contrastImages, inOrder, shuffled, type Dataset } from '@updraft/data';
import { crossEntropy, mlp } from '@updraft/nn';
import { adam, schedules, sgd } from '@updraft/rules';
import { defineExperiment, figureText, type RunOutcome, type Setting } from '@updraft/testing/experiment';
import { tract } from './tract.js';

interface Options {
  readonly optimiser: 'sgd' | 'adam';
  readonly learningRate: number;
  readonly tract: boolean;
}

const RATES = [
  ['sgd', 0.01],
  ['sgd', 0.03],
  ['sgd', 0.08],
  ['sgd', 0.2],
  ['adam', 1e-3],
  ['adam', 3e-3],
  ['adam', 1e-2],
] as const;

/** Settings that are compared one by one: those of the card. */
const PAIRED = [
  ['sgd', 0.03],
  ['sgd', 0.08],
  ['adam', 3e-3],
] as const;

const setting = (optimiser: Options['optimiser'], learningRate: number, treated: boolean): Setting => ({
  optimiser,
  learningRate,
  tract: treated,
});

function updateRule({ optimiser, learningRate, tract: treated }: Options, steps: number): UpdateRule {
  const rate = schedules.cosine({ from: learningRate, steps });
  const inner = optimiser === 'sgd' ? sgd({ learningRate: rate, momentum: 0.9 }) : adam({ learningRate: rate });
  return treated ? tract(inner, { lambda: 0.1 }) : inner;
}

const armName = (optimiser: string, learningRate: number, treated: boolean): string =>
  `${treated ? 'TrAct' : 'plain'}, ${optimiser === 'sgd' ? 'SGD' : 'Adam'} ${learningRate}`;

/** Tenths of the steps after which losses are measured. */
const MEASURED = [1, 2, 4, 7, 10];

/** TrAct against the plain gradient, on images of random contrast and brightness. */
export const experiments = [
  defineExperiment({
    id: 'contrast-images',
    title: 'Images of random contrast and brightness',
    protocol:
      'An MLP 64-128-128-10 (He initialisation) learns ten smooth prototypes with smooth variations, noise, and a contrast and a brightness that are random for each image; pixels are standardised over the training set. Batches of 64, cosine learning rate to 0, λ = 0.1 on the first layer. The setting of each tuned arm is chosen by the loss on separate validation data.',
    workload: { train: 3000, validation: 1000, test: 1000, hidden: 128, batchSize: 64, steps: 1000 },
    quick: { train: 500, validation: 200, test: 200, steps: 100 },
    tune: { metric: 'validationLoss', goal: 'least' },
    columns: ['trainLoss10', 'trainLoss20', 'testLoss40', 'testLoss', 'testAccuracy'],
    plot: 'testLoss',
    arms: [
      { name: 'plain', role: 'baseline', settings: RATES.map(([name, rate]) => setting(name, rate, false)) },
      { name: 'TrAct', role: 'method', settings: RATES.map(([name, rate]) => setting(name, rate, true)) },
      ...PAIRED.flatMap(([name, rate]) =>
        [false, true].map((treated) => ({
          name: armName(name, rate, treated),
          role: treated ? ('method' as const) : ('baseline' as const),
          fixed: 'Compared at equal settings.',
          settings: [setting(name, rate, treated)],
        })),
      ),
    ],
    claims: [
      {
        id: 'lower-training-loss',
        statement:
          'At equal settings the training loss after a tenth and a fifth of the steps is at most 0.75 times that of the plain gradient, with every seed.',
        source: 'Petersen et al. 2024, figures 1 to 3: faster convergence with SGD and Adam',
        arms: PAIRED.flatMap(([name, rate]) => [armName(name, rate, true), armName(name, rate, false)]),
        judge: (results) =>
          PAIRED.flatMap(([name, rate]) => {
            const [treated, plain] = [true, false].map((one) => results.chosen(armName(name, rate, one)));
            return ['trainLoss10', 'trainLoss20'].map((metric) => {
              const baseline = plain?.values(metric) ?? [];
              const ratios = (treated?.values(metric) ?? []).map((value, at) => value / (baseline[at] as number));
              const worst = Math.max(...ratios);
              return {
                text: `${armName(name, rate, true)}: ${metric} is at most ${figureText(worst)} times that of plain (0.75)`,
                holds: worst <= 0.75,
              };
            });
          }),
      },
      {
        id: 'fewer-steps',
        statement:
          'At equal settings the mean test loss after 40 % of the steps is below that of the plain gradient after all of them: at least 2.5 times fewer.',
        source: 'Petersen et al. 2024, abstract: 1.25 to 4 times fewer epochs for the same quality',
        arms: PAIRED.flatMap(([name, rate]) => [armName(name, rate, true), armName(name, rate, false)]),
        judge: (results) =>
          PAIRED.map(([name, rate]) => {
            const early = results.chosen(armName(name, rate, true)).mean('testLoss40');
            const late = results.chosen(armName(name, rate, false)).mean('testLoss');
            return {
              text: `${armName(name, rate, true)} after 40 %: ${figureText(early)}; plain after all steps: ${figureText(late)}`,
              holds: early < late,
            };
          }),
      },
      {
        id: 'better-tuned',
        statement:
          'With optimiser and learning rate tuned for each, the test loss is lower than with the plain gradient.',
        source: 'Petersen et al. 2024, tables 1 to 3: better or equal quality at equal epochs',
        arms: ['TrAct', 'plain'],
        judge: (results) => {
          const { mean } = results.compare(results.chosen('TrAct'), results.chosen('plain'), 'testLoss');
          return [
            { text: `tuned TrAct minus tuned plain is ${figureText(mean)} in test loss (below 0)`, holds: mean < 0 },
          ];
        },
      },
    ],
    async run(given, context): Promise<RunOutcome> {
      const { train: count, validation, test, hidden, batchSize, steps } = context.workload;
      const data = contrastImages({ parts: { train: count, validation, test }, seed: context.seed });
      const model = mlp({ input: [8, 8], hidden: [hidden, hidden], classes: 10 });
      const reward = crossEntropy();
      const { backend, seed, signal } = context;
      // The run pauses for each measurement and goes on with the same bits.
      const store = new MemoryCheckpointStore();
      const metrics: Record<string, number> = {};
      const curve: { steps: number[]; values: number[] } = { steps: [], values: [] };
      for (const tenth of MEASURED) {
        const until = Math.round((steps * tenth) / 10);
        const { params } = await train({
          model,
          sampler: shuffled(data.train, { batchSize }),
          reward,
          updateRule: updateRule(given as unknown as Options, steps),
          backend,
          steps: until,
          seed,
          checkpoints: { store, every: steps },
          ...(signal === undefined ? {} : { signal }),
        }).result();
        signal?.throwIfAborted();
        const measured = (set: Dataset): ReturnType<typeof evaluate> =>
          evaluate({ model, reward, backend, sampler: () => inOrder(set), residents: params });
        const onTest = await measured(data.test);
        metrics[`trainLoss${tenth}0`] = (await measured(data.train)).loss;
        metrics[`testLoss${tenth}0`] = onTest.loss;
        if (tenth === 10) {
          metrics['testLoss'] = onTest.loss;
          metrics['testAccuracy'] = onTest.metrics['accuracy'] as number;
          metrics['validationLoss'] = (await measured(data.validation)).loss;
        }
        curve.steps.push(until);
        curve.values.push(onTest.loss);
        context.progress(tenth / 10);
      }
      return { metrics, curves: { testLoss: curve } };
    },
  }),
];
