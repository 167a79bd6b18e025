import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { train } from '@updraft/core';
import { shuffled, twoMoons } from '@updraft/data';
import { tensor, type TensorData } from '@updraft/graph';
import { crossEntropy, mlp } from '@updraft/nn';
import { schedules } from '@updraft/rules';
import { testUpdateRule, traceUpdateRule } from '@updraft/testing';
import { Lion, lion, SignMomentum, signMomentum } from './index.js';

const golden = JSON.parse(readFileSync(new URL('../golden/lion.json', import.meta.url), 'utf8')) as unknown;

// Steps have one length however near the goal is: only a smaller rate gets closer.
const converging = {
  parabola: { options: { learningRate: schedules.linear({ from: 0.1, to: 1e-3, steps: 400 }) } },
  rosenbrock: { options: { learningRate: schedules.linear({ from: 0.02, to: 1e-4, steps: 2000 }) } },
};
const effects = { decayMask: { value: [], with: { weightDecay: 0.5 } } };

testUpdateRule(Lion, { options: { learningRate: 0.05 }, effects, golden: [golden], ...converging });
testUpdateRule(SignMomentum, { options: { learningRate: 0.05 }, effects, ...converging });

describe('the card of Lion', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ device: 'cpu' });
  });
  afterAll(() => backend.dispose());

  const first = { w: tensor([0.5, -1.5, 0.25, 2]) };
  const gradients = [
    [0.5, -1, 0, 2],
    [-0.1, 3, 0, -0.5],
    [-0.7, -2, 0, 0.01],
    [0.2, 0.3, 0, -1],
  ];
  const trace = (rule: () => ReturnType<typeof lion> | ReturnType<typeof signMomentum>, list = gradients) =>
    traceUpdateRule({ backend, rule, params: first, gradients: list.map((values) => ({ w: tensor(values) })) });
  const numbers = (value: TensorData | undefined): number[] => Array.from(value?.data as Float32Array);
  const trajectory = async (...given: Parameters<typeof trace>): Promise<number[][]> =>
    (await trace(...given)).map(({ w }) => numbers(w));

  test('every element with c ≠ 0 moves by η after its decay, one with c = 0 by nothing', async () => {
    const [learningRate, weightDecay] = [0.125, 0.5];
    const steps = await trajectory(() => lion({ learningRate, weightDecay }));
    let before = numbers(first.w);
    for (const after of steps) {
      const moved = after.map((value, at) =>
        Math.abs(value - (before[at] as number) * (1 - learningRate * weightDecay)),
      );
      expect(moved[2]).toBeCloseTo(0, 6);
      for (const at of [0, 1, 3]) expect(moved[at]).toBeCloseTo(learningRate, 6);
      before = after;
    }
  });

  test('gradients of another scale give the same trajectory', async () => {
    const expected = await trajectory(() => lion({ learningRate: 0.1, weightDecay: 0.1 }));
    // Powers of two scale without rounding.
    for (const factor of [2 ** -20, 2 ** 20]) {
      const scaled = gradients.map((values) => values.map((value) => value * factor));
      expect(await trajectory(() => lion({ learningRate: 0.1, weightDecay: 0.1 }), scaled)).toEqual(expected);
    }
  });

  test('β₁ = 0 is signSGD: each step is the sign of its own gradient', async () => {
    const steps = await trajectory(() => lion({ learningRate: 0.25, beta1: 0 }));
    let expected = numbers(first.w);
    gradients.forEach((values, index) => {
      expected = expected.map((value, at) => value - 0.25 * Math.sign(values[at] as number));
      expect(steps[index]).toEqual(expected);
    });
    expect(await trajectory(() => signMomentum({ learningRate: 0.25, beta: 0 }))).toEqual(steps);
  });

  test('equal rates, tied rates and sign momentum are one rule', async () => {
    const expected = await trajectory(() => lion({ learningRate: 0.1, beta1: 0.8, beta2: 0.8 }));
    expect(await trajectory(() => lion({ learningRate: 0.1, beta1: 0.8, tied: true }))).toEqual(expected);
    expect(await trajectory(() => signMomentum({ learningRate: 0.1, beta: 0.8 }))).toEqual(expected);
  });

  test('without gradients there is only decay: θ = (1 − ηλ)ᵗ θ₀', async () => {
    const nothing = gradients.map((values) => values.map(() => 0));
    const steps = await trajectory(() => lion({ learningRate: 0.1, weightDecay: 2 }), nothing);
    steps.forEach((values, index) => {
      values.forEach((value, at) => {
        expect(value).toBeCloseTo((numbers(first.w)[at] as number) * 0.8 ** (index + 1), 6);
      });
    });
  });

  test('a mask that names a parameter of another model is refused', async () => {
    await expect(trace(() => lion({ weightDecay: 1, decayMask: ['v'] }))).rejects.toThrow(/no parameter "v"/);
  });

  test('float16 takes half the bytes, and a sign is as good', async () => {
    const run = async (momentumDtype: 'float16' | 'float32') => {
      const { params, state } = await train({
        model: mlp({ input: [2], hidden: [4], classes: 2, column: 'x' }),
        sampler: shuffled(twoMoons({ count: 64 }), { batchSize: 16, seed: 1 }),
        reward: crossEntropy(),
        updateRule: lion({ learningRate: 0.01, momentumDtype }),
        backend,
        steps: 5,
      }).result();
      return {
        params,
        bytes: Object.values(state).reduce((sum, { data }) => sum + (data as Uint16Array).byteLength, 0),
      };
    };
    const [half, single] = [await run('float16'), await run('float32')];
    expect(half.bytes * 2).toBe(single.bytes);
    for (const [name, value] of Object.entries(single.params)) {
      const own = numbers(half.params[name]);
      // Rounding may turn the sign of an element whose momentum and gradient cancel.
      const others = numbers(value).filter((number, at) => Math.abs(number - (own[at] as number)) > 1e-6);
      expect(others.length).toBeLessThanOrEqual(Math.ceil(own.length / 10));
    }
  });
});
