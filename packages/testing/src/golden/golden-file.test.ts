import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import type { UpdateRule } from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { goldenTensors, parseGolden, runGolden } from '../index.js';

const file = (changes: object = {}, change: (one: object) => object = (one) => one): unknown => ({
  contract: 'update-rule',
  plugin: 'descent',
  origin: 'By hand: θ ← θ − 0.5·g.',
  cases: [
    change({
      name: 'two steps',
      tolerance: 1e-6,
      params: { w: [[1, 2]] },
      gradients: [{ w: [[1, -1]] }, { w: [[0.5, 4]] }],
      expected: [
        { step: 1, params: { w: [[0.5, 2.5]] } },
        { step: 2, params: { w: [[0.25, 0.5]] } },
      ],
    }),
  ],
  ...changes,
});

const descent = (rate: number) => ({
  name: 'descent',
  create: (): UpdateRule => ({
    init: () => ({}),
    update: ({ params, grads }) => ({
      params: { w: (params['w'] as Tensor).sub((grads['w'] as Tensor).mul(rate)) },
    }),
  }),
});

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

describe('a golden file', () => {
  const problem = (json: unknown): string => {
    try {
      parseGolden('update-rule', 'descent', json);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('is compared step by step', async () => {
    await runGolden('update-rule', descent(0.5), file(), backend);
    await expect(runGolden('update-rule', descent(0.51), file(), backend)).rejects.toThrow(
      /case "two steps" \(By hand.*after step 1: element 0 of "w" is 0.4/,
    );
  });

  test('refuses unknown keys, missing origins, other plugins and other contracts', () => {
    expect(problem(file())).toBe('');
    expect(problem(file({ more: 1 }))).toMatch(/more/);
    expect(problem(file({}, (one) => ({ ...one, tolerence: 1 })))).toMatch(/cases\.0.*tolerence/);
    expect(problem(file({ origin: '' }))).toMatch(/"origin"/);
    expect(problem(file({ contract: 'sampler' }))).toMatch(/"contract"/);
    expect(problem(file({ plugin: 'ascent' }))).toMatch(/for "ascent", not for "descent"/);
    expect(problem(file({ cases: [] }))).toMatch(/"cases"/);
    expect(problem(file({}, (one) => ({ ...one, tolerance: 0 })))).toMatch(/tolerance/);
  });

  test('refuses the same case twice, by name and by contents', () => {
    const [one] = (file() as { cases: object[] }).cases as [object];
    expect(problem(file({ cases: [one, one] }))).toMatch(/two cases named "two steps"/);
    expect(problem(file({ cases: [one, { ...one, name: 'again' }] }))).toMatch(/"two steps" and "again".*the same/);
  });

  test('takes what JSON lacks as words, and nothing else', () => {
    const { w } = goldenTensors({ w: [[1, 'inf'], ['-inf', 'nan']] }, 'here');
    expect(w?.dims).toEqual([2, 2]);
    expect(Array.from(w?.data as Float32Array)).toEqual([1, Infinity, -Infinity, NaN]);
    expect(problem(file({}, (one) => ({ ...one, params: { w: [[null, 2]] } })))).toMatch(/params/);
    expect(problem(file({}, (one) => ({ ...one, params: { w: [['Infinity', 2]] } })))).toMatch(/params/);
    expect(problem(file({}, (one) => ({ ...one, params: { w: [[NaN, 2]] } })))).toMatch(/params/);
  });

  test('refuses ragged lists and data that does not fill its shape', () => {
    expect(() => goldenTensors({ w: [[1, 2], [3]] }, 'here')).toThrow(/here, "w": rows differ in length/);
    expect(() => goldenTensors({ w: { dataType: 'int64', shape: [2], data: [1] } }, 'here')).toThrow(/do not fill/);
    expect(goldenTensors({ w: { dataType: 'int64', shape: [2], data: [1, 2] } }, 'here')['w']?.data).toEqual(
      BigInt64Array.of(1n, 2n),
    );
  });
});
