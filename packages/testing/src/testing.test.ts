import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import type { UpdateRule } from '@updraft/core';
import { tensor, type TensorData } from '@updraft/graph';
import { checkGradients, checkUpdateRule, ContractError, traceUpdateRule } from './index.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const parameter = (values: number[]): TensorData => ({
  dataType: 'float32',
  dims: [values.length],
  data: Float32Array.from(values),
});

/** θ ← θ − η·g, without state. */
const descent = (rate: number): UpdateRule => ({
  init: () => ({}),
  update: ({ params, grads }) => ({
    params: Object.fromEntries(
      Object.entries(params).map(([name, value]) => {
        const gradient = grads[name];
        if (gradient === undefined) throw new Error(`no gradient of ${name}`);
        return [name, value.sub(gradient.mul(rate))];
      }),
    ),
  }),
});

describe('checkGradients', () => {
  const inputs = [
    tensor(
      [
        [0.5, -1.5],
        [2, 0.25],
      ],
      'float64',
    ),
    tensor([1.5, -0.75], 'float64'),
  ];

  test('agrees with differences, at first and second order, and counts what it compared', async () => {
    for (const order of [1, 2] as const) {
      const found = await checkGradients({
        backend,
        inputs,
        order,
        build: (a, b) => [a.mul(b).tanh(), a.mul(a).mul(a)],
      });
      expect(found.compared).toBe(6);
      expect(found.largestError).toBeLessThan(1e-6);
    }
  });

  test('finds a kink, where the two disagree, and names the element', async () => {
    const kinked = [tensor([1, 0, 2], 'float64')];
    await expect(checkGradients({ backend, inputs: kinked, build: (a) => a.relu() })).rejects.toThrow(
      /order 1 with respect to element 1 of input 0/,
    );
  });

  test('refuses functions without anything to vary', async () => {
    await expect(checkGradients({ backend, inputs: [tensor([1], 'int64')], build: (a) => a })).rejects.toThrow(
      ContractError,
    );
  });
});

describe('traceUpdateRule', () => {
  const params = { weight: parameter([1, 2]) };
  const gradients = [{ weight: parameter([1, -1]) }, { weight: parameter([0.5, 4]) }];

  test('gives the rule exactly the gradients it was given', async () => {
    const trace = await traceUpdateRule({ backend, rule: () => descent(0.5), params, gradients });
    expect(trace.map(({ weight }) => Array.from(weight?.data as Float32Array))).toEqual([
      [0.5, 2.5],
      [0.25, 0.5],
    ]);
  });

  test('names a gradient of the wrong shape', async () => {
    const wrong = [{ weight: parameter([1]) }];
    await expect(traceUpdateRule({ backend, rule: () => descent(0.5), params, gradients: wrong })).rejects.toThrow(
      'The gradients of step 1 hold no "weight" of shape [2].',
    );
  });
});

describe('checkUpdateRule', () => {
  const params = { weight: parameter([1, 2]) };
  const gradients = [{ weight: parameter([1, -1]) }, { weight: parameter([0.5, 4]) }];

  test('passes a sound rule', async () => {
    await checkUpdateRule({ backend, rule: () => descent(0.1), params, gradients });
  });

  test('finds a rule that does nothing, one that overflows, and one that hides state', async () => {
    await expect(checkUpdateRule({ backend, rule: () => descent(0), params, gradients })).rejects.toThrow(
      'changed no parameter',
    );
    let made = 0;
    const rule = (): UpdateRule => descent(0.1 + 0.01 * made++);
    await expect(checkUpdateRule({ backend, rule, params, gradients })).rejects.toThrow('Two runs of the rule');
    await expect(checkUpdateRule({ backend, rule: () => descent(1e39), params, gradients })).rejects.toThrow(
      /infinite|NaN/,
    );
  });
});
