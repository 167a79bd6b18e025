import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  defineModel,
  federate,
  instantiatePlugin,
  type Aggregator,
  type ClientRule,
  type FederateOptions,
  type FederateResult,
  type Model,
  type Reward,
  type Sampler,
} from '@updraft/core';
import { fromArrays, InOrderSampler, provideDataset, type Dataset } from '@updraft/data';
import type { Tensor, TensorData } from '@updraft/graph';
import { meanSquaredError } from '@updraft/nn';
import * as rules from '@updraft/rules';
import { parseProbeCases, runProbeCase, testAggregator, testUpdateRule, traceAggregator } from '@updraft/testing';
import { readFileSync } from 'node:fs';
import * as all from './index.js';
import { FedSpeedLocal, fedSpeedLocal, FedSpeedServer, fedSpeedServer } from './index.js';

// Machines that run checks are busy.
jest.setTimeout(120_000);

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as unknown;

/** In plain training the anchor is the first model, so that only without the proximal term a rule gets anywhere. */
const free = { lambda: 0, weightDecay: 0, rho: 1e-3 };
testUpdateRule(FedSpeedLocal, {
  separable: false,
  gradientsOnly: false,
  constantState: ['anchor', 'correction', 'last', 'rateFactor'],
  golden: [read('fedspeed')],
  parabola: { options: { ...free, learningRate: 0.1 } },
  rosenbrock: { options: { ...free, learningRate: 1e-3 }, steps: 6000 },
  waive: { 'options-matter': 'Some options act at the boundaries of rounds; below each changes a federation.' },
});
// Two rounds in which everybody moves add a correction each: the result is no mean of the sources.
testAggregator(FedSpeedServer, {
  current: true,
  weighted: false,
  unanimous: false,
  scales: false,
  within: false,
  waive: {
    'options-matter': 'The kit sends no corrections, which correctionMean: sampled averages; below it is tested.',
  },
});

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const numbers = (value: TensorData | undefined): number[] => [...((value as TensorData).data as Float32Array)];

const cases = parseProbeCases(read('probe'));
test.each(cases.map((one) => [one.name, one] as const))('in a probe: %s', async (_, one) => {
  await runProbeCase(one, { exports: all, others: [rules], backend });
});

/** Batches in order, again and again. */
const cycle = (dataset: Dataset, batchSize: number): Sampler =>
  instantiatePlugin(InOrderSampler, { batchSize, epochs: 1e6 }, provideDataset(dataset));

/** ½·curvature·(x − target)² at each client. */
const parabolas: Reward = {
  objective: ({ batch, forward }) => ({
    loss: (forward()['output'] as Tensor)
      .sub(batch['target'] as Tensor)
      .square()
      .mul(batch['curvature'] as Tensor)
      .mean()
      .mul(0.5),
  }),
};
const point = defineModel({
  name: 'point',
  inputs: {},
  build: (scope) => scope.parameter('x', [1], { initialize: () => new Float32Array(1) }),
});
interface Parabola {
  readonly curvature: number;
  readonly target: number;
}
const onParabolas = (
  functions: readonly Parabola[],
  options: Pick<FederateOptions, 'updateRule' | 'aggregator' | 'rounds'> & Partial<FederateOptions>,
): Promise<FederateResult> =>
  federate({
    model: point,
    reward: parabolas,
    clients: functions.map(({ curvature, target }, index) => ({
      id: `client${index}`,
      sampler: cycle(fromArrays({ target: { values: [[target]] }, curvature: { values: [[curvature]] } }), 1),
    })),
    backend,
    ...options,
  }).result();
const x = ({ params }: FederateResult): number => numbers(params['x'])[0] as number;
const h = ({ clients }: FederateResult, index: number): number =>
  numbers(clients[`client${index}`]?.state['correction/x'])[0] as number;

/** What the card leaves out of its calculations. */
const plain = { weightDecay: 0 };
const two: readonly Parabola[] = [
  { curvature: 1, target: 2 },
  { curvature: 1, target: 0 },
];

