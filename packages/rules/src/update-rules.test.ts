import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { defineModel, train, type Reward, type Sampler, type TrainResult, type UpdateRule } from '@updraft/core';
import type { Tensor, TensorData } from '@updraft/graph';
import {
  accumulate,
  adafactor,
  adam,
  adamw,
  averageParameters,
  chain,
  clipByGlobalNorm,
  clipByNorm,
  clipByValue,
  decoupledWeightDecay,
  freeze,
  muon,
  partition,
  rmsprop,
  schedules,
  sgd,
} from './index.js';

interface Golden {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly params: Readonly<Record<string, readonly number[]>>;
  readonly grads: readonly Readonly<Record<string, readonly number[]>>[];
  readonly cases: readonly {
    readonly rule: string;
    readonly options: Readonly<Record<string, number>>;
    readonly origin: string;
    readonly names: readonly string[];
    readonly trajectory: readonly Readonly<Record<string, readonly number[]>>[];
  }[];
}

const golden = JSON.parse(readFileSync(new URL('../golden/update-rules.json', import.meta.url), 'utf8')) as Golden;

const RULES: Readonly<Record<string, (options: Record<string, number>) => UpdateRule>> = {
  sgd,
  rmsprop,
  adam,
  adamw,
  adafactor,
  muon,
  'clipByValue+sgd': ({ limit, learningRate }) => chain(clipByValue(limit as number), sgd({ learningRate })),
  'clipByNorm+sgd': ({ limit, learningRate }) => chain(clipByNorm(limit as number), sgd({ learningRate })),
  'clipByGlobalNorm+sgd': ({ limit, learningRate }) => chain(clipByGlobalNorm(limit as number), sgd({ learningRate })),
};

const tensorOf = (name: string, values: readonly number[]): TensorData => ({
  dataType: 'float32',
  dims: golden.shapes[name] as readonly number[],
  data: Float32Array.from(values),
});

/** A model whose loss is ⟨parameter, column⟩: its gradients are the columns of the batch. */
function linearPipeline(names: readonly string[]): { model: ReturnType<typeof defineModel>; reward: Reward } {
  const model = defineModel({
    name: 'parameters',
    inputs: {},
    build: (scope) =>
      Object.fromEntries(
        names.map((name) => [
          name,
          scope.parameter(name, golden.shapes[name] as readonly number[], { initialize: () => new Float32Array(0) }),
        ]),
      ),
  });
  const reward: Reward = {
    objective: ({ batch, forward }) => {
      const params = forward();
      return {
        loss: names.map((name) => (params[name] as Tensor).mul(batch[name] as Tensor).sum()).reduce((a, b) => a.add(b)),
      };
    },
  };
  return { model, reward };
}

function gradientSampler(names: readonly string[]): Sampler {
  let position = 0;
  return {
    columns: Object.fromEntries(
      names.map((name) => [name, { dataType: 'float32', shape: golden.shapes[name] as readonly number[] }]),
    ),
    draw: () => {
      const grads = golden.grads[position++ % golden.grads.length] as Record<string, readonly number[]>;
      return {
        columns: Object.fromEntries(names.map((name) => [name, tensorOf(name, grads[name] as readonly number[])])),
        size: 1,
      };
    },
    state: () => position,
    restore: (state) => {
      position = Number(state);
    },
  };
}

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

function run(
  updateRule: UpdateRule,
  steps: number,
  names: readonly string[] = Object.keys(golden.shapes),
): Promise<TrainResult> {
  return train({
    ...linearPipeline(names),
    sampler: gradientSampler(names),
    updateRule,
    backend,
    steps,
    initial: Object.fromEntries(names.map((name) => [name, tensorOf(name, golden.params[name] as readonly number[])])),
  }).result();
}

