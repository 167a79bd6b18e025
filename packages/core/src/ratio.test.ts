import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CoreError } from './errors.js';
import { countFromRatio } from './ratio.js';

test('decimal ratios give the counts that people mean', () => {
  // Bare truncation gives 28, 56 and 9.
  expect([
    countFromRatio(0.29, 100),
    countFromRatio(0.57, 100),
    countFromRatio(0.1 * 3, 33) + countFromRatio(1 / 3, 3),
  ]).toEqual([29, 57, 10]);
  expect([countFromRatio(0, 7), countFromRatio(1, 7), countFromRatio(0.5, 7), countFromRatio(0.3, 0)]).toEqual([
    0, 7, 3, 0,
  ]);
});

test('k of n comes back from k / n', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), fc.nat(100_000), (n, k) => {
      fc.pre(k <= n);
      expect(countFromRatio(k / n, n)).toBe(k);
    }),
  );
});

test.each([
  [NaN, 3],
  [-0.1, 3],
  [1.1, 3],
  [0.5, 1.5],
  [0.5, -1],
])('%d of %d is refused', (ratio, total) => {
  expect(() => countFromRatio(ratio, total)).toThrow(CoreError);
});
