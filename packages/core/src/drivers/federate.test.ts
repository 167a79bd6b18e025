import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend, type OrtBackend } from '@updraft/backend';
import { gather, sqrt, topK, type Tensor, type TensorData } from '@updraft/graph';
import {
  accumulate,
  adam,
  adamw,
  averageParameters,
  chain,
  clipByGlobalNorm,
  mean,
  median,
  momentum,
  partition,
  sgd,
  trimmedMean,
} from '@updraft/rules';
import { CheckpointError, MemoryCheckpointStore } from '../checkpoint/index.js';
import type { Aggregator } from '../contracts/aggregator.js';
import type { ClientRule } from '../contracts/client-rule.js';
import type { Reward } from '../contracts/reward.js';
import type { Sampler } from '../contracts/sampler.js';
import type { StateSpec } from '../contracts/update-rule.js';
import type { FederateEvent, RoundEvent } from '../events/index.js';
import { defineModel } from '../module/module.js';
import { sourceMatrix, valueVector, vectorValues } from '../program/aggregation.js';
import { RandomStream } from '../random/index.js';
import { mapValues } from '../tree.js';
import { federate, type FederatedClient, type FederateOptions, type FederateResult } from './federate.js';
import { SourceError, type ClientUpload } from './federate-sources.js';
import { FunctionSampler, noisyModel, phasedMomentum, squaredError } from './testing/pipeline.js';
import { CycleSampler, descent, pointModel, quadratic, rows, towards } from './testing/quadratic.js';
import { train } from './train.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const numbers = (value: TensorData | undefined): number[] => [...((value as TensorData).data as Float32Array)];

/** Clients that go to their target in one step of rate 1, so that what they send is known. */
const points = (targets: readonly (readonly number[])[], extra: Partial<FederateOptions> = {}): FederateOptions => ({
  model: pointModel(targets[0]?.length),
  reward: quadratic(),
  clients: targets.map((target, index) => ({ id: `client${index}`, sampler: towards(...target) })),
  updateRule: descent(1),
  aggregator: mean(),
  backend,
  rounds: 1,
  ...extra,
});

const eventsOf = async (options: FederateOptions): Promise<FederateEvent[]> => {
  const events: FederateEvent[] = [];
  for await (const event of federate(options)) events.push(event);
  return events;
};
const roundsOf = async (options: FederateOptions): Promise<RoundEvent[]> =>
  (await eventsOf(options)).filter((event) => event.type === 'round');

/** A small network without noise, and data for it. */
const network = defineModel({
  name: 'network',
  inputs: { x: { dataType: 'float32', shape: ['batch', 3] } },
  build: (scope, { x }) => {
    const draw = (shape: readonly number[], random: RandomStream): Float32Array => {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
      random.fillNormal(values);
      return values;
    };
    return x!
      .matMul(scope.parameter('first', [3, 4], { initialize: draw }))
      .tanh()
      .matMul(scope.parameter('second', [4, 1], { initialize: draw }));
  },
});
const dataset = (count: number, seed: number): Record<'x' | 'y', TensorData<'float32'>> => {
  const values = new Float32Array(count * 4);
  RandomStream.fromSeed(seed).fillNormal(values);
  const rowsOf = [...Array(count).keys()].map((row) => [...values.slice(row * 4, row * 4 + 4)]);
  return { x: rows(rowsOf.map((row) => row.slice(0, 3))), y: rows(rowsOf.map((row) => row.slice(3))) };
};
const union = (
  parts: readonly Record<'x' | 'y', TensorData<'float32'>>[],
): Record<'x' | 'y', TensorData<'float32'>> => {
  const all = (name: 'x' | 'y'): TensorData<'float32'> => {
    const data = Float32Array.from(parts.flatMap((part) => [...part[name].data]));
    return { dataType: 'float32', dims: [data.length / (name === 'x' ? 3 : 1), name === 'x' ? 3 : 1], data };
  };
  return { x: all('x'), y: all('y') };
};
const furthest = (left: FederateResult['params'], right: FederateResult['params']): number =>
  Math.max(
    ...Object.entries(left).flatMap(([name, value]) =>
      numbers(value).map((number, index) => Math.abs(number - (numbers(right[name])[index] as number))),
    ),
  );

