import { evaluate, federate, type Aggregator, type FederatedClient } from '@updraft/core';
import { dirichletShards, inOrder, meanPooled, reordered, shuffled, skip, take } from '@updraft/data';
import { mnist } from '@updraft/data/node';
import { crossEntropy, mlp } from '@updraft/nn';
import { mean, trimmedMean } from '@updraft/rules';
import { defineExperiment, figureText, type Results, type SettingResult } from '@updraft/testing/experiment';
import { aLittleIsEnough, signFlip, type Attack } from './attacks.js';
import { dispersion } from './coordination.js';
import { nearestNeighbourAveraging } from './nearest-neighbour-averaging.js';
import { polyakMomentum } from './polyak-momentum.js';
import { worstCaseReceipt } from './worst-case-receipt.js';

interface Options {
  readonly mixing: 'nearest' | 'mean' | 'trimmed-mean';
  readonly beta: number;
  readonly learningRate: number;
  readonly attack: 'none' | 'sign-flip' | 'little-4' | 'little-1';
}

const ATTACKS: Readonly<Record<Options['attack'], Attack | undefined>> = {
  none: undefined,
  'sign-flip': signFlip(),
  'little-4': aLittleIsEnough({ factor: 4 }),
  'little-1': aLittleIsEnough({ factor: 1 }),
};

/** A mixing that shows its result, so that the models of all peers can be compared in every round. */
const shown = (aggregator: Aggregator): Aggregator => ({
  combine(context, sources) {
    const { values } = aggregator.combine(context, sources);
    return { values, outputs: values };
  },
});

const mixingOf = ({ mixing }: Options, attackers: number, heard: number): Aggregator => {
  if (mixing === 'nearest') return nearestNeighbourAveraging({ f: attackers });
  return mixing === 'mean' ? mean() : trimmedMean({ trim: attackers / heard });
};

const RATES = [0.05, 0.1, 0.2];
const at = (mixing: Options['mixing'], attack: Options['attack'], beta = 0.9, learningRate = 0.2) => ({
  mixing,
  attack,
  beta,
  learningRate,
});
const fixed = 'Compared at the setting of the card: rate 0.2, β 0.9.';

const points = (left: SettingResult, right: SettingResult, results: Results): number =>
  100 * results.compare(left, right, 'testAccuracy').mean;

