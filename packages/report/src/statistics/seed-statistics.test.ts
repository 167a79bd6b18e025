import { expect, test } from '@jest/globals';
import { mean, pairedPermutationTest, standardDeviation } from './seed-statistics.js';

test('mean and sample standard deviation', () => {
  // Squared distances from 5: 9 1 1 1 0 0 4 16, together 32, over n - 1 = 7.
  expect(mean([2, 4, 4, 4, 5, 5, 7, 9])).toBe(5);
  expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12);
  expect(standardDeviation([1])).toBeNaN();
});

test('paired permutation test, counted by hand', () => {
  // Of the eight sign choices of 1, 2, 3 only all plus and all minus reach a sum of 6.
  expect(pairedPermutationTest([1, 2, 3])).toBe(2 / 8);
  // The sum 4 of -1, 2, 3 is reached by 6, 4 and their negatives.
  expect(pairedPermutationTest([-1, 2, 3])).toBe(4 / 8);
  expect(pairedPermutationTest([1, -1])).toBe(1);
  // Equal sums in exact arithmetic count even where rounding makes them differ.
  expect(pairedPermutationTest([0.1, 0.2, 0.3, -0.3])).toBe(0.75);
  expect(pairedPermutationTest([])).toBeUndefined();
  expect(pairedPermutationTest([Number.NaN])).toBeUndefined();
});
