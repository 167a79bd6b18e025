import { expect, test } from '@jest/globals';
import { sin, type Tensor } from '@updraft/graph';
import { standardRules } from './index.js';
import { FAMILIES } from './testing/cases/index.js';
import { CASES, checkRandomCases, real, type OperatorCases } from './testing/random-cases.js';
import { mapValues, type Values } from './testing/values.js';

test('every operator with a derivative has random cases, and only once', () => {
  const covered = Object.values(FAMILIES)
    .flat()
    .map(({ operator }) => operator);
  const derived = standardRules()
    .filter(({ order }) => order !== 'zero')
    .map(({ operator }) => operator);
  expect([...covered].sort()).toEqual([...derived].sort());
  expect(CASES).toBeGreaterThanOrEqual(200);
});

/** The sine, with a reference that may be another function. */
const sine = (f: (x: number) => number): OperatorCases => ({
  operator: 'Sin',
  dataType: 'float64',
  draw: (random) => ({
    settings: {},
    inputs: [real(random.values([3]))],
    build: (x) => [sin(x as Tensor)],
    reference: (x) => [mapValues(x as Values, f)],
  }),
});

test('a difference of a ten-thousandth is found, in value, slope and curvature', async () => {
  expect((await checkRandomCases(sine(Math.sin), 8)).failures).toEqual([]);
  const { failures } = await checkRandomCases(
    sine((x) => Math.sin(x) + 1e-4 * x * x),
    8,
  );
  for (const what of ['forward', 'first', 'second'])
    expect(failures.some((failure) => failure.startsWith(what))).toBe(true);
});
