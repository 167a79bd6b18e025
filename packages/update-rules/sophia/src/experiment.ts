import { defineModel, RandomStream, type UpdateRule } from '@updraft/core';
import { fromTensors, inOrder, shuffled, type Dataset } from '@updraft/data';
import type { Tensor } from '@updraft/graph';
import { crossEntropy } from '@updraft/nn';
import { adam, momentum } from '@updraft/rules';
import {
  defineExperiment,
  figureText,
  trainAndEvaluate,
  type Results,
  type Setting,
} from '@updraft/testing/experiment';
import { sophiaG, sophiaH } from './sophia.js';
import { winRate } from './win-rate.js';

interface Options {
  readonly rule: 'sophia-g' | 'sophia-h' | 'without-b' | 'sign' | 'adam' | 'sgd';
  readonly learningRate: number;
  readonly rho: number;
}

const FEATURES = 30;
const CLASSES = 8;

/** Softmax regression without bias, from zeros. */
const regression = defineModel({
  name: 'softmax-regression',
  inputs: { x: { dataType: 'float32', shape: ['batch', FEATURES] } },
  build: (scope, { x }) => ({
    logits: (x as Tensor).matMul(
      scope.parameter('w', [FEATURES, CLASSES], { initialize: () => new Float32Array(FEATURES * CLASSES) }),
    ),
  }),
});

/**
 * Features whose scales are spread from 1 to 10^-1.5 in random order, and a true weight of N(0, 1) / scale, so that every
 * feature matters as much while curvatures differ by a factor of 1000; labels are drawn from the true probabilities.
 */
function unevenTask<Part extends string>(seed: number, parts: Readonly<Record<Part, number>>): Record<Part, Dataset> {
  const random = RandomStream.fromSeed(seed).split('uneven-task');
  const scales = Array.from({ length: FEATURES }, (_, at) => 10 ** ((-1.5 * at) / (FEATURES - 1)));
  random.split('order').shuffle(scales);
  const draw = random.split('values');
  const weights = scales.map((scale) => Array.from({ length: CLASSES }, () => draw.normal() / scale));
  const part = (size: number): Dataset => {
    const x = new Float32Array(size * FEATURES);
    const label = new BigInt64Array(size);
    for (let row = 0; row < size; row++) {
      const logits = new Float64Array(CLASSES);
      scales.forEach((scale, at) => {
        const value = draw.normal() * scale;
        x[row * FEATURES + at] = value;
        (weights[at] as number[]).forEach((weight, column) => {
          logits[column] = (logits[column] as number) + value * weight;
        });
      });
      const largest = Math.max(...logits);
      label[row] = BigInt(draw.categorical(Array.from(logits, (logit) => Math.exp(logit - largest))));
    }
    return fromTensors({
      x: { dataType: 'float32', dims: [size, FEATURES], data: x },
      label: { dataType: 'int64', dims: [size], data: label },
    });
  };
  return Object.fromEntries(Object.entries<number>(parts).map(([name, size]) => [name, part(size)])) as Record<
    Part,
    Dataset
  >;
}

function updateRule({ rule, learningRate, rho }: Options): UpdateRule {
  const sophia = { learningRate, rho, weightDecay: 0 };
  switch (rule) {
    case 'sophia-g':
      return sophiaG(sophia);
    case 'sophia-h':
      return sophiaH(sophia);
    case 'without-b':
      return sophiaG({ ...sophia, batchTokens: 1 });
    case 'sign':
      return sophiaG({ ...sophia, rho: 0, k: 1_000_000 });
    case 'adam':
      return adam({ learningRate });
    case 'sgd':
      return momentum({ learningRate });
  }
}

const settings = (rule: Options['rule'], pairs: readonly (readonly [rate: number, rho: number])[]): Setting[] =>
  pairs.map(([learningRate, rho]) => ({ rule, learningRate, rho }));
const rates = (rule: Options['rule'], ...list: readonly number[]): Setting[] =>
  settings(
    rule,
    list.map((rate) => [rate, 0]),
  );

/** Steps at which test losses are compared, as shares of the run. */
const CHECKPOINTS = [
  ['early', 1 / 6],
  ['middle', 1 / 3],
  ['end', 1],
] as const;

const metricAt = (name: string): string => (name === 'end' ? 'testLoss' : `testLoss/${name}`);

/** The least mean that any setting of an arm reaches at a checkpoint. */
const leastAt = (results: Results, arm: string, name: string): number =>
  Math.min(
    ...results
      .tried(arm)
      .map((result) => result.mean(metricAt(name)))
      .filter(Number.isFinite),
  );