describe('federated averaging is what it should be', () => {
  test.each([
    ['weights', [8, 8, 8, 8]],
    ['deltas', [8, 8, 8, 8]],
    ['weights', [4, 12, 6, 10]],
  ] as const)(
    'one local step each, exchanging %s of shards %j, is gradient descent on all data',
    async (exchange, sizes) => {
      const shards = sizes.map((size, index) => dataset(size, index));
      const common = { model: network, reward: squaredError, updateRule: sgd({ learningRate: 0.3 }), backend, seed: 3 };
      const federated = await federate({
        ...common,
        clients: shards.map((shard, index) => ({
          id: String(index),
          sampler: new CycleSampler(shard, sizes[index] as number),
          weight: sizes[index] as number,
        })),
        aggregator: mean(),
        exchange,
        rounds: 8,
      }).result();
      const central = await train({ ...common, sampler: new CycleSampler(union(shards), 32), steps: 8 }).result();
      expect(furthest(federated.params, central.params)).toBeLessThan(1e-6);
      const start = await train({
        ...common,
        updateRule: sgd({ learningRate: 0 }),
        sampler: new CycleSampler(union(shards), 32),
        steps: 1,
      }).result();
      expect(furthest(federated.params, start.params)).toBeGreaterThan(0.1);
    },
  );

  test('one client that keeps its state is plain training, to the bit', async () => {
    const common = {
      model: network,
      reward: squaredError,
      updateRule: adamw({ learningRate: 0.05 }),
      backend,
      seed: 4,
    };
    const sampler = (): Sampler => new CycleSampler(dataset(24, 9), 8);
    const federated = await federate({
      ...common,
      clients: [{ id: 'only', sampler: sampler(), weight: 7 }],
      aggregator: mean(),
      rounds: 4,
      localEpochs: 1,
      clientState: 'keep',
    }).result();
    const plain = await train({ ...common, sampler: sampler(), steps: 12 }).result();
    expect(furthest(federated.params, plain.params)).toBe(0);
    expect(federated.clients['only']?.steps).toBe(12);
    expect(furthest(federated.clients['only']?.state ?? {}, plain.state)).toBe(0);
    const anew = await federate({
      ...common,
      clients: [{ id: 'only', sampler: sampler() }],
      aggregator: mean(),
      rounds: 4,
      localSteps: 3,
    }).result();
    expect(furthest(anew.params, plain.params)).toBeGreaterThan(1e-3);
  });

  test('many clients compile what one client compiles, and rounds compile nothing', async () => {
    const compilations = async (count: number, rounds: number): Promise<number> => {
      const own = (await createBackend({ device: 'cpu', threads: 1 })) as OrtBackend;
      await federate({
        ...points([...Array(count).keys()].map((index) => [index])),
        backend: own,
        rounds,
      }).result();
      const { compilations: made } = own;
      await own.dispose();
      return made;
    };
    expect(await compilations(12, 1)).toBe(await compilations(1, 1));
    expect(await compilations(3, 30)).toBe(await compilations(3, 1));
  });

  test('local steps are counted in the round, by the client, or over all rounds', async () => {
    const counted = async (
      extra: Partial<FederateOptions>,
      changed = (rule: ClientRule): ClientRule => rule,
    ): Promise<number[]> => {
      const seen: number[] = [];
      const rule = descent((step) => {
        seen.push(step);
        return 0.1;
      });
      await federate({
        ...points([[1], [2]], { updateRule: changed(rule), rounds: 3, localSteps: 2, ...extra }),
      }).result();
      return seen;
    };
    expect(await counted({})).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    expect(await counted({ clientState: 'keep' })).toEqual([1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6]);
    // A rule may ask for its state to be kept; the options have the last word.
    const keeping = (rule: ClientRule): ClientRule => ({ ...rule, clientState: 'keep' });
    expect(await counted({}, keeping)).toEqual([1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6]);
    expect(await counted({ clientState: 'reset' }, keeping)).toEqual(await counted({}));
    const half = { participation: { count: 1, seed: 2 } };
    expect(await counted({ countSteps: 'global', ...half })).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await counted({ countSteps: 'round', clientState: 'keep', ...half })).toEqual([1, 2, 1, 2, 1, 2]);
  });
});

