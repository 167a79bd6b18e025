import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  createContainer,
  defineModel,
  federate,
  instantiatePlugin,
  merge,
  RandomStream,
  type FederatedClient,
  type FederateOptions,
  type RoundEvent,
  type Sampler,
} from '@updraft/core';
import { fromArrays, InOrderSampler, provideDataset } from '@updraft/data';
import { tensor, type Tensor, type TensorData } from '@updraft/graph';
import { meanSquaredError } from '@updraft/nn';
import { schedules } from '@updraft/rules';
import { parseProbeCases, runProbeCase, testAggregator, testUpdateRule, traceAggregator } from '@updraft/testing';
import { readFileSync } from 'node:fs';
import * as all from './index.js';
import {
  aLittleIsEnough,
  aLittleIsEnoughVector,
  damage,
  dispersion,
  fallOfEmpires,
  fallOfEmpiresVector,
  flipLabels,
  labelFlip,
  lineMaximize,
  NearestNeighbourAveraging,
  nearestNeighbourAveraging,
  PolyakMomentum,
  polyakMomentum,
  reduction,
  signFlip,
  signFlipVector,
  strongestFactor,
  worstCaseReceipt,
  type Attack,
  type AttackStrength,
} from './index.js';

// Machines that run checks are busy.
jest.setTimeout(120_000);

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as unknown;

// The own model is at position 3, so that the kit asks for no fewer models than an attacker leaves room for.
testAggregator(NearestNeighbourAveraging, {
  options: { f: 1 },
  own: 3,
  weighted: false,
  duplicates: false,
  golden: [read('monna')],
  effects: { f: { value: 2 } },
});
testUpdateRule(PolyakMomentum, {
  options: { learningRate: 0.1, beta: 0.9 },
  golden: [read('polyak-momentum')],
  effects: { penaltyOf: { value: 'norm', with: { penalty: 0.5 } } },
  rosenbrock: { options: { learningRate: 0.002, beta: 0.9 }, steps: 4000 },
});

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const numbers = (value: TensorData | undefined): number[] => [...((value as TensorData).data as Float32Array)];
const vector = (values: readonly number[]): { readonly x: TensorData } => ({ x: tensor(values) });

const cases = parseProbeCases(read('probe'));
test.each(cases.map((one) => [one.name, one] as const))('in a probe: %s', async (_, one) => {
  const container = () => createContainer({ schedules: schedules.scheduleFrom });
  await runProbeCase(one, { exports: all, backend, container });
});

/** What the peer at position `own` makes of models, and the outputs of that. */
async function mix(models: readonly (readonly number[])[], own: number, f: number): Promise<number[]> {
  const [round] = await traceAggregator({
    backend,
    aggregator: nearestNeighbourAveraging({ f }),
    own,
    rounds: [models.map((values) => ({ values: vector(values), weight: 1 }))],
  });
  return numbers(round?.values['x']);
}
/** Vectors of float32 values, standard normal. */
const draws = (count: number, size: number, seed: number): number[][] => {
  const random = RandomStream.fromSeed(seed);
  return Array.from({ length: count }, () => Array.from({ length: size }, () => Math.fround(random.normal())));
};

