import { expect, jest, test } from '@jest/globals';
import { defineModel, RandomStream, type UpdateRule } from '@updraft/core';
import { matMul, type Tensor, type TensorData } from '@updraft/graph';
import { runKit, updateRuleKit, type Task } from '../index.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

/** Regression of a fixed linear function on random points; the batch depends on the step alone. */
function regression(): Task {
  let drawn = 0;
  const float = (dims: readonly number[], data: Float32Array): TensorData => ({ dataType: 'float32', dims, data });
  return {
    model: defineModel({
      name: 'line',
      inputs: { x: { dataType: 'float32', shape: ['batch', 3] } },
      build: (scope, { x }) =>
        matMul(
          x as Tensor,
          scope.parameter('weight', [3, 2], { initialize: () => new Float32Array(6), role: 'weight' }),
        ),
    }),
    reward: {
      objective: ({ batch, forward }) => ({
        loss: (forward()['output'] as Tensor)
          .sub(batch['y'] as Tensor)
          .square()
          .mean(),
      }),
    },
    sampler: {
      columns: {
        x: { dataType: 'float32', shape: ['batch', 3] },
        y: { dataType: 'float32', shape: ['batch', 2] },
      },
      draw() {
        const x = new Float32Array(24);
        RandomStream.fromSeed(drawn++).fillNormal(x);
        const y = Float32Array.from({ length: 16 }, (_, at) => (x[3 * (at >> 1) + (at % 2)] as number) - 0.5);
        return { columns: { x: float([8, 3], x), y: float([8, 2], y) }, size: 8 };
      },
      state: () => drawn,
      restore(state) {
        drawn = Number(state);
      },
    },
  };
}

/** Descent along xᵀ·(gradient of the output), which only layers have. */
const tapped = (rate: number): UpdateRule => ({
  init: () => ({}),
  update(context) {
    const [tap] = context.tap('weight');
    if (tap === undefined) throw new Error('no layer');
    const gradient = matMul(tap.input.transpose([1, 0]), tap.outputGradient);
    return { params: { weight: (context.params['weight'] as Tensor).sub(gradient.mul(rate)) } };
  },
});

const kitOf = (rate: number) =>
  updateRuleKit(
    { name: 'tapped descent', create: () => tapped(rate) },
    // With a bias of −½ that no weight explains, ¼ of the loss stays.
    { task: regression, learns: { steps: 150, below: 0.45 } },
  );

test('a rule that reads layers is checked on a task of its own', async () => {
  const kit = kitOf(0.1);
  const results = await runKit(kit);
  expect(results.flatMap((result) => (result.outcome === 'failed' ? [result.error.message] : []))).toEqual([]);
  expect(results.flatMap(({ id, outcome }) => (outcome === 'passed' ? [id] : []))).toEqual([
    'shapes',
    'state-used',
    'same-seed',
    'resumed',
    'instances',
    'phases',
    'zero-gradients',
    'huge-gradients',
    'chain',
    'averaged',
    'task',
  ]);
  await kit.dispose();
});

test('one that learns nothing is found there', async () => {
  const kit = kitOf(-0.01);
  const failed = (await runKit(kit)).flatMap(({ id, outcome }) => (outcome === 'failed' ? [id] : []));
  expect(failed).toContain('task');
  await kit.dispose();
});