/** Sophia-G against signs, SGD and Adam where curvatures differ. */
export const experiments = [
  defineExperiment({
    id: 'uneven-curvature',
    title: 'Softmax regression with uneven curvature',
    protocol:
      'Softmax regression from zeros, 30 features with scales from 1 to 10^-1.5, 8 classes drawn from the true probabilities. Constant learning rate, no decay. The setting of each arm is chosen by the loss on separate validation data at the end, figures are of test data.',
    workload: { train: 4000, validation: 1000, test: 1000, batchSize: 256, steps: 600 },
    quick: { train: 1000, validation: 300, test: 300, steps: 60 },
    tune: { metric: 'validationLoss', goal: 'least' },
    columns: ['testLoss/early', 'testLoss/middle', 'testLoss'],
    plot: 'testLoss',
    arms: [
      {
        name: 'Sophia-G',
        role: 'method',
        settings: settings('sophia-g', [
          [0.05, 2],
          [0.1, 1],
          [0.1, 2],
          [0.2, 1],
          [0.2, 2],
        ]),
      },
      { name: 'Adam', role: 'baseline', settings: rates('adam', 0.05, 0.1, 0.2, 0.4, 0.8) },
      { name: 'sign of the momentum', role: 'baseline', settings: rates('sign', 0.01, 0.03, 0.05, 0.1, 0.2) },
      { name: 'SGD with momentum', role: 'baseline', settings: rates('sgd', 0.3, 1, 3, 10, 30) },
      {
        name: 'Sophia-G without B',
        role: 'ablation',
        fixed: 'Shows what the factor B does at equal settings.',
        settings: settings('without-b', [[0.1, 2]]),
      },
      {
        name: 'Sophia-H',
        role: 'method',
        fixed: 'Shown at the setting of the card for Sophia-G; no claim is made about it.',
        settings: settings('sophia-h', [[0.1, 2]]),
      },
    ],
    claims: [
      {
        id: 'beats-first-order',
        statement:
          'Sophia-G is below the best setting of the sign of the momentum and of SGD with momentum at a sixth, a third and the end of the run.',
        source: 'Liu et al. 2023, section 3 and figures 1 and 5: fewer steps than sign momentum and Adam',
        arms: ['Sophia-G', 'sign of the momentum', 'SGD with momentum'],
        judge: (results) =>
          ['sign of the momentum', 'SGD with momentum'].flatMap((other) =>
            CHECKPOINTS.map(([name]) => {
              const sophia = results.chosen('Sophia-G').mean(metricAt(name));
              const best = leastAt(results, other, name);
              return {
                text: `${name}: test loss ${figureText(sophia)} against ${figureText(best)} of the best ${other}`,
                holds: sophia < best,
              };
            }),
          ),
      },
      {
        id: 'matches-adam',
        statement: 'Its loss at the end is within 0.02 of that of tuned Adam. Faster early progress is not claimed.',
        source: 'Liu et al. 2023, abstract: half the steps of Adam for language models',
        arms: ['Sophia-G', 'Adam', 'Sophia-H'],
        judge: (results) => {
          const { mean } = results.compare(results.chosen('Sophia-G'), results.chosen('Adam'), 'testLoss');
          return [{ text: `test loss ${figureText(mean)} above that of Adam (at most 0.02)`, holds: mean <= 0.02 }];
        },
      },
      {
        id: 'curvature-is-used',
        statement:
          'At the end more than half of the elements are not clipped, and without the factor B the loss is at least 0.1 higher.',
        source: 'Liu et al. 2023, section 2.3 (estimator) and the win rate of the authors’ code',
        arms: ['Sophia-G', 'Sophia-G without B'],
        judge: (results) => {
          const chosen = results.chosen('Sophia-G');
          const { mean } = results.compare(results.chosen('Sophia-G without B'), chosen, 'testLoss');
          const share = chosen.mean('winRate');
          return [
            { text: `${figureText(share)} of the elements are not clipped (0.5)`, holds: share > 0.5 },
            { text: `without B the test loss is ${figureText(mean)} higher (0.1)`, holds: mean >= 0.1 },
          ];
        },
      },
    ],
    async run(setting, context) {
      const { train, validation, test, batchSize, steps } = context.workload;
      const data = unevenTask(context.seed, { train, validation, test });
      const options = setting as unknown as Options;
      const every = Math.max(1, Math.round(steps / 12));
      const { result, ...found } = await trainAndEvaluate({
        context,
        model: regression,
        sampler: shuffled(data.train, { batchSize }),
        reward: crossEntropy(),
        updateRule: updateRule(options),
        steps,
        measure: { validation: () => inOrder(data.validation), test: () => inOrder(data.test) },
        curve: { of: 'test', every },
      });
      const curve = found.curves?.['testLoss'];
      const metrics = { ...found.metrics };
      for (const [name, share] of CHECKPOINTS) {
        const at = curve?.steps.indexOf(Math.round((steps * share) / every) * every) ?? -1;
        if (name !== 'end') metrics[metricAt(name)] = curve?.values[at] ?? Number.NaN;
      }
      if (options.rule.startsWith('sophia')) metrics['winRate'] = winRate(result.state, { rho: options.rho });
      return { ...found, metrics };
    },
  }),
];