describe('aggregators', () => {
  // Four honest clients at 1, 2, 3, 4; the fifth would send 2 and sends -20.
  const attacked = (aggregator: Aggregator): FederateOptions => {
    const options = points([[1], [2], [3], [4], [2]], { aggregator });
    const flip = (upload: ClientUpload): ClientUpload => ({
      ...upload,
      values: mapValues(upload.values, (value) => ({
        ...value,
        data: (value.data as Float32Array).map((x) => -10 * x),
      })),
    });
    return {
      ...options,
      clients: options.clients.map((client, index) => (index === 4 ? { ...client, transform: flip } : client)),
    };
  };

  test.each([
    ['mean', mean(), -2],
    ['median', median(), 2],
    ['trimmed mean', trimmedMean({ trim: 0.2 }), 2],
  ] as const)('under a sign flip: %s', async (_name, aggregator, expected) => {
    const { params } = await federate(attacked(aggregator)).result();
    expect(numbers(params['x'])[0]).toBeCloseTo(expected, 6);
  });

  test('an attacker may know everything and train nothing', async () => {
    const seen: unknown[] = [];
    const options = points([[1], [5]]);
    const attacker: FederatedClient = {
      id: 'attacker',
      transform: (upload, { honest, received, round, random }) => {
        seen.push(
          numbers(upload.values['x']),
          honest.map(({ values }) => numbers(values['x'])),
          numbers(received['x']),
          round,
          random.integer(10) < 10,
        );
        return {
          ...upload,
          values: mapValues(upload.values, (value) => ({ ...value, data: Float32Array.of(30) }) as TensorData),
        };
      },
    };
    const { params } = await federate({ ...options, clients: [...options.clients, attacker] }).result();
    expect(seen).toEqual([[0], [[1], [5]], [0], 1, true]);
    expect(numbers(params['x'])[0]).toBeCloseTo(12, 5);
  });

  test('weights are shares of the mean', async () => {
    const options = points([[1], [4]]);
    const weights = [3, 1];
    const clients = options.clients.map((client, index) => ({ ...client, weight: weights[index] as number }));
    const { params } = await federate({ ...options, clients }).result();
    expect(numbers(params['x'])[0]).toBeCloseTo(1.75, 6);
  });

  test('state of an aggregator lasts from round to round, and it is told the round, the population and what it replaces', async () => {
    const remembering: Aggregator<{ total: Record<string, StateSpec> }> = {
      init: (context) => ({ total: context.likeValues(100) }),
      combine(context, sources) {
        const average = mean().combine(context, sources).values;
        const total = mapValues(average, (value, name) => (context.state.total[name] as Tensor).add(value));
        context.metric('round', context.round);
        context.metric('population', context.population);
        return { values: average, state: { total }, outputs: { before: context.current?.['x'] as Tensor } };
      },
    };
    const options = points([[2], [4], [6]], {
      aggregator: remembering,
      rounds: 3,
      participation: { count: 2, seed: 1 },
    });
    const run = federate(options);
    const rounds: RoundEvent[] = [];
    for await (const event of run) if (event.type === 'round') rounds.push(event);
    const { params, state } = await run.result();
    const results = rounds.map(({ participants }) =>
      participants.map((id) => 2 + 2 * Number(id.at(-1))).reduce((sum, target) => sum + target / 2, 0),
    );
    expect(numbers(params['x'])[0]).toBeCloseTo(results[2] as number, 5);
    expect(numbers(state['aggregator/total/x'])[0]).toBeCloseTo(100 + results.reduce((a, b) => a + b), 4);
    expect(rounds.map(({ aggregations: [report] }) => report?.metrics)).toEqual(
      [1, 2, 3].map((round) => ({ round, population: 3 })),
    );
    expect(numbers(rounds[2]?.aggregations[0]?.outputs['before'])[0]).toBeCloseTo(results[1] as number, 5);
  });

  test('a server rule takes the change as its gradient', async () => {
    // Clients at 2 and 4: the aggregate is always 3. Momentum 0.5 with rate 1: v1 = -3, x1 = 3; then the gradient is 0, v2 = -1.5.
    const options = points([[2], [4]], { rounds: 2, serverRule: momentum({ learningRate: 1, momentum: 0.5 }) });
    for (const exchange of ['weights', 'deltas'] as const) {
      const { params, state } = await federate({ ...options, exchange }).result();
      expect(numbers(params['x'])[0]).toBeCloseTo(4.5, 5);
      expect(numbers(state['server/velocity/x'])[0]).toBeCloseTo(-1.5, 5);
    }
    const curved: ClientRule = { init: () => ({}), update: (context) => ({ params: { x: context.loss() } }) };
    await expect(federate({ ...options, serverRule: curved }).result()).rejects.toThrow(
      /server rule cannot ask for the loss/,
    );
  });
});

