import type { UpdateRule } from '@updraft/core';
import { inOrder, shuffled, teacherTask } from '@updraft/data';
import { crossEntropy, mlp } from '@updraft/nn';
import { adamw, momentum, schedules } from '@updraft/rules';
import { defineExperiment, figureText, trainAndEvaluate, type Setting } from '@updraft/testing/experiment';
import { lion, signMomentum } from './lion.js';

interface Options {
  readonly rule: 'lion' | 'adamw' | 'tied' | 'sign-sgd' | 'sgd';
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** Settings of a rule from pairs [η, λ]. */
const settings = (rule: Options['rule'], pairs: readonly (readonly [number, number])[]): Setting[] =>
  pairs.map(([learningRate, weightDecay]) => ({ rule, learningRate, weightDecay }));

/** A cosine to 0 for every rule, decay of matrices only. */
function updateRule({ rule, learningRate: from, weightDecay }: Options, steps: number): UpdateRule {
  const learningRate = schedules.cosine({ from, steps });
  const matrices = ({ role }: { readonly role: string }): boolean => role === 'weight';
  switch (rule) {
    case 'lion':
      return lion({ learningRate, weightDecay, decayMask: matrices });
    case 'tied':
      return signMomentum({ learningRate, beta: 0.9, weightDecay, decayMask: matrices });
    case 'sign-sgd':
      return signMomentum({ learningRate, beta: 0, weightDecay, decayMask: matrices });
    case 'adamw':
      return adamw({ learningRate, weightDecay, decay: matrices });
    case 'sgd':
      return momentum({ learningRate, weightDecay });
  }
}

const least = (values: readonly number[]): string => figureText(Math.min(...values));

/** Lion against AdamW and other signs on noisy labels of a random teacher. */
export const experiments = [
  defineExperiment({
    id: 'noisy-teacher',
    title: 'Noisy teacher–student classification',
    protocol:
      'An MLP 32-128-128-10 (He initialisation) learns the classes that a random network 32-24-10 gives to normal inputs, 10 % of the training labels replaced by uniform ones. Cosine learning rate to 0, decay of matrices only. Settings are chosen by the loss on separate validation data, figures are of test data; both have clean labels.',
    workload: { train: 6000, validation: 2000, test: 2000, labelNoise: 0.1, hidden: 128, batchSize: 32, steps: 1500 },
    quick: { train: 1000, validation: 500, test: 500, steps: 100 },
    tune: { metric: 'validationLoss', goal: 'least' },
    columns: ['trainLoss', 'testLoss', 'testAccuracy', 'stateBytes'],
    plot: 'testLoss',
    arms: [
      {
        name: 'Lion',
        role: 'method',
        settings: settings('lion', [
          [1e-3, 1],
          [1e-3, 3],
          [2e-3, 1.5],
          [3e-3, 0.3],
          [3e-3, 1],
          [6e-3, 0.1],
        ]),
      },
      {
        name: 'AdamW',
        role: 'baseline',
        settings: settings('adamw', [
          [1e-2, 0.01],
          [1e-2, 0.1],
          [1e-2, 0.3],
          [3e-2, 0.01],
          [3e-2, 0.1],
          [3e-2, 0.3],
        ]),
      },
      {
        name: 'Lion at 1/5 of the rate',
        role: 'method',
        fixed: 'The claim is about this setting: the rate 5 times and ηλ equal to that of AdamW with 0.01 and 0.3.',
        settings: settings('lion', [[2e-3, 1.5]]),
      },
      {
        name: "Lion with AdamW's decay",
        role: 'ablation',
        fixed: "The claim is about these settings: Lion's rate, but AdamW's λ.",
        settings: settings('lion', [
          [3e-3, 0.1],
          [3e-3, 0.3],
        ]),
      },
      {
        name: 'Lion 0.003, 0.1',
        role: 'method',
        fixed: 'Compared at equal settings.',
        settings: settings('lion', [[3e-3, 0.1]]),
      },
      {
        name: 'Lion 0.003, 1',
        role: 'method',
        fixed: 'Compared at equal settings.',
        settings: settings('lion', [[3e-3, 1]]),
      },
      {
        name: 'signSGD 0.003, 0.1',
        role: 'ablation',
        fixed: 'Compared at equal settings.',
        settings: settings('sign-sgd', [[3e-3, 0.1]]),
      },
      {
        name: 'signSGD 0.003, 1',
        role: 'ablation',
        fixed: 'Compared at equal settings.',
        settings: settings('sign-sgd', [[3e-3, 1]]),
      },
      {
        name: 'tied β 0.9',
        role: 'ablation',
        fixed: 'Shown at the best setting of the card; no claim is made about it.',
        settings: settings('tied', [[3e-3, 1]]),
      },
      {
        name: 'SGD with momentum',
        role: 'baseline',
        fixed: 'Shown beside the others, with its penalty on all parameters; no claim is made about it.',
        settings: settings('sgd', [[3e-2, 1e-3]]),
      },
    ],
    claims: [
      {
        id: 'matches-adamw',
        statement:
          'At equal ηλ = 0.003, with a rate 5 times below that of AdamW, Lion comes within 0.05 of the test loss of tuned AdamW, with half the state.',
        source: 'Chen et al. 2023, sections 4 and 5: rate 3–10 times smaller, decay as much larger, half the memory',
        arms: ['Lion at 1/5 of the rate', 'AdamW', 'Lion'],
        judge: (results) => {
          const [given, adam, tuned] = [
            results.chosen('Lion at 1/5 of the rate'),
            results.chosen('AdamW'),
            results.chosen('Lion'),
          ];
          const gap = results.compare(given, adam, 'testLoss');
          const tunedGap = results.compare(tuned, adam, 'testLoss');
          const share = given.mean('stateBytes') / adam.mean('stateBytes');
          return [
            {
              text: `Lion at 1/5 of the rate is ${figureText(gap.mean)} above tuned AdamW in test loss (at most 0.05)`,
              holds: gap.mean <= 0.05,
            },
            {
              text: `tuned Lion is ${figureText(tunedGap.mean)} above it (at most 0.05)`,
              holds: tunedGap.mean <= 0.05,
            },
            { text: `its state takes ${figureText(share)} of AdamW's bytes (0.5)`, holds: share === 0.5 },
          ];
        },
      },
      {
        id: 'needs-larger-decay',
        statement: "Keeping AdamW's λ (0.1 or 0.3) at Lion's rate costs at least 0.05 in test loss on every seed.",
        source: 'Chen et al. 2023, section 5: λ 3–10 times larger, so that ηλ stays',
        arms: ["Lion with AdamW's decay", 'Lion at 1/5 of the rate'],
        judge: (results) =>
          results.tried("Lion with AdamW's decay").map((kept) => {
            const { differences, mean } = results.compare(kept, results.chosen('Lion at 1/5 of the rate'), 'testLoss');
            return {
              text: `with λ = ${JSON.stringify(kept.setting['weightDecay'])} the test loss is ${figureText(mean)} higher, on no seed by less than ${least(differences)} (0.05)`,
              holds: Math.min(...differences) >= 0.05,
            };
          }),
      },
      {
        id: 'momentum-tames-noise',
        statement:
          'At equal settings the train loss of signSGD is at least 1.3 times that of Lion (λ 0.1), its test loss at least 1.2 times (λ 1): a sign without momentum amplifies the noise of gradients.',
        source: 'Chen et al. 2023, section 4.6 and the ablation of β',
        arms: [
          'signSGD 0.003, 0.1',
          'Lion 0.003, 0.1',
          'signSGD 0.003, 1',
          'Lion 0.003, 1',
          'tied β 0.9',
          'SGD with momentum',
        ],
        judge: (results) => {
          const ratio = (left: string, right: string, metric: string): number => {
            results.compare(results.chosen(left), results.chosen(right), metric);
            return results.chosen(left).mean(metric) / results.chosen(right).mean(metric);
          };
          const train = ratio('signSGD 0.003, 0.1', 'Lion 0.003, 0.1', 'trainLoss');
          const test = ratio('signSGD 0.003, 1', 'Lion 0.003, 1', 'testLoss');
          return [
            { text: `train loss ${figureText(train)} times that of Lion (1.3)`, holds: train >= 1.3 },
            { text: `test loss ${figureText(test)} times that of Lion (1.2)`, holds: test >= 1.2 },
          ];
        },
      },
    ],
    async run(setting, context) {
      const { train, validation, test, labelNoise, hidden, batchSize, steps } = context.workload;
      const data = teacherTask({
        parts: { train, validation, test },
        labelNoise: { train: labelNoise },
        seed: 1000 + context.seed,
      });
      return trainAndEvaluate({
        context,
        model: mlp({ input: [32], hidden: [hidden, hidden], classes: 10, column: 'x' }),
        sampler: shuffled(data.train, { batchSize }),
        reward: crossEntropy(),
        updateRule: updateRule(setting as unknown as Options, steps),
        steps,
        measure: {
          train: () => inOrder(data.train),
          validation: () => inOrder(data.validation),
          test: () => inOrder(data.test),
        },
        curve: { of: 'test', every: Math.max(1, Math.round(steps / 15)) },
      });
    },
  }),
];
