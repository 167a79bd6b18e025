import { defineModel, evaluate, train, type UpdateRule } from '@updraft/core';
import { inOrder, teacherTask } from '@updraft/data';
import type { Tensor } from '@updraft/graph';
import { crossEntropy, dense, zeros } from '@updraft/nn';
import { chain, sgd } from '@updraft/rules';
import { defineExperiment, figureText, type Arm, type Setting } from '@updraft/testing/experiment';
import { adaGrad } from './adagrad.js';
import { adaptiveBatch } from './adaptive-batch.js';
import { batchStatistics } from './batch-statistics.js';

/** Batches of one size, or the norm test with η from 16 on. */
type Scheme = { readonly constant: number } | { readonly eta: number };
type Options = Scheme & {
  readonly rule: 'adagrad' | 'sgd';
  readonly learningRate: number;
};

const setting = (rule: Options['rule'], scheme: Scheme, learningRate: number): Setting => ({
  rule,
  ...scheme,
  learningRate,
});
const SCHEMES: Readonly<Record<string, Scheme>> = {
  'constant 16': { constant: 16 },
  'constant 256': { constant: 256 },
  'constant 4000': { constant: 4000 },
  'norm test η = 1': { eta: 1 },
  'norm test η = 0.5': { eta: 0.5 },
};
const roleOf = (scheme: Scheme): Arm['role'] => ('eta' in scheme ? 'method' : 'baseline');

const fixedArms = (rule: Options['rule'], prefix: string, names: readonly string[]): Arm[] =>
  names.map((name) => ({
    name: prefix + name,
    role: roleOf(SCHEMES[name] as Scheme),
    fixed: 'The claim is about the rate 0.5, at which noise shows.',
    settings: [setting(rule, SCHEMES[name] as Scheme, 0.5)],
  }));

/** Softmax regression from zero. */
const regression = defineModel({
  name: 'softmax-regression',
  inputs: { x: { dataType: 'float32', shape: ['batch', 32] } },
  build: (scope, { x }) => ({ logits: dense({ units: 10, initialize: () => zeros })(scope, x as Tensor) }),
});

function updateRule(options: Options): UpdateRule {
  const { rule, learningRate } = options;
  const adaptive = 'eta' in options;
  if (rule === 'adagrad') return adaGrad({ learningRate, statistics: adaptive ? 'norm' : 'none' });
  return adaptive ? chain(batchStatistics('norm'), sgd({ learningRate })) : sgd({ learningRate });
}

