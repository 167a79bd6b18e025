import { expect, test } from '@jest/globals';
import { histogramOf } from './histogram.js';

test('equal bins from the least to the greatest value, which belongs to the last', () => {
  expect(histogramOf([0, 1, 2, 3, 4, Number.NaN], 4)).toEqual({ edges: [0, 1, 2, 3, 4], counts: [1, 1, 1, 2] });
});

test('one place gives one bin around it; no values an empty one', () => {
  expect(histogramOf([2, 2])).toEqual({ edges: [1.5, 2.5], counts: [2] });
  expect(histogramOf([])).toEqual({ edges: [-0.5, 0.5], counts: [0] });
});