describe('the card of MoNNA', () => {
  const points = [
    [0, 0],
    [1, 0],
    [0, 1],
    [10, 10],
    [1.2, 1.2],
  ];

  test.each([
    [0, 0.55],
    [1, 0.55],
    [2, 0.55],
    [3, 3.05],
    [4, 0.55],
  ])('1: point %i of five makes (%d, ·) of them', async (own, expected) => {
    const found = await mix(points, own, 1);
    for (const value of found) expect(value).toBeCloseTo(expected, 6);
  });

  test('1: the distances, the own model first, and which are kept', async () => {
    const { outputs } = await merge0(points, 1, 1);
    // From (1, 0): itself, then (0, 0), (0, 1), (10, 10), (1.2, 1.2).
    [0, 1, 1.414, 13.454, 1.217].forEach((value, at) => {
      expect(numbers(outputs['distances'])[at]).toBeCloseTo(value, 3);
    });
    expect(numbers(outputs['kept'])).toEqual([1, 1, 1, 0, 1]);
  });

  test('2: with f = 0 it is the mean, and all peers agree', async () => {
    const models = draws(6, 4, 1);
    const mixed = await Promise.all(models.map((_, own) => mix(models, own, 0)));
    for (const values of mixed)
      values.forEach((value, at) => {
        expect(value).toBeCloseTo(
          models.reduce((sum, model) => sum + (model[at] as number) / 6, 0),
          6,
        );
      });
    const agreed = reduction(models.map(vector), mixed.map(vector));
    expect(agreed.alpha).toBeLessThan(1e-12);
    expect(agreed.lambda).toBeLessThan(1e-12);
  });

  test('3: models moved by c give a result moved by c', async () => {
    const models = draws(7, 5, 2);
    const plain = await mix(models, 2, 2);
    const moved = await mix(
      models.map((model) => model.map((value) => value + 8)),
      2,
      2,
    );
    moved.forEach((value, at) => {
      expect(value).toBeCloseTo((plain[at] as number) + 8, 5);
    });
  });

  test.each([1, 2, 3])('3: honest models that agree stay, to the bit, whatever %i attackers send', async (f) => {
    const [value] = draws(1, 5, 3) as [number[]];
    for (const count of [2 * f + 1, 3 * f + 1, 10])
      for (const attack of [
        value,
        value.map((one) => one + 1e-6),
        value.map(() => 1e30),
        value.map(() => Number.NaN),
      ]) {
        const models = [...Array.from({ length: f }, () => attack), ...Array.from({ length: count - f }, () => value)];
        expect(await mix(models, count - 1, f)).toEqual(value);
        expect(await mix([...models].reverse(), 0, f)).toEqual(value);
      }
  });

  test('what is no number is infinitely far; of equal distances the first count', async () => {
    expect(await mix([[0], [Number.NaN], [2], [Infinity], [4]], 0, 2)).toEqual([2]);
    expect(await mix([[0], [-3], [3], [-3], [3]], 0, 2)).toEqual([0]);
    expect(await mix([[0], [3], [3], [-3], [-3]], 0, 2)).toEqual([2]);
    // The own one counts even where others are equal to it.
    expect(await mix([[5], [5], [5], [5], [5]], 4, 2)).toEqual([5]);
  });

  test('distances are those of whole models, not of tensors', async () => {
    const model = (a: number, b: number) => ({ values: { a: tensor([a]), b: tensor([b]) }, weight: 1 });
    const [round] = await traceAggregator({
      backend,
      aggregator: nearestNeighbourAveraging({ f: 1 }),
      own: 0,
      // The third is nearest in a, the second in both together.
      rounds: [[model(0, 0), model(1, 1), model(0.5, 7)]],
    });
    expect([numbers(round?.values['a']), numbers(round?.values['b'])]).toEqual([[0.5], [0.5]]);
  });

  test('4: after two steps with one gradient the momentum is (1 − β²)·g', async () => {
    const found = await onPoints([[1]], { updateRule: polyakMomentum({ learningRate: 1, beta: 0.9 }), rounds: 1 });
    // From 0 towards 1 with gradient −1: 0.1, then 0.1 + (0.9·0.1 + 0.1·0.9).
    expect(numbers(found.clients['0']?.params['x'])[0]).toBeCloseTo(0.1, 6);
    const again = await onPoints([[1]], { updateRule: polyakMomentum({ learningRate: 1, beta: 0.9 }), rounds: 2 });
    expect(numbers(again.clients['0']?.params['x'])[0]).toBeCloseTo(0.28, 6);
  });

  test('5: the rate is halved after 50 steps, and changes every 50 steps only', () => {
    const rate = schedules.inverseTime({ from: 0.75, half: 50, every: 50 });
    // Steps count from 1.
    expect([1, 50, 51, 100, 101, 151].map((step) => rate.at(step))).toEqual([0.75, 0.75, 0.375, 0.375, 0.25, 0.1875]);
    expect(schedules.inverseTime({ from: 0.75, half: 0 }).at(999)).toBe(0.75);
    expect(schedules.inverseTime({ from: 1, half: 4 }).at(3)).toBeCloseTo(1 / 1.5, 12);
  });

  test('half or more attackers, a negative number of them, and a server are refused', async () => {
    await expect(mix([[0], [1], [2], [3]], 0, 2)).rejects.toThrow(/Of 4 models 2 may come from attackers/);
    expect(() => nearestNeighbourAveraging({ f: -1 })).toThrow(/"f"/);
    expect(() => nearestNeighbourAveraging()).toThrow(/"f"/);
    await expect(
      merge({ models: draws(3, 2, 4).map(vector), aggregator: nearestNeighbourAveraging({ f: 1 }), backend }),
    ).rejects.toThrow(/no own model.*topology: 'peers'/s);
  });
});