/** Growing batches against constant ones, for the same number of examples. */
export const experiments = [
  defineExperiment({
    id: 'growing-batches',
    title: 'Growing batches on teacher–student data',
    protocol:
      'Softmax regression from zero on the classes that a random network 32-24-10 gives to 4000 normal inputs; 120,000 examples for every arm, drawn without replacement within a batch. Figures at the end: loss and norm of the full gradient on the training data, accuracy on 2000 test examples, steps, and examples per step. Tuned arms choose between the rates 0.1 and 0.5 by the loss on separate validation data.',
    workload: { train: 4000, validation: 1000, test: 2000, samples: 120_000 },
    quick: { samples: 12_000 },
    tune: { metric: 'validationLoss', goal: 'least' },
    columns: ['trainLoss', 'gradientNorm', 'testAccuracy', 'steps', 'meanBatch', 'lastBatch'],
    plot: 'batchSize',
    arms: [
      ...fixedArms('adagrad', '', Object.keys(SCHEMES)),
      ...fixedArms('sgd', 'SGD, ', ['constant 16', 'norm test η = 1']),
      ...Object.entries(SCHEMES).map(([name, scheme]) => ({
        name: `tuned, ${name}`,
        role: roleOf(scheme),
        settings: [0.1, 0.5].map((rate) => setting('adagrad', scheme, rate)),
      })),
    ],
    claims: [
      {
        id: 'smaller-gradients-in-fewer-steps',
        statement:
          'At the rate 0.5, from batches of 16 on, the norm test with η = 1 ends with a full gradient at least 3 times smaller than batches of 16 and 256, in at least 3 times fewer steps, with a test accuracy within 0.01 of theirs.',
        source: 'Lau, Liu and Kolar 2024, abstract: fewer steps at near small-batch quality',
        arms: Object.keys(SCHEMES),
        judge: (results) => {
          const adaptive = results.chosen('norm test η = 1');
          return ['constant 16', 'constant 256'].flatMap((name) => {
            const constant = results.chosen(name);
            const accuracy = results.compare(adaptive, constant, 'testAccuracy').mean;
            const gradient = constant.mean('gradientNorm') / adaptive.mean('gradientNorm');
            const steps = constant.mean('steps') / adaptive.mean('steps');
            return [
              { text: `${name}: the gradient is ${figureText(gradient)} times as large (3)`, holds: gradient >= 3 },
              { text: `${name}: ${figureText(steps)} times as many steps (3)`, holds: steps >= 3 },
              {
                text: `${name}: accuracy differs by ${figureText(accuracy)} (0.01)`,
                holds: Math.abs(accuracy) <= 0.01,
              },
            ];
          });
        },
      },
      {
        id: 'smaller-eta-larger-batches',
        statement:
          'Batches grow to all 4000 examples on every seed, and with η = 0.5 they are larger on average than with η = 1.',
        source: 'Lau, Liu and Kolar 2024: the size is proportional to 1/η²',
        arms: ['norm test η = 1', 'norm test η = 0.5'],
        judge: (results) => {
          const [loose, tight] = [results.chosen('norm test η = 1'), results.chosen('norm test η = 0.5')];
          const { differences } = results.compare(tight, loose, 'meanBatch');
          const least = Math.min(...loose.values('lastBatch'), ...tight.values('lastBatch'));
          return [
            { text: `the last batches have ${figureText(least)} examples or more (4000)`, holds: least === 4000 },
            {
              text: `with η = 0.5 they have ${figureText(Math.min(...differences))} more on average, or more than that (0)`,
              holds: Math.min(...differences) > 0,
            },
          ];
        },
      },
      {
        id: 'also-with-sgd',
        statement:
          'With plain SGD at the rate 0.5 the norm test with η = 1 ends with a full gradient at least 3 times smaller than batches of 16, in at least 3 times fewer steps.',
        source: 'The baseline of the method: the same tests with SGD',
        arms: ['SGD, constant 16', 'SGD, norm test η = 1'],
        judge: (results) => {
          const [constant, adaptive] = [results.chosen('SGD, constant 16'), results.chosen('SGD, norm test η = 1')];
          const gradient = constant.mean('gradientNorm') / adaptive.mean('gradientNorm');
          const steps = constant.mean('steps') / adaptive.mean('steps');
          results.compare(adaptive, constant, 'gradientNorm');
          return [
            {
              text: `the gradient of batches of 16 is ${figureText(gradient)} times as large (3)`,
              holds: gradient >= 3,
            },
            { text: `${figureText(steps)} times as many steps (3)`, holds: steps >= 3 },
          ];
        },
      },
      {
        id: 'tuned-rates',
        statement:
          'With rates tuned for each scheme, the norm test with η = 1 needs at least 3 times fewer steps than constant batches of 256, with a test accuracy no more than 0.01 below the best constant size.',
        source: 'Lau, Liu and Kolar 2024, abstract: efficiency at near small-batch quality',
        arms: Object.keys(SCHEMES).map((name) => `tuned, ${name}`),
        judge: (results) => {
          const adaptive = results.chosen('tuned, norm test η = 1');
          const constants = ['constant 16', 'constant 256', 'constant 4000'].map((name) =>
            results.chosen(`tuned, ${name}`),
          );
          const best = constants.reduce((a, b) => (b.mean('testAccuracy') > a.mean('testAccuracy') ? b : a));
          const accuracy = results.compare(adaptive, best, 'testAccuracy').mean;
          const steps = results.chosen('tuned, constant 256').mean('steps') / adaptive.mean('steps');
          return [
            { text: `batches of 256 take ${figureText(steps)} times as many steps (3)`, holds: steps >= 3 },
            {
              text: `accuracy is ${figureText(accuracy)} above that of "${best.arm}" (−0.01 or more)`,
              holds: accuracy >= -0.01,
            },
          ];
        },
      },
    ],
    async run(given, { workload, seed, backend, signal, progress }) {
      const options = given as unknown as Options;
      const data = teacherTask({
        parts: { train: workload.train, validation: workload.validation, test: workload.test },
        seed: 1000 + seed,
      });
      const constant = 'constant' in options ? options.constant : undefined;
      const sampler = adaptiveBatch(data.train, {
        initialBatch: constant ?? 16,
        maxBatch: constant ?? workload.train,
        samples: workload.samples,
        ...('eta' in options ? { eta: options.eta } : {}),
      });
      const shared = { model: regression, reward: crossEntropy(), backend };
      const run = train({
        ...shared,
        sampler,
        updateRule: updateRule(options),
        steps: workload.samples,
        seed,
        ...(signal === undefined ? {} : { signal }),
      });
      const sizes: number[] = [];
      let drawn = 0;
      for await (const event of run)
        if (event.type === 'step') {
          sizes.push(event.batchSize);
          drawn += event.batchSize;
          progress(Math.min(1, drawn / workload.samples));
        }
      signal?.throwIfAborted();
      const { params } = await run.result();
      const measured = async (part: 'train' | 'validation' | 'test') =>
        evaluate({ ...shared, sampler: () => inOrder(data[part]), residents: params });
      // One step on all of the training data, which changes nothing, reports the norm of their gradient.
      const whole = train({
        ...shared,
        sampler: inOrder(data.train, workload.train),
        updateRule: batchStatistics('norm'),
        initial: params,
        steps: 1,
      });
      let squaredNorm = NaN;
      for await (const event of whole)
        if (event.type === 'step') squaredNorm = event.metrics['gradientSquaredNorm'] as number;
      const [training, validation, test] = [
        await measured('train'),
        await measured('validation'),
        await measured('test'),
      ];
      // Few enough points for a plot.
      const every = Math.max(1, Math.floor(sizes.length / 60));
      const shown = sizes.flatMap((size, at) => (at % every === 0 ? [{ step: at + 1, size }] : []));
      return {
        metrics: {
          trainLoss: training.loss,
          validationLoss: validation.loss,
          gradientNorm: Math.sqrt(squaredNorm),
          testAccuracy: test.metrics['accuracy'] as number,
          steps: sizes.length,
          meanBatch: drawn / sizes.length,
          lastBatch: sizes.at(-1) as number,
        },
        curves: { batchSize: { steps: shown.map(({ step }) => step), values: shown.map(({ size }) => size) } },
      };
    },
  }),
];
