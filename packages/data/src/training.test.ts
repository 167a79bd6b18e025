import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  defineModel,
  evaluate,
  MemoryCheckpointStore,
  train,
  type CheckpointStore,
  type Reward,
  type UpdateRule,
} from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { DataError } from './errors.js';
import { inOrder, shuffled } from './samplers.js';
import { collect, streamed } from './stream.js';
import { linearRegression } from './synthetic/index.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const model = defineModel({
  name: 'line',
  inputs: { x: { dataType: 'float32', shape: ['batch', 4] } },
  build: (scope, { x }) => {
    const zeros = (shape: readonly number[]): Float32Array => new Float32Array(shape.reduce((a, b) => a * b, 1));
    const weight = scope.parameter('weight', [4, 1], { initialize: zeros, role: 'weight' });
    return (x as Tensor).matMul(weight).add(scope.parameter('bias', [1], { initialize: zeros, role: 'bias' }));
  },
});
const squaredError: Reward = {
  objective({ batch, forward }) {
    return {
      loss: (forward()['output'] as Tensor)
        .sub(batch['target'] as Tensor)
        .square()
        .mean(),
    };
  },
};
const descent: UpdateRule = {
  init: () => ({}),
  update({ params, grads }) {
    return {
      params: Object.fromEntries(
        Object.entries(params).map(([name, value]) => [name, value.sub((grads[name] as Tensor).mul(0.1))]),
      ),
    };
  },
};

/** 100 examples in batches of 16 with noise added: six batches an epoch. */
const dataset = linearRegression({ count: 100, noise: 0.1 });
const sampler = () =>
  shuffled(dataset, {
    batchSize: 16,
    transform: ({ x }, random) => {
      const values = x?.data as Float32Array;
      for (let index = 0; index < values.length; index++)
        values[index] = (values[index] as number) + 0.01 * random.normal();
    },
  });
const run = async (
  steps: number,
  store: CheckpointStore | undefined,
  source = sampler(),
  seed = 3,
): Promise<number[]> => {
  const checkpoints = store === undefined ? {} : { checkpoints: { store, every: 1000 } };
  const pipeline = { model, sampler: source, reward: squaredError, updateRule: descent, backend, steps, seed };
  const { params } = await train({ ...pipeline, ...checkpoints }).result();
  return Object.keys(params)
    .sort()
    .flatMap((name) => Array.from(params[name]?.data as Float32Array));
};

describe('samplers in training', () => {
  test.each([1, 6, 13])('stopped at step %i and resumed, training ends with the same bits', async (stop) => {
    const whole = await run(20, undefined);
    const store = new MemoryCheckpointStore();
    await run(stop, store);
    expect(await run(20, store)).toEqual(whole);
    expect(await run(20, undefined, sampler(), 4)).not.toEqual(whole);
  });

  test('a checkpoint of a run on other data is refused', async () => {
    const store = new MemoryCheckpointStore();
    await run(3, store);
    const other = shuffled(linearRegression({ count: 99 }), { batchSize: 16 });
    await expect(run(6, store, other)).rejects.toThrow(DataError);
  });

  test('streams resume as well', async () => {
    const { x, target } = dataset.columns as Record<'x' | 'target', (typeof dataset.columns)[string]>;
    const rows = Array.from({ length: 100 }, (_, row) => ({ x: [row / 100, 1, -row / 50, 0], target: row / 10 }));
    const source = () => streamed(() => rows, { columns: { x, target }, batchSize: 16, shuffleBuffer: 20, seed: 1 });
    const store = new MemoryCheckpointStore();
    await run(8, store, source());
    expect(await run(20, store, source())).toEqual(await run(20, undefined, source()));
    expect((await collect(rows, { x, target })).length).toBe(100);
  });

  test('evaluation sees every example once, whatever the batch size', async () => {
    const residents = {
      weight: { dataType: 'float32', dims: [4, 1], data: new Float32Array(4) },
      bias: { dataType: 'float32', dims: [1], data: new Float32Array(1) },
    } as const;
    const losses: number[] = [];
    for (const batchSize of [100, 33, 7]) {
      const fresh = () => inOrder(dataset, batchSize);
      const result = await evaluate({ model, sampler: fresh, reward: squaredError, backend, residents });
      expect(result.examples).toBe(100);
      losses.push(result.loss);
    }
    let sum = 0;
    const target = { dataType: 'float32', dims: [1, 1], data: new Float32Array(1) } as const;
    for (let index = 0; index < 100; index++) {
      dataset.read('target', index, target, 0);
      sum += (target.data[0] as number) ** 2;
    }
    for (const loss of losses) expect(loss).toBeCloseTo(sum / 100, 4);
  });
});
