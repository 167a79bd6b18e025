import { createBackend, type Backend } from '@updraft/backend';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Tensor } from '@updraft/graph';
import type { Reward } from '../contracts/reward.js';
import { probeReward, type ProbeContext } from './index.js';

let backend: Backend;
let context: ProbeContext;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
  context = { backend, reward: () => ({}) };
});
afterAll(() => backend.dispose());

test('tensors that an objective shows come out with their shape', async () => {
  const reward: Reward = {
    objective({ forward }) {
      const z = forward()['z'] as Tensor;
      return { loss: z.square().sum(), outputs: { products: z.transpose([1, 0]).matMul(z), z } };
    },
  };
  const result = await probeReward(reward, { inputs: { z: [[1, 2, 3]] } }, context);
  expect(result).toMatchObject({
    loss: 14,
    outputs: {
      products: [
        [1, 2, 3],
        [2, 4, 6],
        [3, 6, 9],
      ],
      z: [[1, 2, 3]],
    },
    gradients: { z: [[2, 4, 6]] },
  });
});

test('advantages see the items that were scored', async () => {
  const reward: Reward<{ points: number; price: number }> = {
    score: (items) => items.map(({ points }) => points),
    advantages: (scores, _groups, items) => scores.map((score, at) => score / (items?.[at]?.price ?? NaN)),
  };
  const items = [
    { points: 6, price: 2 },
    { points: 5, price: 10 },
  ];
  expect(await probeReward(reward as Reward, { items }, context)).toEqual({ scores: [6, 5], advantages: [3, 0.5] });
});
