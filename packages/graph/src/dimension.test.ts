import { describe, expect, test } from '@jest/globals';
import { dimAdd, dimFloorDivide, dimMultiply, dimText, symbol } from './dimension.js';

describe('dimensions', () => {
  test('polynomials have one normal form', () => {
    const batch = symbol('batch');
    expect(dimText(dimFloorDivide(dimMultiply(dimMultiply(batch, 2), 392), 784))).toBe('batch');
    expect(dimText(dimAdd(dimMultiply(batch, 3), dimMultiply(-2, batch)))).toBe('batch');
  });
});