describe('rounds', () => {
  // Clients without data train nothing, so that many rounds cost nothing.
  const idle = (count: number): readonly FederatedClient[] =>
    [...Array(count).keys()].map((index) => ({ id: String(index) }));

  test('clients take part equally often, and never twice in a round', async () => {
    const rounds = await roundsOf(
      points([[0]], { clients: idle(10), rounds: 400, participation: { fraction: 0.3 }, seed: 5 }),
    );
    const counts = new Array<number>(10).fill(0);
    for (const { participants } of rounds) {
      expect(new Set(participants).size).toBe(3);
      for (const id of participants) counts[Number(id)]! += 1;
    }
    // Binomial with mean 120 and standard deviation 9.2; 4.5 of those.
    for (const count of counts) expect(Math.abs(count - 120)).toBeLessThan(41);
    const other = await roundsOf(
      points([[0]], { clients: idle(10), rounds: 5, participation: { count: 3, seed: 6 }, seed: 5 }),
    );
    expect(other.map(({ participants }) => participants)).not.toEqual(
      rounds.slice(0, 5).map(({ participants }) => participants),
    );
  });

  const pipeline = (extra: Partial<FederateOptions> = {}): FederateOptions => ({
    model: noisyModel,
    reward: squaredError,
    clients: ['a', 'b', 'c', 'd', 'e'].map((id, index) => ({ id, sampler: new FunctionSampler(), weight: index + 1 })),
    updateRule: phasedMomentum,
    aggregator: mean(),
    serverRule: adam({ learningRate: 0.02 }),
    clientState: 'keep',
    backend,
    rounds: 6,
    localSteps: 3,
    participation: { fraction: 0.6 },
    seed: 8,
    ...extra,
  });
  const bits = ({ params, variables, state, clients }: FederateResult): string =>
    JSON.stringify([params, variables, state, clients], (_, value: unknown) =>
      ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value,
    );

  test('same seed, same bits; another seed, others', async () => {
    const [a, b, c] = [
      await federate(pipeline()).result(),
      await federate(pipeline()).result(),
      await federate(pipeline({ seed: 9 })).result(),
    ];
    expect(bits(a)).toBe(bits(b));
    expect(bits(a)).not.toBe(bits(c));
  });

  test.each(['server', 'peers'] as const)('stopped and resumed, it ends with the same bits: %s', async (topology) => {
    const options = (extra: Partial<FederateOptions>): FederateOptions => {
      const { serverRule, ...rest } = pipeline(extra);
      return topology === 'peers' || serverRule === undefined ? { ...rest, topology } : { ...rest, serverRule };
    };
    const whole = bits(await federate(options({})).result());
    for (const stop of [1, 4]) {
      const store = new MemoryCheckpointStore();
      await federate(options({ rounds: stop, checkpoints: { store, every: 2 } })).result();
      const events: FederateEvent[] = [];
      const run = federate(options({ checkpoints: { store, every: 100 } }));
      for await (const event of run) events.push(event);
      expect(events[0]).toMatchObject({ type: 'run-start', step: stop });
      expect(bits(await run.result())).toBe(whole);
    }
  });

  test('an aborted round has not been: what follows is as if it had never begun', async () => {
    const whole = bits(await federate(pipeline()).result());
    const two = bits(await federate(pipeline({ rounds: 2 })).result());
    const store = new MemoryCheckpointStore();
    const controller = new AbortController();
    const options = pipeline({ checkpoints: { store, every: 1 } });
    const run = federate({ ...options, signal: controller.signal });
    for await (const event of run) if (event.type === 'client' && event.step === 3) controller.abort();
    const stopped = await run.result();
    expect(stopped.reason).toBe('aborted');
    expect(stopped.rounds).toBe(2);
    expect(bits(stopped)).toBe(two);
    // The very same samplers: their draws were given back.
    expect(bits(await federate(options).result())).toBe(whole);
  });

  test('leaving the loop early frees everything, and a run that was left has no result', async () => {
    const run = federate(pipeline());
    for await (const event of run) if (event.type === 'client') break;
    await expect(run.result()).rejects.toThrow(/left before its end/);
  });

  test('a checkpoint of training, or of other clients, is refused', async () => {
    const store = new MemoryCheckpointStore();
    const options = points([[1], [2]], { rounds: 2, checkpoints: { store, every: 1 } });
    const { model, reward, updateRule } = options;
    await train({
      model,
      reward,
      updateRule,
      backend,
      sampler: towards(1),
      steps: 1,
      checkpoints: { store, every: 1 },
    }).result();
    await expect(federate(options).result()).rejects.toThrow(CheckpointError);
    await expect(federate(options).result()).rejects.toThrow(/no position of the client "client0"/);
    await federate({ ...options, checkpoints: { store, every: 1, resume: false } }).result();
    await expect(
      federate({ ...options, aggregator: median(), clients: [...options.clients, { id: 'new' }] }).result(),
    ).rejects.toThrow(/client "new"/);
  });

  test('events come in order and evaluate what the server has', async () => {
    const options = points([[1], [3]], {
      rounds: 2,
      checkpoints: { store: new MemoryCheckpointStore(), every: 1 },
      evaluation: { every: 1, sampler: onePass },
    });
    const events = await eventsOf(options);
    // Checkpoints are written meanwhile.
    expect(events.map(({ type }) => type).filter((type) => type !== 'checkpoint')).toEqual([
      ...['run-start', 'client', 'client', 'round', 'evaluation', 'client', 'client', 'round', 'evaluation', 'run-end'],
    ]);
    expect(events.filter(({ type }) => type === 'checkpoint')).toHaveLength(2);
    // At x = 2, from targets 0 and 6: (2² + 4²) / 4.
    expect(events.find((event) => event.type === 'evaluation')).toMatchObject({ loss: 5, examples: 2 });
    expect(events.find((event) => event.type === 'client')).toMatchObject({
      client: 'client0',
      localSteps: 1,
      examples: 1,
      loss: 0.5,
    });
    // Losses at 0: 1/2 and 9/2.
    expect(events.find((event) => event.type === 'round')).toMatchObject({ step: 1, loss: 2.5 });
  });

  const onePass = (): Sampler => {
    const inner = new CycleSampler({ target: rows([[0], [6]]) }, 2);
    let drawn = false;
    return {
      columns: inner.columns,
      draw: () => (drawn ? undefined : ((drawn = true), inner.draw())),
      state: () => null,
      restore: () => undefined,
    };
  };

  test('a sampler that follows the model sees it as it is in the client', async () => {
    const seen: number[] = [];
    const base = towards(8);
    const following: Sampler = {
      columns: base.columns,
      followsModel: true,
      draw: async (context) => {
        seen.push(...numbers((await context.values?.())?.['x']));
        return base.draw(context);
      },
      state: () => base.state(),
      restore: (state) => {
        base.restore(state);
      },
    };
    await federate(
      points([[8]], { clients: [{ id: 'only', sampler: following }], updateRule: descent(0.5), localSteps: 3 }),
    ).result();
    expect(seen).toEqual([0, 4, 6]);
  });

  test('variables are averaged with the model, or stay with the client', async () => {
    const counting = defineModel({
      name: 'counting',
      inputs: { target: { dataType: 'float32', shape: ['batch', 1] } },
      build: (scope, { target }) => {
        const average = scope.variable('average', [1], 1);
        if (scope.training) scope.assign('average', average.mul(0.5).add(target!.mean([0]).mul(0.5)));
        return scope.parameter('x', [1], { initialize: () => new Float32Array(1) });
      },
    });
    const options = points([[2], [4]], { model: counting, rounds: 2 });
    // From 1: 1.5 and 2.5, mean 2; then 2 and 3, mean 2.5.
    const mixed = await federate(options).result();
    expect(numbers(mixed.variables['average'])[0]).toBeCloseTo(2.5, 6);
    const local = await federate({ ...options, variables: 'local' }).result();
    expect(numbers(local.variables['average'])[0]).toBe(1);
    expect(numbers(local.clients['client0']?.variables['average'])[0]).toBeCloseTo(1.75, 6);
  });
});

