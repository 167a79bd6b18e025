import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { merge, PluginRegistry, RandomStream, type Aggregator } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import * as rules from '../index.js';
import { mean, median, trimmedMean } from './index.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const SIZE = 7;
const vector = (values: readonly number[]): { x: TensorData } => ({
  x: { dataType: 'float32', dims: [values.length], data: Float32Array.from(values) },
});
/** Sources of normal numbers. */
const draws = (count: number, seed: number): number[][] => {
  const random = RandomStream.fromSeed(seed);
  return Array.from({ length: count }, () => Array.from({ length: SIZE }, () => Math.fround(random.normal())));
};
const combine = async (aggregator: Aggregator, sources: readonly (readonly number[])[]): Promise<number[]> => {
  const { values } = await merge({ models: sources.map(vector), aggregator, backend });
  return [...(values['x']?.data as Float32Array)];
};

/** What each of them should be, coordinate by coordinate, in float64. */
const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const CASES: readonly (readonly [string, Aggregator, (values: readonly number[]) => number])[] = [
  ['mean', mean(), average],
  [
    'median',
    median(),
    (values) =>
      average([sorted(values)[(values.length - 1) >> 1] as number, sorted(values)[values.length >> 1] as number]),
  ],
  [
    'trimmed mean',
    trimmedMean({ trim: 0.2 }),
    (values) => {
      const trimmed = Math.floor(0.2 * values.length + 1e-9);
      return average(sorted(values).slice(trimmed, values.length - trimmed));
    },
  ],
];

describe.each(CASES)('%s', (name, aggregator, expected) => {
  test.each([1, 2, 3, 5, 8, 11])('of %i sources is that of every coordinate, in any order', async (count) => {
    const sources = draws(count, count);
    const result = await combine(aggregator, sources);
    const turned = await combine(aggregator, [...sources].reverse());
    for (let index = 0; index < SIZE; index++) {
      expect(result[index]).toBeCloseTo(expected(sources.map((source) => source[index] as number)), 5);
      expect(turned[index]).toBeCloseTo(result[index] as number, 6);
    }
  });

  test.each([1e-10, 1, 1e15])('keeps up with the scale %d', async (scale) => {
    const sources = draws(5, 50);
    const plain = await combine(aggregator, sources);
    const scaled = await combine(
      aggregator,
      sources.map((source) => source.map((value) => value * scale)),
    );
    scaled.forEach((value, index) => {
      expect(value / scale).toBeCloseTo(plain[index] as number, 5);
    });
  });

  test('is its only source, to the bit', async () => {
    const [only] = draws(1, 9) as [number[]];
    expect(await combine(aggregator, [only])).toEqual(only);
  });

  test('is found by name', () => {
    const kebab = name.replace(' ', '-');
    const made = new PluginRegistry().use(rules, 'rules').create('aggregator', kebab, {});
    expect(made.constructor).toBe(aggregator.constructor);
  });
});

test('two of five sources at 1e30 do not move the median out of the others; one of five does not move the trimmed mean', async () => {
  const honest = draws(4, 3);
  const far = new Array<number>(SIZE).fill(1e30);
  const within = (result: readonly number[], sources: readonly (readonly number[])[]): void => {
    result.forEach((value, index) => {
      const column = sources.map((source) => source[index] as number);
      expect(value).toBeGreaterThanOrEqual(Math.min(...column));
      expect(value).toBeLessThanOrEqual(Math.max(...column));
    });
  };
  within(await combine(median(), [...honest.slice(0, 3), far, far]), honest.slice(0, 3));
  within(await combine(trimmedMean({ trim: 0.2 }), [...honest, far]), honest);
  expect((await combine(mean(), [...honest, far]))[0]).toBeGreaterThan(1e29);
});

test('a trim of half or more is refused', () => {
  expect(() => trimmedMean({ trim: 0.5 })).toThrow(/trim/);
});