/** One round of peers that have the models already: the report of the aggregation at a peer. */
async function merge0(models: readonly (readonly number[])[], own: number, f: number) {
  const run = onPointsRun(models, {
    updateRule: polyakMomentum({ learningRate: 1, beta: 0 }),
    aggregator: nearestNeighbourAveraging({ f }),
    rounds: 1,
  });
  const rounds: RoundEvent[] = [];
  for await (const event of run) if (event.type === 'round') rounds.push(event);
  const report = rounds[0]?.aggregations.find(({ peer }) => peer === String(own));
  if (report === undefined) throw new Error(`The peer ${own} made nothing.`);
  return report;
}

/** Peers that each have a target: ½‖x − target‖² from 0. */
function onPointsRun(targets: readonly (readonly number[])[], extra: Partial<FederateOptions>) {
  const size = targets[0]?.length ?? 1;
  return federate({
    model: defineModel({
      name: 'point',
      inputs: {},
      build: (scope) => scope.parameter('x', [size], { initialize: () => new Float32Array(size) }),
    }),
    reward: {
      objective: ({ batch, forward }) => ({
        loss: (forward()['output'] as Tensor)
          .sub(batch['target'] as Tensor)
          .square()
          .sum([1])
          .mean()
          .mul(0.5),
      }),
    },
    clients: targets.map((target, index) => ({
      id: String(index),
      sampler: instantiatePlugin(
        InOrderSampler,
        { epochs: 1e6 },
        provideDataset(fromArrays({ target: { values: [target] } })),
      ),
    })),
    topology: 'peers',
    updateRule: polyakMomentum({ learningRate: 1, beta: 0 }),
    aggregator: nearestNeighbourAveraging({ f: 0 }),
    backend,
    rounds: 1,
    ...extra,
  });
}
const onPoints = (targets: readonly (readonly number[])[], extra: Partial<FederateOptions>) =>
  onPointsRun(targets, extra).result();