/** Largest difference relative to the largest expected value of the tensor. */
function expectClose(actual: TensorData | undefined, expected: readonly number[], tolerance: number): void {
  const values = Array.from(actual?.data as Float32Array);
  expect(values).toHaveLength(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  const worst = Math.max(...values.map((value, index) => Math.abs(value - (expected[index] as number))));
  expect(worst / scale).toBeLessThan(tolerance);
}

describe('rules follow independent implementations for five steps', () => {
  test.each(golden.cases.map((one) => [`${one.rule} ${JSON.stringify(one.options)} (${one.origin})`, one] as const))(
    '%s',
    async (_, one) => {
      const make = RULES[one.rule] as (options: Record<string, number>) => UpdateRule;
      for (let step = 1; step <= 5; step++) {
        const { params } = await run(make({ ...one.options }), step, one.names);
        // Muon multiplies matrices in float32, five times in a row.
        for (const name of one.names)
          expectClose(
            params[name],
            one.trajectory[step - 1]?.[name] as readonly number[],
            one.rule === 'muon' ? 1e-4 : 2e-6,
          );
      }
    },
  );
});

describe('composition', () => {
  test('decoupled weight decay after Adam is AdamW', async () => {
    const composed = await run(chain(adam({ learningRate: 0.02 }), decoupledWeightDecay(0.1, 0.02)), 5);
    const whole = await run(adamw({ learningRate: 0.02, weightDecay: 0.1 }), 5);
    for (const [name, value] of Object.entries(whole.params))
      expectClose(composed.params[name], Array.from(value.data as Float32Array), 1e-6);
  });

  test('partition gives every parameter to its rule', async () => {
    const mixed = await run(
      partition({
        rules: { matrices: adam({ learningRate: 0.1 }), rest: sgd({ learningRate: 0.5 }) },
        assign: ({ shape }) => (shape.length > 1 ? 'matrices' : 'rest'),
      }),
      4,
    );
    const adamOnly = await run(adam({ learningRate: 0.1 }), 4);
    const sgdOnly = await run(sgd({ learningRate: 0.5 }), 4);
    expect(mixed.params['matrix']?.data).toEqual(adamOnly.params['matrix']?.data);
    expect(mixed.params['bias']?.data).toEqual(sgdOnly.params['bias']?.data);
  });

  test('frozen parameters stay bit-identical', async () => {
    const { params } = await run(freeze(adam({}), 'matr*'), 3);
    expect(params['matrix']?.data).toEqual(tensorOf('matrix', golden.params['matrix'] as readonly number[]).data);
    expect(params['bias']?.data).not.toEqual(tensorOf('bias', golden.params['bias'] as readonly number[]).data);
  });

  test('accumulation averages gradients: plain SGD over two batches moves by their mean', async () => {
    const { params } = await run(accumulate(sgd({ learningRate: 1 }), 2), 4);
    const start = golden.params['bias'] as readonly number[];
    const expected = start.map(
      (value, index) =>
        value -
        golden.grads.slice(0, 4).reduce((sum, grads) => sum + (grads['bias'] as readonly number[])[index]! / 2, 0),
    );
    expectClose(params['bias'], expected, 1e-6);
  });

  test('averages follow their definition', async () => {
    const trajectory = await Promise.all([1, 2, 3].map((steps) => run(sgd({ learningRate: 0.1 }), steps)));
    const { state } = await run(averageParameters(sgd({ learningRate: 0.1 }), 0.7), 3);
    const start = golden.params['bias'] as readonly number[];
    const expected = start.map((value, index) =>
      trajectory.reduce((average, { params }) => 0.7 * average + 0.3 * (params['bias']?.data[index] as number), value),
    );
    expectClose(state['average/bias'], expected, 1e-6);
    const polyak = await run(averageParameters(sgd({ learningRate: 0.1 }), 'polyak'), 3);
    const mean = start.map(
      (_, index) => trajectory.reduce((sum, { params }) => sum + (params['bias']?.data[index] as number), 0) / 3,
    );
    expectClose(polyak.state['average/bias'], mean, 1e-6);
  });
});

describe('options', () => {
  test('every problem is named, unknown options with the nearest known one', () => {
    expect(() => adamw({ learningRat: 1 } as never)).toThrow('did you mean "learningRate"');
    expect(() => adamw({ beta1: 2, epsilon: -1 })).toThrow(/beta1.*epsilon/);
  });

  test('Muon refuses vectors and says what to do', async () => {
    await expect(run(muon({}), 1)).rejects.toThrow('partition()');
  });
});

describe('schedules', () => {
  test('values at chosen steps', () => {
    // From their definitions, by hand.
    const cosine = schedules.cosine({ from: 1, to: 0.1, steps: 10 });
    expect([cosine.at(1), cosine.at(6), cosine.at(11)]).toEqual([1, expect.closeTo(0.55, 12), expect.closeTo(0.1, 12)]);
    const line = schedules.linear({ from: 1, to: 0, steps: 5 });
    expect([line.at(1), line.at(3), line.at(9)]).toEqual([1, 0.5, 0]);
    const warm = schedules.warmUp(4, 0.8);
    expect([warm.at(1), warm.at(4), warm.at(7)]).toEqual([expect.closeTo(0.2, 12), expect.closeTo(0.8, 12), 0.8]);
    const falling = schedules.inverseTime({ from: 0.6, half: 4, every: 2 });
    expect([1, 2, 3, 5, 9].map((step) => falling.at(step))).toEqual([
      0.6,
      0.6,
      expect.closeTo(0.4, 12),
      0.3,
      expect.closeTo(0.2, 12),
    ]);
    expect(schedules.inverseTime({ from: 0.6, half: 0 }).at(99)).toBe(0.6);
    expect(() => schedules.inverseTime({ from: 1, half: 1, every: 0.5 })).toThrow(/every 0.5 steps/);
    const cycle = schedules.oneCycle({ peak: 1, steps: 100 });
    expect([cycle.at(1), cycle.at(31), cycle.at(100)]).toEqual([
      expect.closeTo(0.04, 12),
      expect.closeTo(1, 2),
      expect.closeTo(1e-4, 12),
    ]);
    const down = schedules.cooldown({ value: 2, steps: 10, fraction: 0.5, floor: 0.2 });
    expect([down.at(1), down.at(6), down.at(7), down.at(10), down.at(11), down.at(20)]).toEqual(
      [2, 2, 1.68, 0.72, 0.4, 0.4].map((value) => expect.closeTo(value, 12)),
    );
  });

  test('serialised forms come back', () => {
    for (const one of [schedules.oneCycle({ peak: 0.3, steps: 50 }), schedules.cooldown({ value: 0.3, steps: 50 })]) {
      const again = schedules.scheduleFrom(one.describe?.() ?? {});
      expect(Array.from({ length: 60 }, (_, step) => again.at(step + 1))).toEqual(
        Array.from({ length: 60 }, (_, step) => one.at(step + 1)),
      );
    }
    expect(() => schedules.scheduleFrom({ type: 'cosin' })).toThrow('There is no schedule');
  });

  test('a moving schedule compiles nothing new', async () => {
    const before = (backend as unknown as { compilations: number }).compilations;
    await run(sgd({ learningRate: schedules.linear({ from: 0.123, to: 0, steps: 7 }) }), 5);
    const first = (backend as unknown as { compilations: number }).compilations;
    await run(sgd({ learningRate: schedules.cosine({ from: 0.5, steps: 9 }) }), 5);
    expect((backend as unknown as { compilations: number }).compilations).toBe(first);
    expect(first - before).toBeLessThanOrEqual(1);
  });
});
