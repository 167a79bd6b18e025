import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  dimAdd,
  dimCeilDivide,
  dimEquals,
  dimFloorDivide,
  dimMax,
  dimMin,
  dimMultiply,
  dimSubstitute,
  dimSubtract,
  dimSymbols,
  dimText,
  symbol,
  type Dim,
} from './dimension.js';

/** An expression twice: in the algebra, and as plain arithmetic on numbers. */
interface Twin {
  readonly dim: Dim;
  readonly value: (sizes: Readonly<Record<string, number>>) => number;
}

const SYMBOLS = ['batch', 'height', 'width'];
const both =
  (dim: (a: Dim, b: Dim) => Dim, value: (a: number, b: number) => number) =>
  ([a, b]: readonly [Twin, Twin]): Twin => ({
    dim: dim(a.dim, b.dim),
    value: (sizes) => value(a.value(sizes), b.value(sizes)),
  });

const { twin } = fc.letrec<{ twin: Twin }>((tie) => {
  const pair = fc.tuple(tie('twin'), tie('twin'));
  const byNumber = fc.tuple(tie('twin'), fc.integer({ min: 1, max: 6 }));
  return {
    twin: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(...SYMBOLS).map((name): Twin => ({ dim: symbol(name), value: (sizes) => sizes[name] as number })),
      fc.integer({ min: -9, max: 9 }).map((number): Twin => ({ dim: number, value: () => number })),
      pair.map(both(dimAdd, (a, b) => a + b)),
      pair.map(both(dimSubtract, (a, b) => a - b)),
      pair.map(both(dimMultiply, (a, b) => a * b)),
      pair.map(both(dimMax, (a, b) => Math.max(a, b))),
      pair.map(both(dimMin, (a, b) => Math.min(a, b))),
      byNumber.map(([a, by]): Twin => ({
        dim: dimFloorDivide(a.dim, by),
        value: (sizes) => Math.floor(a.value(sizes) / by),
      })),
      byNumber.map(([a, by]): Twin => ({
        dim: dimCeilDivide(a.dim, by),
        value: (sizes) => Math.ceil(a.value(sizes) / by),
      })),
    ),
  };
});
const sizesOf = fc.record(Object.fromEntries(SYMBOLS.map((name) => [name, fc.integer({ min: 1, max: 9 })])));
const bind = (sizes: Readonly<Record<string, number>>): ReadonlyMap<string, Dim> => new Map(Object.entries(sizes));

describe('dimensions', () => {
  test('polynomials have one normal form', () => {
    const batch = symbol('batch');
    expect(dimText(dimFloorDivide(dimMultiply(dimMultiply(batch, 2), 392), 784))).toBe('batch');
    expect(dimText(dimAdd(dimMultiply(batch, 3), dimMultiply(-2, batch)))).toBe('batch');
  });

  test('an expression evaluates as plain arithmetic does', () => {
    fc.assert(
      fc.property(twin, sizesOf, ({ dim, value }, sizes) => {
        const direct = value(sizes);
        fc.pre(Number.isSafeInteger(direct) && Math.abs(direct) < 1e12);
        expect(dimSubstitute(dim, bind(sizes))).toBe(direct + 0);
      }),
      { numRuns: 1000 },
    );
  });

  test('sums and products do not depend on order and grouping', () => {
    fc.assert(
      fc.property(twin, twin, twin, ({ dim: a }, { dim: b }, { dim: c }) => {
        expect(dimText(dimAdd(a, dimAdd(b, c)))).toBe(dimText(dimAdd(dimAdd(c, a), b)));
        expect(dimText(dimMultiply(a, dimAdd(b, c)))).toBe(dimText(dimAdd(dimMultiply(c, a), dimMultiply(b, a))));
        expect(dimEquals(dimSubtract(a, a), 0)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('floor((k·q + r) / k) is q + floor(r / k), symbolically', () => {
    fc.assert(
      fc.property(twin, fc.integer({ min: 1, max: 9 }), fc.integer({ min: -30, max: 30 }), ({ dim }, by, rest) => {
        expect(dimText(dimFloorDivide(dimAdd(dimMultiply(dim, by), rest), by))).toBe(
          dimText(dimAdd(dim, Math.floor(rest / by))),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('binding a symbol removes it and keeps the others', () => {
    fc.assert(
      fc.property(twin, fc.integer({ min: 1, max: 9 }), ({ dim }, size) => {
        const left = dimSymbols(dimSubstitute(dim, new Map([['batch', size]])));
        expect(left.has('batch')).toBe(false);
        expect([...left].every((name) => dimSymbols(dim).has(name))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('division by zero is refused', () => {
    expect(() => dimFloorDivide(symbol('batch'), 0)).toThrow(/divided by zero/);
  });
});