describe('attacks', () => {
  const golden = read('attacks') as {
    readonly attacks: readonly {
      readonly attack: 'fallOfEmpires' | 'aLittleIsEnough';
      readonly honest: readonly (readonly number[])[];
      readonly f: number;
      readonly evaluations: number;
      readonly factor: number;
      readonly damage: number;
      readonly vector: readonly number[];
    }[];
    readonly searches: readonly { readonly function: string; readonly evaluations: number; readonly x: number }[];
  };
  const close = (found: ArrayLike<number>, expected: readonly number[]): void => {
    expect(found).toHaveLength(expected.length);
    expected.forEach((value, at) => {
      expect(found[at]).toBeCloseTo(value, 9);
    });
  };

  test.each(golden.attacks)(
    '$attack of $f with $evaluations evaluations',
    ({ attack, honest, f, evaluations, factor, ...row }) => {
      const make = attack === 'fallOfEmpires' ? fallOfEmpiresVector : aLittleIsEnoughVector;
      close(make(honest, { f, evaluations }), row.vector);
      close(make(honest, { factor }), row.vector);
      expect(damage(honest, row.vector, f)).toBeCloseTo(row.damage, 9);
    },
  );

  const functions: Readonly<Record<string, (x: number) => number>> = {
    peak: (x) => -((x - 11.3) ** 2),
    falling: (x) => -x,
    rising: (x) => x,
    flat: () => 1,
    'near zero': (x) => -((x - 0.07) ** 2),
  };
  test.each(golden.searches)(
    'line search on "$function" with $evaluations evaluations',
    ({ function: name, evaluations, x }) => {
      let calls = 0;
      const found = lineMaximize((at) => {
        calls++;
        return (functions[name] as (x: number) => number)(at);
      }, evaluations);
      expect(found).toBeCloseTo(x, 9);
      expect(calls).toBe(evaluations);
    },
  );

  test('by hand: three models, mean (2, 0), deviations (1, 2)', () => {
    const honest = [
      [1, 2],
      [2, 0],
      [3, -2],
    ];
    close(signFlipVector(honest), [-2, 0]);
    close(fallOfEmpiresVector(honest, { factor: 1.5 }), [-1, 0]);
    close(aLittleIsEnoughVector(honest, { factor: 2 }), [4, 4]);
    close(aLittleIsEnoughVector([[1, 2]], { factor: 2 }), [1, 2]);
    expect(() => aLittleIsEnoughVector(honest, { factor: Number.NaN })).toThrow(/factor of the attack is NaN/);
    // What the search finds is at least as bad as a factor picked by hand.
    const factor = strongestFactor(honest, [1, 2], { f: 1 });
    expect(damage(honest, [2 + factor, 2 * factor], 1)).toBeGreaterThanOrEqual(damage(honest, [3, 2], 1));
  });

  test('labels are turned around in place', () => {
    const columns = { label: tensor([0, 3, 9], 'int64'), image: tensor([1, 2, 3]) };
    flipLabels({ classes: 10 })(columns, RandomStream.fromSeed(0));
    expect([...columns.label.data]).toEqual([9n, 6n, 0n]);
    expect(() => {
      flipLabels({ classes: 10, column: 'digit' })(columns, RandomStream.fromSeed(0));
    }).toThrow(/no column "digit"/);
  });

  test('a label flipper sends the honest mean plus what its own work changed', async () => {
    const sent: number[] = [];
    const attacker =
      (attack: Attack): FederatedClient['transform'] =>
      (upload, context) => {
        const made = attack(upload, context) as typeof upload;
        sent.push(...numbers(made.values['x']));
        return made;
      };
    const options = { updateRule: polyakMomentum({ learningRate: 0.5, beta: 0 }), rounds: 1 };
    const base = (transform: FederatedClient['transform']): Partial<FederateOptions> => ({
      ...options,
      clients: [[2], [4], [-10]].map(([target], index) => ({
        id: String(index),
        sampler: instantiatePlugin(
          InOrderSampler,
          { epochs: 1e6 },
          provideDataset(fromArrays({ target: { values: [[target as number]] } })),
        ),
        ...(index === 2 && transform !== undefined ? { transform } : {}),
      })),
    });
    await onPoints([[2], [4], [-10]], base(attacker(labelFlip())));
    // Honest half-steps 1 and 2, own change −5.
    expect(sent).toEqual([-3.5]);
    sent.length = 0;
    await onPoints([[2], [4], [-10]], base(attacker(signFlip())));
    expect(sent).toEqual([-1.5]);
  });
});

describe('what a peer hears', () => {
  test('all attackers, and so many of the other honest ones that n − f models are there, each as often as any', async () => {
    const idle = (id: string): FederatedClient => ({ id, transform: (upload) => upload });
    const counts: Record<string, number> = {};
    const run = onPointsRun(draws(6, 2, 7), {
      clients: [
        ...draws(6, 2, 7).map((target, index) => ({
          id: String(index),
          sampler: instantiatePlugin(
            InOrderSampler,
            { epochs: 1e6 },
            provideDataset(fromArrays({ target: { values: [target] } })),
          ),
        })),
        ...['a', 'b'].map(idle),
      ],
      aggregator: nearestNeighbourAveraging({ f: 2 }),
      receive: worstCaseReceipt({ attackers: ['a', 'b'] }),
      rounds: 60,
      seed: 5,
    });
    for await (const event of run)
      if (event.type === 'round')
        for (const { peer, sources } of event.aggregations) {
          // n = 8: of six, own first, three others, both attackers.
          expect(sources).toHaveLength(6);
          expect(sources[0]).toBe(peer);
          expect(sources.slice(4)).toEqual(['a', 'b']);
          if (peer === '0') for (const other of sources.slice(1, 4)) counts[other] = (counts[other] ?? 0) + 1;
        }
    // 60 rounds of 3 in 5: mean 36, standard deviation 3.8.
    expect(Object.keys(counts).sort()).toEqual(['1', '2', '3', '4', '5']);
    for (const count of Object.values(counts)) expect(Math.abs(count - 36)).toBeLessThan(16);
  });

  test('with too few models a peer keeps its own', async () => {
    const targets = draws(4, 2, 8);
    const { clients } = await onPoints(targets, {
      aggregator: nearestNeighbourAveraging({ f: 2 }),
      receive: ({ uploads }) => uploads.slice(0, 3),
    });
    targets.forEach((target, index) => {
      expect(numbers(clients[String(index)]?.params['x'])).toEqual(target);
    });
  });
});