describe('the card of FedSpeed', () => {
  test.each(['all', 'sampled'] as const)('1: two rounds by hand; mean over %s', async (correctionMean) => {
    const options = {
      updateRule: fedSpeedLocal({ ...plain, learningRate: 0.1, lambda: 0.1, rho: 0.1 }),
      aggregator: fedSpeedServer({ correctionMean }),
      localSteps: 2,
    };
    const first = await onParabolas(two, { ...options, rounds: 1 });
    expect(x(first)).toBeCloseTo(0.396899999, 6);
    expect([h(first, 0), h(first, 1)]).toEqual([expect.closeTo(0.3969, 6), 0]);
    const second = await onParabolas(two, { ...options, rounds: 2 });
    expect(x(second)).toBeCloseTo(0.8158203928, 6);
    expect(h(second, 0)).toBeCloseTo(0.711284488, 6);
    expect(h(second, 1)).toBeCloseTo(-0.0939140947, 6);
  });

  test('2: without ascent the model goes to the optimum of the mean, and h to −∇F/λ', async () => {
    const found = await onParabolas(two, {
      updateRule: fedSpeedLocal({ ...plain, learningRate: 0.1, lambda: 0.1, rho: 0 }),
      aggregator: fedSpeedServer(),
      localSteps: 2,
      rounds: 700,
    });
    expect(x(found)).toBeCloseTo(1, 4);
    expect(h(found, 0)).toBeCloseTo(10, 2);
    expect(h(found, 1)).toBeCloseTo(-10, 2);
  });

  test('3: it finds the optimum of unlike parabolas, FedProx with the same λ another point', async () => {
    const unlike = [{ curvature: 4, target: 2 }, two[1] as Parabola];
    const run = (correction: boolean, aggregator: Aggregator): Promise<FederateResult> =>
      onParabolas(unlike, {
        updateRule: fedSpeedLocal({ ...plain, learningRate: 0.05, lambda: 0.1, rho: 0, correction }),
        aggregator,
        localSteps: 20,
        rounds: 300,
      });
    expect(x(await run(true, fedSpeedServer() as Aggregator))).toBeCloseTo(1.6, 4);
    expect(x(await run(false, rules.mean()))).toBeCloseTo(1.2212107, 5);
  });

  test.each([0, 1e-12, 1e-7, 1e-3, 5, 1e15])('4: the perturbation of a gradient %d is ρ·g/(g + 1e-7)', async (size) => {
    // A parabola of curvature 1 at distance g: the step is η·(g + e).
    const [rate, rho] = [0.25, 0.5];
    const run = async (radius: number): Promise<number> =>
      x(
        await onParabolas([{ curvature: 1, target: -size }], {
          updateRule: fedSpeedLocal({ ...plain, learningRate: rate, lambda: 0, rho: radius, clipNorm: 1e30 }),
          aggregator: rules.mean(),
          rounds: 1,
        }),
      );
    const g = Math.fround(size);
    const expected = -rate * (g + (rho * g) / (g + 1e-7));
    expect(Math.abs((await run(rho)) - expected)).toBeLessThanOrEqual(1e-6 * Math.max(Math.abs(expected), g));
    expect(await run(0)).toBeCloseTo(-rate * g, 6);
  });

  test('λ = 0 and ρ = 0 leave federated averaging of gradient descent', async () => {
    const found = await onParabolas(two, {
      updateRule: fedSpeedLocal({ ...plain, learningRate: 0.1, lambda: 0, rho: 0 }),
      aggregator: rules.mean(),
      localSteps: 3,
      rounds: 2,
    });
    // x ← c + 0.9³·(x − c) at both, and the mean: 1 + 0.9³·(x − 1), twice from 0.
    expect(x(found)).toBeCloseTo(1 - 0.9 ** 6, 6);
  });

  test('corrections of clients that do not take part survive', async () => {
    const found = await onParabolas([...two, { curvature: 1, target: 4 }], {
      updateRule: fedSpeedLocal({ ...plain, learningRate: 0.1, lambda: 0.1, rho: 0 }),
      aggregator: fedSpeedServer(),
      localSteps: 20,
      participation: { count: 2, seed: 3 },
      rounds: 300,
    });
    expect(x(found)).toBeCloseTo(2, 2);
    expect(h(found, 1)).toBeCloseTo(-20, 0);
    expect(h(found, 2)).toBeCloseTo(20, 0);
  });
});