/** MoNNA among peers of which two attack. */
export const experiments = [
  defineExperiment({
    id: 'peers-under-attack',
    title: 'Twelve peers of which two attack, on small MNIST',
    protocol:
      'Ten honest peers with shards of MNIST (images 14 × 14 from the 10,000 of the test files; Dirichlet mixtures of classes, α = 1) train an MLP 196-16-10; two attackers know all their models. Each peer hears both attackers and seven of the other honest ones, drawn anew every round. Constant rates. Figures are means over the honest peers, the dispersion one over the second half of the rounds. Rates are chosen on separate validation data.',
    workload: { train: 7000, validation: 1000, test: 2000, peers: 10, attackers: 2, batchSize: 25, rounds: 200 },
    quick: { train: 1000, validation: 200, test: 300, rounds: 12 },
    tune: { metric: 'validationAccuracy', goal: 'most' },
    columns: ['testAccuracy', 'testLoss', 'dispersion'],
    plot: 'dispersion',
    arms: [
      {
        name: 'MoNNA, a little (1)',
        role: 'method',
        settings: RATES.map((rate) => at('nearest', 'little-1', 0.9, rate)),
      },
      {
        name: 'no momentum, a little (1)',
        role: 'ablation',
        settings: RATES.map((rate) => at('nearest', 'little-1', 0, rate)),
      },
      { name: 'mean, no attack', role: 'baseline', fixed, settings: [at('mean', 'none')] },
      { name: 'MoNNA, sign flip', role: 'method', fixed, settings: [at('nearest', 'sign-flip')] },
      { name: 'mean, sign flip', role: 'baseline', fixed, settings: [at('mean', 'sign-flip')] },
      { name: 'trimmed mean, sign flip', role: 'baseline', fixed, settings: [at('trimmed-mean', 'sign-flip')] },
      { name: 'MoNNA, a little (4)', role: 'method', fixed, settings: [at('nearest', 'little-4')] },
      { name: 'mean, a little (4)', role: 'baseline', fixed, settings: [at('mean', 'little-4')] },
      {
        name: 'no momentum, sign flip',
        role: 'ablation',
        fixed: 'As above, but β 0.',
        settings: [at('nearest', 'sign-flip', 0)],
      },
    ],
    claims: [
      {
        id: 'filters-attacks',
        statement:
          'Under sign flipping and under a little is enough of factor 4 MoNNA stays within 3 points of the accuracy of the mean without attack, while the mean drops by 12 points or more, and to less than 25 % under sign flipping.',
        source: 'Farhadkhani et al. 2023, section 6: accuracy under attacks close to that of decentralised SGD without',
        arms: [
          'mean, no attack',
          'MoNNA, sign flip',
          'mean, sign flip',
          'trimmed mean, sign flip',
          'MoNNA, a little (4)',
          'mean, a little (4)',
        ],
        judge: (results) => {
          const quiet = results.chosen('mean, no attack');
          const lost = (arm: string): number => -points(results.chosen(arm), quiet, results);
          const [flip, little, meanLittle] = ['MoNNA, sign flip', 'MoNNA, a little (4)', 'mean, a little (4)'].map(
            lost,
          ) as [number, number, number];
          const chance = results.chosen('mean, sign flip').mean('testAccuracy');
          return [
            { text: `MoNNA loses ${figureText(flip)} points under sign flipping (at most 3)`, holds: flip <= 3 },
            { text: `it loses ${figureText(little)} under factor 4 (at most 3)`, holds: little <= 3 },
            { text: `the mean loses ${figureText(meanLittle)} under factor 4 (at least 12)`, holds: meanLittle >= 12 },
            { text: `its accuracy is ${figureText(chance)} under sign flipping (below 0.25)`, holds: chance < 0.25 },
          ];
        },
      },
      {
        id: 'momentum-against-hiding',
        statement:
          'Under a little is enough of factor 1, which hides inside the spread of honest models, momentum gains 6 points of accuracy or more, the rate being tuned with and without.',
        source: 'Farhadkhani et al. 2023, sections 4 and 6: momentum shrinks the variance that attackers hide in',
        arms: ['MoNNA, a little (1)', 'no momentum, a little (1)'],
        judge: (results) => {
          const gain = points(
            results.chosen('MoNNA, a little (1)'),
            results.chosen('no momentum, a little (1)'),
            results,
          );
          return [{ text: `momentum gains ${figureText(gain)} points (at least 6)`, holds: gain >= 6 }];
        },
      },
      {
        id: 'momentum-holds-together',
        statement:
          'Where the attack is filtered (sign flipping), honest models with momentum are at most 0.7 times as far apart as without.',
        source:
          'Farhadkhani et al. 2023, section 4: the drift between honest peers is bounded by the variance of their steps',
        arms: ['MoNNA, sign flip', 'no momentum, sign flip'],
        judge: (results) => {
          const [momentum, none] = [results.chosen('MoNNA, sign flip'), results.chosen('no momentum, sign flip')];
          results.compare(momentum, none, 'dispersion');
          const ratio = momentum.mean('dispersion') / none.mean('dispersion');
          return [
            { text: `the dispersion is ${figureText(ratio)} times that without (at most 0.7)`, holds: ratio <= 0.7 },
          ];
        },
      },
    ],
    async run(setting, context) {
      const given = setting as unknown as Options;
      const { train, validation, test, peers, attackers, batchSize, rounds } = context.workload;
      const images = reordered(meanPooled(await mnist('test', { mean: 0, deviation: 1 }), { size: 2 }), 0);
      const shards = dirichletShards(take(images, train), {
        clients: peers,
        alpha: 1,
        minimum: batchSize,
        seed: context.seed,
      });
      const transform = ATTACKS[given.attack];
      const hostile =
        transform === undefined ? [] : Array.from({ length: attackers }, (_, index) => `attacker ${index}`);
      const model = mlp({ input: [1, 14, 14], hidden: [16], classes: 10 });
      const reward = crossEntropy();
      const run = federate({
        model,
        reward,
        clients: [
          ...shards.map((shard, index) => ({ id: `peer ${index}`, sampler: shuffled(shard, { batchSize }) })),
          ...hostile.map((id): FederatedClient => ({ id, ...(transform === undefined ? {} : { transform }) })),
        ],
        topology: 'peers',
        receive: worstCaseReceipt({ attackers: hostile }),
        updateRule: polyakMomentum({ learningRate: given.learningRate, beta: given.beta }),
        aggregator: shown(mixingOf(given, attackers, peers)),
        backend: context.backend,
        rounds,
        seed: context.seed,
        ...(context.signal === undefined ? {} : { signal: context.signal }),
      });
      const steps: number[] = [];
      const apart: number[] = [];
      for await (const event of run) {
        if (event.type !== 'round') continue;
        context.progress(event.step / rounds);
        steps.push(event.step);
        apart.push(dispersion(event.aggregations.map(({ outputs }) => outputs)));
      }
      context.signal?.throwIfAborted();
      const { clients } = await run.result();
      const late = apart.slice(Math.floor(rounds / 2));
      const metrics: Record<string, number> = { dispersion: late.reduce((sum, value) => sum + value / late.length, 0) };
      const add = (name: string, value: number): void => {
        metrics[name] = (metrics[name] ?? 0) + value / peers;
      };
      const measured = {
        validation: take(skip(images, train), validation),
        test: take(skip(images, train + validation), test),
      };
      for (let index = 0; index < peers; index++)
        for (const [set, dataset] of Object.entries(measured)) {
          const residents = clients[`peer ${index}`]?.params ?? {};
          const found = await evaluate({
            model,
            reward,
            backend: context.backend,
            residents,
            sampler: () => inOrder(dataset),
          });
          add(`${set}Loss`, found.loss);
          add(`${set}Accuracy`, found.metrics['accuracy'] ?? Number.NaN);
        }
      return { metrics, curves: { dispersion: { steps, values: apart } } };
    },
  }),
];