describe('beside the official code', () => {
  type Rows = readonly (readonly number[])[];
  const golden = read('peers') as {
    readonly batchSize: number;
    readonly data: readonly Readonly<Record<'x' | 'y', Rows>>[];
    readonly initial: Readonly<Record<string, Rows>>;
    readonly cases: readonly {
      readonly name: string;
      readonly f: number;
      readonly attack: { readonly name: 'signFlip' | 'aLittleIsEnough' | 'fallOfEmpires'; readonly factor?: number };
      readonly rule: {
        readonly learningRate: number | Parameters<typeof schedules.inverseTime>[0];
        readonly beta: number;
      };
      readonly expected: readonly { readonly round: number; readonly models: Rows }[];
    }[];
  };
  const network = defineModel({
    name: 'network',
    inputs: { x: { dataType: 'float32', shape: ['batch', 3] } },
    build: (scope, { x }) => {
      const declare = (name: string, shape: readonly number[]): Tensor =>
        scope.parameter(name, shape, { initialize: (sizes) => new Float32Array(sizes.reduce((a, b) => a * b, 1)) });
      return (x as Tensor)
        .matMul(declare('first', [3, 4]))
        .tanh()
        .matMul(declare('second', [4, 1]));
    },
  });
  const attackOf = ({ name, factor }: (typeof golden.cases)[number]['attack'], f: number): Attack => {
    const strength: AttackStrength = factor === undefined ? { f } : { factor };
    if (name === 'signFlip') return signFlip();
    return name === 'fallOfEmpires' ? fallOfEmpires(strength) : aLittleIsEnough(strength);
  };
  const sampler = ({ x, y }: Readonly<Record<'x' | 'y', Rows>>): Sampler =>
    instantiatePlugin(
      InOrderSampler,
      { batchSize: golden.batchSize, epochs: 1e6 },
      provideDataset(fromArrays({ x: { values: x }, y: { values: y } })),
    );

  test.each(golden.cases)('$name', async ({ f, attack, rule, expected }) => {
    const learningRate =
      typeof rule.learningRate === 'number' ? rule.learningRate : schedules.inverseTime(rule.learningRate);
    for (const { round, models } of expected) {
      const transform = attackOf(attack, f);
      const { clients } = await federate({
        model: network,
        reward: meanSquaredError({ target: 'y' }),
        clients: [
          ...golden.data.map((rows, index) => ({ id: `honest${index}`, sampler: sampler(rows) })),
          ...Array.from({ length: f }, (_, index) => ({ id: `attacker${index}`, transform })),
        ],
        topology: 'peers',
        updateRule: polyakMomentum({ learningRate, beta: rule.beta }),
        aggregator: nearestNeighbourAveraging({ f }),
        backend,
        rounds: round,
        initial: Object.fromEntries(
          Object.entries(golden.initial).map(([name, rows]) => [name, tensor(rows as number[][])]),
        ),
      }).result();
      models.forEach((model, index) => {
        const { params } = clients[`honest${index}`] as (typeof clients)[string];
        const found = [...numbers(params['first']), ...numbers(params['second'])];
        const furthest = Math.max(...model.map((value, at) => Math.abs(value - (found[at] as number))));
        expect(furthest).toBeLessThan(2e-5);
      });
    }
  });
});

test('dispersion and reduction by hand', () => {
  const before = [vector([0, 0]), vector([2, 0]), vector([1, 3])];
  // Mean (1, 1): squared distances 2, 2, 4.
  expect(dispersion(before)).toBeCloseTo(8 / 3, 6);
  const after = [vector([1, 2]), vector([1, 2]), vector([1, 2])];
  expect(reduction(before, after)).toEqual({ alpha: 0, lambda: expect.closeTo(3 / 8, 6) });
  expect(reduction(after, after)).toEqual({ alpha: 0, lambda: 0 });
});