describe('sources that are not as they should be', () => {
  const nan = (upload: ClientUpload): ClientUpload => ({
    ...upload,
    values: { x: { dataType: 'float32', dims: [1], data: Float32Array.of(Number.NaN) } },
  });
  const withTransform = (
    transform: FederatedClient['transform'],
    extra: Partial<FederateOptions> = {},
  ): FederateOptions => {
    const options = points([[1], [3], [50]], extra);
    return {
      ...options,
      clients: options.clients.map((client, index) =>
        index === 2 ? { ...client, ...(transform === undefined ? {} : { transform }) } : client,
      ),
    };
  };

  test.each([
    ['NaN', nan, 'malformed', /"x" holds NaN at index 0/],
    [
      'a wrong shape',
      (upload) => ({ ...upload, values: { x: rows([[1, 2]]) } }),
      'malformed',
      /"x" is float32\[1, 2\], not float32\[1\]/,
    ],
    [
      'a wrong name',
      (upload) => ({ ...upload, values: { y: upload.values['x'] as TensorData } }),
      'malformed',
      /"y", which is not expected/,
    ],
    ['nothing', (upload) => ({ ...upload, values: {} }), 'malformed', /lack "x"/],
    [
      'too few numbers',
      (upload) => ({ ...upload, values: { x: { dataType: 'float32', dims: [1], data: new Float32Array(0) } } }),
      'malformed',
      /holds 0 numbers, not 1/,
    ],
    [
      'numbers of another kind',
      (upload) => ({
        ...upload,
        values: { x: { dataType: 'float32', dims: [1], data: Float64Array.of(1) as unknown as Float32Array } },
      }),
      'malformed',
      /holds no Float32Array/,
    ],
    ['a negative weight', (upload) => ({ ...upload, weight: -1 }), 'malformed', /weight is -1/],
    ['another name', (upload) => ({ ...upload, client: 'stranger' }), 'malformed', /nobody has this id/],
    ['no message', () => undefined, 'missing', /nothing arrived/],
  ] as [string, FederatedClient['transform'], string, RegExp][])(
    '%s is left out and reported',
    async (_, transform, problem, message) => {
      const run = federate(withTransform(transform));
      const events: FederateEvent[] = [];
      for await (const event of run) events.push(event);
      // The mean of 1 and 3.
      expect(numbers((await run.result()).params['x'])[0]).toBeCloseTo(2, 6);
      const round = events.find((event): event is RoundEvent => event.type === 'round');
      const [report] = round?.aggregations[0]?.reports ?? [];
      expect(report?.problem).toBe(problem);
      expect(report?.message).toMatch(message);
      expect(round?.aggregations[0]?.sources).toEqual(['client0', 'client1']);
      expect(events.some((event) => event.type === 'warning' && message.test(event.message))).toBe(true);
    },
  );

  test('what the policy refuses stops the run with the source and the reason', async () => {
    const policy = { malformed: 'refuse', duplicated: 'refuse', late: 'refuse' } as const;
    const run = federate(withTransform(nan, { policy }));
    await expect(run.result()).rejects.toThrow(SourceError);
    await expect(federate(withTransform(nan, { policy })).result()).rejects.toThrow(
      /The malformed source "client2" was refused in round 1: "x" holds NaN/,
    );
    await expect(federate(withTransform((upload) => [upload, upload], { policy })).result()).rejects.toThrow(
      /duplicated source "client2"/,
    );
    await expect(
      federate(
        withTransform((upload, { round }) => ({ ...upload, version: Math.max(1, round - 1) }), { policy, rounds: 2 }),
      ).result(),
    ).rejects.toThrow(/late source "client2".*model of round 1/);
  });

  test('of repeated sources one counts', async () => {
    const twice = (upload: ClientUpload): ClientUpload[] => [
      { ...upload, values: { x: { dataType: 'float32', dims: [1], data: Float32Array.of(5) } } },
      { ...upload, values: { x: { dataType: 'float32', dims: [1], data: Float32Array.of(8) } } },
    ];
    const of = async (duplicated: 'first' | 'last'): Promise<number> =>
      numbers((await federate(withTransform(twice, { policy: { duplicated } })).result()).params['x'])[0] as number;
    expect(await of('first')).toBeCloseTo(3, 6);
    expect(await of('last')).toBeCloseTo(4, 6);
    // A broken copy does not stand for the good one.
    const broken = federate(
      withTransform((upload) => [
        nan(upload),
        { ...upload, values: { x: { dataType: 'float32', dims: [1], data: Float32Array.of(8) } } },
      ]),
    );
    expect(numbers((await broken.result()).params['x'])[0]).toBeCloseTo(4, 6);
  });

  test('a late source is dropped or included', async () => {
    const slow = (): FederatedClient['transform'] => {
      const held: ClientUpload[] = [];
      return (upload) => {
        held.push(upload);
        return held.length > 1 ? held.shift() : undefined;
      };
    };
    const of = async (late: 'drop' | 'include'): Promise<[number, string[]]> => {
      const run = federate(withTransform(slow(), { rounds: 2, policy: { late } }));
      const problems: string[] = [];
      for await (const event of run)
        if (event.type === 'round')
          for (const { reports } of event.aggregations)
            problems.push(...reports.map(({ problem, action }) => `${problem} ${action}`));
      return [numbers((await run.result()).params['x'])[0] as number, problems];
    };
    const [dropped, droppedReports] = await of('drop');
    expect(dropped).toBeCloseTo(2, 6);
    expect(droppedReports).toEqual(['missing none', 'late dropped']);
    const [included, includedReports] = await of('include');
    expect(included).toBeCloseTo(18, 5);
    expect(includedReports).toEqual(['missing none', 'late included']);
  });

  test('a client that computes NaN never enters, and starts again from what it had', async () => {
    const options = points([[1], [3], [Number.NaN]], {
      rounds: 2,
      clientState: 'keep',
      updateRule: sgd({ learningRate: 1, momentum: 0.5 }),
    });
    const result = await federate(options).result();
    expect(Number.isFinite(numbers(result.params['x'])[0])).toBe(true);
    expect(numbers(result.clients['client2']?.state['velocity/x'])).toEqual([0]);
    expect(numbers(result.clients['client0']?.state['velocity/x'])[0]).not.toBe(0);
    const [round] = await roundsOf(options);
    expect(round?.aggregations[0]?.reports).toEqual([
      { source: 'client2', problem: 'malformed', action: 'dropped', message: 'its loss is NaN after 1 local steps' },
    ]);
  });

  test('too few sources leave the model as it is', async () => {
    const events = await eventsOf(withTransform(nan, { policy: { minimum: 3 } }));
    expect(events.find((event) => event.type === 'round')).toMatchObject({ aggregations: [{ sources: [] }] });
    expect(numbers((await federate(withTransform(nan, { policy: { minimum: 3 } })).result()).params['x'])[0]).toBe(0);
    expect(events.some((event) => event.type === 'warning' && event.message.includes('nothing was aggregated'))).toBe(
      true,
    );
  });
});

