import { evaluate, federate, type Aggregator } from '@updraft/core';
import { dirichletShards, inOrder, meanPooled, reordered, shuffled, skip, take } from '@updraft/data';
import { mnist } from '@updraft/data/node';
import { crossEntropy, mlp } from '@updraft/nn';
import { mean } from '@updraft/rules';
import { defineExperiment, figureText, type Results } from '@updraft/testing/experiment';
import { fedSpeedLocal } from './local.js';
import { fedSpeedServer } from './server.js';

interface Options {
  readonly method: 'fedavg' | 'fedprox' | 'fedsam' | 'no-ascent' | 'no-correction' | 'fedspeed';
  readonly learningRate: number;
}

const LAMBDA = 0.1;
const RHO = 0.1;
/** What of FedSpeed a method has. */
const PARTS: Readonly<Record<Options['method'], { lambda: number; rho: number; correction: boolean }>> = {
  fedavg: { lambda: 0, rho: 0, correction: false },
  fedprox: { lambda: LAMBDA, rho: 0, correction: false },
  fedsam: { lambda: 0, rho: RHO, correction: false },
  'no-ascent': { lambda: LAMBDA, rho: 0, correction: true },
  'no-correction': { lambda: LAMBDA, rho: RHO, correction: false },
  fedspeed: { lambda: LAMBDA, rho: RHO, correction: true },
};

const tuned = (method: Options['method']) => [0.05, 0.1, 0.2].map((learningRate) => ({ method, learningRate }));

/** FedSpeed against federated methods of which it has parts. */
export const experiments = [
  defineExperiment({
    id: 'unlike-clients',
    title: 'Twenty clients with few classes each, on small MNIST',
    protocol:
      'Twenty clients with shards of MNIST (images 14 × 14 from the 10,000 of the test files; Dirichlet mixtures of classes, α = 0.1), five of them in each of 40 rounds, 20 local steps of batch 32, an MLP 196-32-10, no weight decay, rates that fall by 0.2 % a round, λ = ρ = 0.1. Rates are chosen by the accuracy on separate validation data after the last round. Accuracies are of test data: early is the mean after rounds 10 to 12, late that after the last five.',
    workload: {
      train: 7000,
      validation: 1000,
      test: 2000,
      clients: 20,
      active: 5,
      localSteps: 20,
      batchSize: 32,
      rounds: 40,
    },
    quick: { train: 1000, validation: 200, test: 300, rounds: 13, localSteps: 4 },
    tune: { metric: 'validationAccuracy', goal: 'most' },
    columns: ['earlyAccuracy', 'lateAccuracy'],
    plot: 'testAccuracy',
    arms: [
      { name: 'FedSpeed', role: 'method', settings: tuned('fedspeed') },
      { name: 'FedAvg', role: 'baseline', settings: tuned('fedavg') },
      { name: 'FedProx', role: 'baseline', settings: tuned('fedprox') },
      { name: 'FedSAM', role: 'baseline', settings: tuned('fedsam') },
      { name: 'FedSpeed without ascent', role: 'ablation', settings: tuned('no-ascent') },
      { name: 'FedSpeed without correction', role: 'ablation', settings: tuned('no-correction') },
    ],
    claims: [
      {
        id: 'faster-and-better',
        statement:
          'FedSpeed is at least 4 points of accuracy above FedAvg at the end, at least 8 after ten rounds, and above FedProx and FedSAM at both times.',
        source: 'Sun et al. 2023, abstract and section 5: faster, and state of the art in general federated settings',
        arms: ['FedSpeed', 'FedAvg', 'FedProx', 'FedSAM'],
        judge: (results) => {
          const [early, late] = [ahead(results, 'FedAvg', 'earlyAccuracy'), ahead(results, 'FedAvg', 'lateAccuracy')];
          return [
            { text: `${figureText(late)} points above FedAvg at the end (at least 4)`, holds: late >= 4 },
            { text: `${figureText(early)} points above it after ten rounds (at least 8)`, holds: early >= 8 },
            ...['FedProx', 'FedSAM'].map((other) => {
              const least = Math.min(ahead(results, other, 'earlyAccuracy'), ahead(results, other, 'lateAccuracy'));
              return { text: `${figureText(least)} points or more above ${other} at both times (0)`, holds: least > 0 };
            }),
          ];
        },
      },
      {
        id: 'both-parts',
        statement:
          'Both parts help: without ascent the late accuracy is no higher, and without the correction at least 3 points lower.',
        source: 'Sun et al. 2023, section 5.3: ablation of the ascent step and the correction',
        arms: ['FedSpeed', 'FedSpeed without ascent', 'FedSpeed without correction'],
        judge: (results) => {
          const ascent = ahead(results, 'FedSpeed without ascent', 'lateAccuracy');
          const correction = ahead(results, 'FedSpeed without correction', 'lateAccuracy');
          return [
            { text: `the ascent gains ${figureText(ascent)} points (at least 0)`, holds: ascent >= 0 },
            { text: `the correction gains ${figureText(correction)} points (at least 3)`, holds: correction >= 3 },
          ];
        },
      },
    ],
    async run(setting, context) {
      const { method, learningRate } = setting as unknown as Options;
      const { train, validation, test, clients, active, localSteps, batchSize, rounds } = context.workload;
      const images = reordered(meanPooled(await mnist('test', { mean: 0, deviation: 1 }), { size: 2 }), 0);
      const shards = dirichletShards(take(images, train), { clients, alpha: 0.1, minimum: 5, seed: context.seed });
      const { backend, seed, signal } = context;
      const model = mlp({ input: [1, 14, 14], hidden: [32], classes: 10 });
      const reward = crossEntropy();
      const parts = PARTS[method];
      const run = federate({
        model,
        reward,
        clients: shards.map((shard, index) => ({
          id: String(index),
          sampler: shuffled(shard, { batchSize: Math.min(batchSize, shard.length) }),
        })),
        participation: { count: active },
        localSteps,
        updateRule: fedSpeedLocal({ learningRate, learningRateDecay: 0.998, weightDecay: 0, ...parts }),
        aggregator: parts.correction ? (fedSpeedServer() as Aggregator) : mean(),
        backend,
        rounds,
        seed,
        evaluation: { every: 1, sampler: () => inOrder(take(skip(images, train + validation), test)) },
        ...(signal === undefined ? {} : { signal }),
      });
      const accuracies: number[] = [];
      for await (const event of run) {
        if (event.type === 'round') context.progress(event.step / rounds);
        if (event.type === 'evaluation') accuracies[event.step - 1] = event.metrics['accuracy'] ?? Number.NaN;
      }
      signal?.throwIfAborted();
      const { params } = await run.result();
      const held = await evaluate({
        model,
        reward,
        backend,
        residents: params,
        sampler: () => inOrder(take(skip(images, train), validation)),
      });
      return {
        metrics: {
          earlyAccuracy: average(accuracies.slice(9, 12)),
          lateAccuracy: average(accuracies.slice(-5)),
          validationAccuracy: held.metrics['accuracy'] ?? Number.NaN,
        },
        curves: { testAccuracy: { steps: accuracies.map((_, index) => index + 1), values: accuracies } },
      };
    },
  }),
];

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);

/** How many points FedSpeed is above another arm. */
function ahead(results: Results, other: string, metric: string): number {
  return 100 * results.compare(results.chosen('FedSpeed'), results.chosen(other), metric).mean;
}
