import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { tensor, type Tensor, type TensorData } from '@updraft/graph';
import { train } from '../drivers/train.js';
import { mapValues } from '../tree.js';
import { defineModel } from './module.js';
import { passes } from './passes.js';
import type { Scope } from './scope.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

/** w·x, with a variable that halves and then takes the mean of x, and noise beside it. */
const network = (scope: Scope, x: Tensor): { product: Tensor; noise: Tensor } =>
  scope.child('layer', (inner) => {
    const kept = inner.variable('kept', [], 1);
    inner.assign('kept', kept.mul(0.5).add(x.mean()));
    const weight = inner.parameter('weight', [], { initialize: () => Float32Array.of(3) });
    return { product: x.mul(weight).mean(), noise: inner.noise('noise', []) };
  });

test('passes share parameters, follow each other in variables and draw noise of their own', async () => {
  const columns = {
    a: { dataType: 'float32', shape: ['batch'] },
    b: { dataType: 'float32', shape: ['batch'] },
  } as const;
  const model = defineModel({
    name: 'two-passes',
    inputs: columns,
    build(scope, { a, b }) {
      const next = passes(scope);
      const [left, right] = [network(next(), a as Tensor), network(next(), b as Tensor)];
      return { loss: left.product.add(right.product), difference: left.noise.sub(right.noise).abs() };
    },
  });
  const run = train({
    model,
    backend,
    steps: 1,
    sampler: {
      columns,
      draw: () => ({ columns: { a: tensor([1, 3]), b: tensor([10, 20]) }, size: 2 }),
      state: () => null,
      restore: () => undefined,
    },
    reward: {
      objective({ forward }) {
        const { loss, difference } = forward() as { loss: Tensor; difference: Tensor };
        return { loss, metrics: { difference } };
      },
    },
    updateRule: {
      init: () => ({}),
      update: ({ params, grads }) => ({ params: mapValues(params, (param, name) => param.sub(grads[name] as Tensor)) }),
    },
  });
  const metrics: number[] = [];
  for await (const event of run) if (event.type === 'step') metrics.push(event.metrics['difference'] as number);
  const { params, variables } = await run.result();
  const number = (value: TensorData | undefined): number => Number(value?.data[0]);
  // The gradients of both passes: 2 + 15.
  expect(number(params['layer.weight'])).toBeCloseTo(3 - 17, 5);
  // 0.5·1 + 2 = 2.5 after the first pass, 0.5·2.5 + 15 after the second.
  expect(number(variables['layer.kept'])).toBeCloseTo(16.25, 5);
  expect(Object.keys(params)).toEqual(['layer.weight']);
  expect(metrics[0]).toBeGreaterThan(1e-3);
});