describe('beside the official code', () => {
  type Rows = readonly (readonly number[])[];
  const golden = read('federation') as {
    readonly batchSize: number;
    readonly localSteps: number;
    readonly rounds: number;
    readonly data: readonly Readonly<Record<'x' | 'y', Rows>>[];
    readonly initial: Readonly<Record<string, Rows>>;
    readonly cases: readonly {
      readonly name: string;
      readonly client: NonNullable<Parameters<typeof fedSpeedLocal>[0]>;
      readonly server: NonNullable<Parameters<typeof fedSpeedServer>[0]>;
      readonly drawn?: readonly (readonly number[])[];
      readonly expected: readonly { readonly round: number; readonly params: Readonly<Record<string, Rows>> }[];
      readonly corrections: readonly Readonly<Record<string, Rows>>[];
    }[];
  };
  const network: Model = defineModel({
    name: 'network',
    inputs: { x: { dataType: 'float32', shape: ['batch', 3] } },
    build: (scope, { x: input }) => {
      const declare = (name: string, shape: readonly number[]): Tensor =>
        scope.parameter(name, shape, { initialize: (sizes) => new Float32Array(sizes.reduce((a, b) => a * b, 1)) });
      return (input as Tensor)
        .matMul(declare('first', [3, 4]))
        .tanh()
        .matMul(declare('second', [4, 1]));
    },
  });
  const options = (updateRule: ClientRule, aggregator: Aggregator): FederateOptions => ({
    model: network,
    reward: meanSquaredError({ target: 'y' }),
    clients: golden.data.map((rows, index) => ({
      id: String(index),
      sampler: cycle(fromArrays({ x: { values: rows.x }, y: { values: rows.y } }), golden.batchSize),
    })),
    updateRule,
    aggregator,
    backend,
    rounds: golden.rounds,
    localSteps: golden.localSteps,
    initial: Object.fromEntries(
      Object.entries(golden.initial).map(([name, rows]) => [
        name,
        { dataType: 'float32', dims: [rows.length, rows[0]?.length ?? 0], data: Float32Array.from(rows.flat()) },
      ]),
    ),
  });
  const furthest = (found: Readonly<Record<string, TensorData>>, expected: Readonly<Record<string, Rows>>): number =>
    Math.max(
      ...Object.entries(expected).flatMap(([name, rows]) =>
        rows.flat().map((value, at) => Math.abs(value - (numbers(found[name])[at] as number))),
      ),
    );

  test.each(golden.cases)('$name', async ({ client, server, drawn, expected, corrections }) => {
    const some = drawn === undefined ? {} : { participation: { count: 2, seed: 5 } };
    for (const { round, params } of expected) {
      const given = options(fedSpeedLocal(client) as ClientRule, fedSpeedServer(server) as Aggregator);
      const run = federate({ ...given, ...some, rounds: round });
      const participants: number[][] = [];
      for await (const event of run) if (event.type === 'round') participants.push(event.participants.map(Number));
      if (drawn !== undefined) expect(participants).toEqual(drawn.slice(0, round));
      const result = await run.result();
      expect(furthest(result.params, params)).toBeLessThan(2e-5);
      if (round < golden.rounds) continue;
      corrections.forEach((values, index) => {
        const { state } = result.clients[String(index)] as FederateResult['clients'][string];
        const own = Object.fromEntries(
          Object.keys(values).map((name) => [name, state[`correction/${name}`] as TensorData]),
        );
        expect(furthest(own, values)).toBeLessThan(2e-5);
      });
    }
  });

  test('every option of the client changes a federation', async () => {
    const run = async (client: Parameters<typeof fedSpeedLocal>[0]): Promise<string> => {
      const result = await federate({
        ...options(fedSpeedLocal(client) as ClientRule, fedSpeedServer() as Aggregator),
        rounds: 3,
      }).result();
      return numbers(result.params['first']).join();
    };
    const clipped = { clipNorm: 0.5 };
    const relaxed = { relaxedInitialization: true };
    const pairs: readonly (readonly [Parameters<typeof fedSpeedLocal>[0], Parameters<typeof fedSpeedLocal>[0]])[] = [
      [{}, { learningRate: 0.2 }],
      [{}, { learningRateDecay: 0.5 }],
      [{}, { lambda: 0.3 }],
      [{}, { rho: 0.3 }],
      [{}, { alpha: 0.5 }],
      [{}, { adaptive: true }],
      [{}, { weightDecay: 0.1 }],
      [{}, clipped],
      [clipped, { ...clipped, clipScope: 'whole' }],
      [{}, { correction: false }],
      [{}, relaxed],
      [relaxed, { ...relaxed, beta: 0.5 }],
    ];
    const changed = new Set<string>();
    for (const [before, after] of pairs) {
      expect(await run(after)).not.toBe(await run(before));
      for (const name of Object.keys(after ?? {})) changed.add(name);
    }
    expect([...changed].sort()).toEqual(Object.keys(fedSpeedLocal().options).sort());
  });
});