describe('a client rule and a server rule that belong together', () => {
  /** FedSpeed (Sun et al. 2023) for tests: prox-correction and a gradient from uphill. */
  const fedSpeed = (
    rate: number,
    proximity: number,
    radius: number,
  ): ClientRule<{ correction: Record<string, StateSpec>; anchor: Record<string, StateSpec> }> => ({
    init: (context) => ({ correction: context.likeParams(), anchor: context.likeParams() }),
    roundStart: ({ params, state }) => ({ state: { ...state, anchor: params } }),
    update(context) {
      const { correction, anchor } = context.state;
      const gradient = valueVector(context.grads);
      const step = gradient.mul(radius).div(gradient.square().sum().sqrt().add(1e-7));
      const uphill = vectorValues(step, context.params);
      const above = context.gradsAt(mapValues(context.params, (param, name) => param.add(uphill[name] as Tensor)));
      return {
        params: mapValues(context.params, (param, name) =>
          param.sub(
            (above[name] as Tensor)
              .add((correction[name] as Tensor).add(param.sub(anchor[name] as Tensor)).mul(proximity))
              .mul(rate),
          ),
        ),
      };
    },
    roundEnd({ params, received, state }) {
      const correction = mapValues(state.correction, (value, name) =>
        value.add((params[name] as Tensor).sub(received[name] as Tensor)),
      );
      return { state: { ...state, correction }, upload: correction };
    },
  });

  /** The mean over all clients of their corrections, from the displacements of those who take part. */
  const meanOverAll: Aggregator<{ correction: Record<string, StateSpec> }> = {
    init: (context) => ({ correction: context.likeValues() }),
    combine(context, sources) {
      const average = mean().combine(context, sources).values;
      const current = context.current as Record<string, Tensor>;
      const correction = mapValues(average, (value, name) =>
        (context.state.correction[name] as Tensor).add(
          value
            .sub(current[name] as Tensor)
            .mul(sources.length)
            .div(context.population),
        ),
      );
      return {
        values: mapValues(average, (value, name) => value.add(correction[name] as Tensor)),
        state: { correction },
      };
    },
  };
  /** The mean over those who take part, of what they sent. */
  const meanOverSampled: Aggregator = {
    combine(context, sources) {
      const average = mean().combine(context, sources).values;
      const correction = mean().combine(
        context,
        sources.map((source) => ({ ...source, values: source.extras ?? {} })),
      ).values;
      return { values: mapValues(average, (value, name) => value.add(correction[name] as Tensor)) };
    },
  };

  test.each<[string, (rule: ClientRule) => ClientRule]>([
    ['a chain', (rule) => chain(clipByGlobalNorm(1e6), rule)],
    ['a partition', (rule) => partition({ rules: { all: rule }, assign: () => 'all' })],
    ['an average of parameters', (rule) => averageParameters(rule)],
    ['an accumulation of one batch', (rule) => accumulate(rule, 1)],
  ])('%s of rules passes the rounds on to the rules inside', async (_, wrap) => {
    const run = async (updateRule: ClientRule) =>
      federate({
        ...points([[2], [0]], { updateRule, aggregator: meanOverSampled, localSteps: 2 }),
        rounds: 2,
      }).result();
    const rule: ClientRule = { ...(fedSpeed(0.1, 0.1, 0.1) as ClientRule), clientState: 'keep' };
    expect(wrap(rule).clientState).toBe('keep');
    expect(numbers((await run(wrap(rule))).params['x'])[0]).toBeCloseTo(0.8158203928, 6);
  });

  test.each([
    ['all', meanOverAll],
    ['sampled', meanOverSampled],
  ] as const)('two rounds of FedSpeed on two parabolas, as calculated; mean over %s', async (_, aggregator) => {
    // ½(x − 2)² and ½x², two local steps, rate 0.1, λ = ρ = 0.1.
    const options = points([[2], [0]], {
      updateRule: fedSpeed(0.1, 0.1, 0.1),
      aggregator: aggregator as Aggregator,
      localSteps: 2,
      clientState: 'keep',
    });
    const first = await federate(options).result();
    expect(numbers(first.params['x'])[0]).toBeCloseTo(0.396899999, 6);
    const second = await federate({ ...options, rounds: 2 }).result();
    expect(numbers(second.params['x'])[0]).toBeCloseTo(0.8158203928, 6);
    expect(numbers(second.clients['client0']?.state['correction/x'])[0]).toBeCloseTo(0.711284488, 6);
    expect(numbers(second.clients['client1']?.state['correction/x'])[0]).toBeCloseTo(-0.0939140947, 6);
  });

  test('corrections of clients that do not take part survive', async () => {
    const reward: Reward = quadratic();
    const options = points([[2], [0], [4]], {
      reward,
      updateRule: fedSpeed(0.1, 0.1, 0),
      aggregator: meanOverAll as Aggregator,
      localSteps: 20,
      clientState: 'keep',
      participation: { count: 2, seed: 3 },
      rounds: 300,
    });
    const { params, clients } = await federate(options).result();
    // The optimum of the mean of the three is 2, and there h_i = -gradient / λ.
    expect(numbers(params['x'])[0]).toBeCloseTo(2, 2);
    expect(numbers(clients['client1']?.state['correction/x'])[0]).toBeCloseTo(-20, 0);
    expect(numbers(clients['client2']?.state['correction/x'])[0]).toBeCloseTo(20, 0);
  });

  test('rules that send different things do not fit together', async () => {
    const options = points([[2], [0]], { updateRule: fedSpeed(0.1, 0.1, 0.1), clientState: 'keep' });
    const clients = options.clients.map((client, index) =>
      index === 0 ? client : { ...client, updateRule: descent(1) },
    );
    await expect(federate({ ...options, clients }).result()).rejects.toThrow(
      /send different things.*One sends x, another nothing/s,
    );
  });
});

