import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { largestTriangleThreeBuckets } from './down-sample.js';

test('keeps a spike that stride sampling would miss', () => {
  const x = Array.from({ length: 1000 }, (_value, index) => index);
  const y = x.map((index) => (index === 437 ? 100 : Math.sin(index / 50)));
  expect(largestTriangleThreeBuckets(x, y, 20)).toContain(437);
});

test('hand-calculated triangles', () => {
  // Two inner buckets, {1, 2} and {3, 4}; points at x = index.
  // First bucket: from (0, 0), mean of the next (3.5, 1.5): area of (1, 5) is |−3.5·5 + 1·1.5| = 16, of (2, 1) is |−3.5 + 3| = 0.5.
  // Second bucket: from (1, 5), next (5, 0): (3, 3) gives |(1−5)(3−5) − (1−3)(0−5)| = |8 − 10| = 2, (4, 0) gives |20 − 15| = 5.
  expect(largestTriangleThreeBuckets([0, 1, 2, 3, 4, 5], [0, 5, 1, 3, 0, 0], 4)).toEqual([0, 1, 4, 5]);
});

test('a subset in order, with both ends, of at most the size that was asked for', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 300 }),
      fc.integer({ min: 2, max: 60 }),
      (y, target) => {
        const x = y.map((_value, index) => index * 3);
        const kept = largestTriangleThreeBuckets(x, y, target);
        expect(kept.length).toBe(Math.min(target, y.length));
        expect(kept[0]).toBe(0);
        expect(kept.at(-1)).toBe(y.length - 1);
        expect(kept).toEqual([...new Set(kept)].sort((left, right) => left - right));
      },
    ),
  );
});

test('never chooses a value that cannot be drawn', () => {
  const y = [1, Number.NaN, 2, Number.POSITIVE_INFINITY, 3, Number.NEGATIVE_INFINITY];
  expect(largestTriangleThreeBuckets([0, 1, 2, 3, 4, 5], y, 10)).toEqual([0, 2, 4]);
});