describe('the server', () => {
  const value = (number: number): TensorData => ({ dataType: 'float32', dims: [], data: Float32Array.of(number) });
  const source = (model: number, extras?: Readonly<Record<string, number>>) => ({
    values: { x: value(model) },
    weight: 1,
    ...(extras === undefined
      ? {}
      : { extras: Object.fromEntries(Object.entries(extras).map(([name, number]) => [name, value(number)])) }),
  });

  test('adds what the displacements of each round add to the mean over all', async () => {
    const [first, second] = await traceAggregator({
      backend,
      aggregator: fedSpeedServer() as Aggregator,
      rounds: [
        [
          source(1, { 'displacement/x': 0.5, 'correction/x': 7 }),
          source(3, { 'displacement/x': -2, 'correction/x': 9 }),
        ],
        [source(4, { 'displacement/x': 1, 'correction/x': 8 }), source(4, { 'displacement/x': 1, 'correction/x': 8 })],
      ],
    });
    // 2 + (0.5 − 2)/2, then 4 + (−0.75 + 1).
    expect(numbers(first?.values['x'])).toEqual([1.25]);
    expect(numbers(second?.values['x'])).toEqual([4.25]);
    expect(numbers(second?.state['correction/x'])).toEqual([0.25]);
  });

  test('or the mean of what was sent by those who take part, and keeps nothing', async () => {
    const [found] = await traceAggregator({
      backend,
      aggregator: fedSpeedServer({ correctionMean: 'sampled' }) as Aggregator,
      rounds: [[source(1, { 'correction/x': 7 }), source(3, { 'correction/x': 9 })]],
    });
    expect(numbers(found?.values['x'])).toEqual([10]);
    expect(found?.state).toEqual({});
  });

  test('takes the change of the model as the displacement of clients that send none, and says what is missing', async () => {
    const rounds = [[source(1), source(3)]];
    const [found] = await traceAggregator({
      backend,
      aggregator: fedSpeedServer() as Aggregator,
      rounds,
      current: { x: value(1.5) },
    });
    expect(numbers(found?.values['x'])).toEqual([2.5]);
    await expect(traceAggregator({ backend, aggregator: fedSpeedServer() as Aggregator, rounds })).rejects.toThrow(
      /how far the source "0" moved "x"/,
    );
    await expect(
      traceAggregator({ backend, aggregator: fedSpeedServer({ correctionMean: 'sampled' }) as Aggregator, rounds }),
    ).rejects.toThrow(/source "0" sent no "correction\/x"/);
  });
});