describe('peers', () => {
  /** Nearest-neighbour averaging (Farhadkhani et al. 2023): the mean of the n − f sources nearest to the own one. */
  const nearest = (faulty: number): Aggregator => ({
    combine({ own }, sources) {
      const matrix = sourceMatrix(sources);
      const distances = sqrt(matrix.sub(valueVector(own!.values)).square().sum([1]));
      const { indices } = topK(distances, sources.length - faulty, { largest: false });
      return { values: vectorValues(gather(matrix, indices, 0).mean([0]), own!.values), outputs: { distances } };
    },
  });
  const positions = [
    [0, 0],
    [1, 0],
    [0, 1],
    [10, 10],
    [1.2, 1.2],
  ];

  test('every peer has a result of its own, with its own model as pivot', async () => {
    const options = points(positions, {
      topology: 'peers',
      aggregator: nearest(1),
      evaluation: { sampler: evaluationOf },
    });
    const run = federate(options);
    const events: FederateEvent[] = [];
    for await (const event of run) events.push(event);
    const { clients, params } = await run.result();
    expect(params).toEqual({});
    for (const [index, expected] of [
      [0.55, 0.55],
      [0.55, 0.55],
      [0.55, 0.55],
      [3.05, 3.05],
      [0.55, 0.55],
    ].entries())
      for (const [axis, value] of expected.entries())
        expect(numbers(clients[`client${index}`]?.params['x'])[axis]).toBeCloseTo(value, 5);
    const [round] = events.filter((event): event is RoundEvent => event.type === 'round');
    expect(round?.aggregations.map(({ peer, sources }) => [peer, sources[0]])).toEqual(
      options.clients.map(({ id }) => [id, id]),
    );
    const distances = numbers(round?.aggregations[0]?.outputs['distances']);
    for (const [at, value] of [0, 1, 1, 14.142, 1.697].entries()) expect(distances[at]).toBeCloseTo(value, 3);
    expect(events.filter((event) => event.type === 'evaluation').map((event) => event.client)).toEqual(
      options.clients.map(({ id }) => id),
    );
  });

  const evaluationOf = (): Sampler => {
    const inner = towards(0, 0);
    let left = 1;
    return {
      ...{ columns: inner.columns, state: () => null, restore: () => undefined },
      draw: (context) => (left-- > 0 ? inner.draw(context) : undefined),
    };
  };

  test('what reaches a peer can be chosen, and an attacker is filtered', async () => {
    const attacked = points(positions.slice(0, 3), {
      topology: 'peers',
      aggregator: nearest(1),
      receive: ({ uploads, peer }) => (peer === 'client0' ? uploads.slice(-2) : uploads),
    });
    const attacker: FederatedClient = {
      id: 'attacker',
      transform: (upload) => ({
        ...upload,
        values: { x: { dataType: 'float32', dims: [2], data: Float32Array.of(-1e6, 1e6) } },
      }),
    };
    const run = federate({ ...attacked, clients: [...attacked.clients, attacker] });
    const rounds: RoundEvent[] = [];
    for await (const event of run) if (event.type === 'round') rounds.push(event);
    const { clients } = await run.result();
    expect(rounds[0]?.aggregations.map(({ sources }) => sources)).toEqual([
      ['client0', 'client2', 'attacker'],
      ['client1', 'client0', 'client2', 'attacker'],
      ['client2', 'client0', 'client1', 'attacker'],
    ]);
    expect(numbers(clients['client0']?.params['x'])).toEqual([0, 0.5]);
    expect(numbers(clients['client1']?.params['x'])[0]).toBeCloseTo(1 / 3, 6);
  });
});

test.each([
  [{ rounds: 0 }, /rounds is 0/],
  [{ localSteps: 1.5 }, /localSteps is 1.5/],
  [{ localSteps: 1, localEpochs: 1 }, /Both localSteps and localEpochs/],
  [{ localEpochs: 1, countSteps: 'global' }, /counted globally/],
  [{ clients: [] }, /no clients/],
  [{ clients: [{ id: 'a' }, { id: 'a' }] }, /Two clients have the id "a"/],
  [{ clients: [{ id: 'a', weight: -1 }] }, /weight of the client "a" is -1/],
  [{ participation: { count: 3 } }, /3 of 2 clients/],
  [{ participation: { fraction: 0 } }, /fraction is 0/],
  [{ topology: 'peers', exchange: 'deltas' }, /Peers exchange weights/],
  [{ topology: 'peers', serverRule: descent(1) }, /no server/],
  [{ receive: () => [] }, /receive says what peers receive/],
  [{ evaluation: { sampler: () => towards(1), peers: ['z'] } }, /no client "z"/],
] as [Partial<FederateOptions>, RegExp][])('the options %j are refused', async (extra, message) => {
  await expect(federate(points([[1], [2]], extra)).result()).rejects.toThrow(message);
});
