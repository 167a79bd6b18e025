import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { gather } from './dataset.js';
import { DataError } from './errors.js';
import { languageWindows, splitTokens } from './language-windows.js';
import { byteTokenizer } from './tokenizer.js';

const ints = (dataset: Parameters<typeof gather>[0], index: number): Record<string, number[]> =>
  Object.fromEntries(
    Object.entries(gather(dataset, [index])).map(([name, { data }]) => [
      name,
      Array.from(data as BigInt64Array, Number),
    ]),
  );

describe('languageWindows', () => {
  test('labels are the tokens one further on', () => {
    const windows = languageWindows([10, 11, 12, 13, 14, 15, 16, 17], 3);
    expect(windows.length).toBe(2);
    expect(ints(windows, 0)).toEqual({ tokens: [10, 11, 12], label: [11, 12, 13] });
    expect(ints(windows, 1)).toEqual({ tokens: [13, 14, 15], label: [14, 15, 16] });
  });
  test('ids of 32 bits arrive whole', () => {
    expect(ints(languageWindows([0xffffffff, 0x80000000], 1), 0)).toEqual({
      tokens: [0xffffffff],
      label: [0x80000000],
    });
  });
  test('all windows lie in the text, and another would not', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 60 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 12 }),
        (length, context, stride) => {
          const tokens = Array.from({ length }, (_, index) => 7 * index);
          if (length < context + 1) {
            expect(() => languageWindows(tokens, context, stride)).toThrow(DataError);
            return;
          }
          const windows = languageWindows(tokens, context, stride);
          for (let window = 0; window < windows.length; window++) {
            const { tokens: input, label } = ints(windows, window) as { tokens: number[]; label: number[] };
            expect(input).toEqual(tokens.slice(window * stride, window * stride + context));
            expect(label).toEqual(tokens.slice(window * stride + 1, window * stride + context + 1));
          }
          expect(windows.length * stride + context + 1).toBeGreaterThan(length);
        },
      ),
    );
  });
  test('refuses what is no token or no size', () => {
    for (const token of [-1, 1.5, 2 ** 32, Number.NaN])
      expect(() => languageWindows([1, token, 2], 1)).toThrow(DataError);
    expect(() => languageWindows([1, 2, 3], 0)).toThrow(DataError);
    expect(() => languageWindows([1, 2, 3], 1, 0)).toThrow(DataError);
    expect(() => languageWindows([1, 2, 3], 1.5)).toThrow(DataError);
  });
});

test('splitTokens cuts once', () => {
  const tokens = Uint32Array.from({ length: 10 }, (_, index) => index);
  const { train, validation } = splitTokens(tokens, 0.7);
  expect([...train, ...validation]).toEqual([...tokens]);
  expect(train.length).toBe(7);
  for (const fraction of [0, 1, Number.NaN]) expect(() => splitTokens(tokens, fraction)).toThrow(DataError);
});

describe('byteTokenizer', () => {
  test('gives every text back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(byteTokenizer.decode(byteTokenizer.encode(text))).toBe(text);
      }),
    );
    expect(Array.from(byteTokenizer.encode('é'))).toEqual([0xc3, 0xa9]);
    expect(byteTokenizer.decode(byteTokenizer.encode('\ufeffa'))).toBe('\ufeffa');
  });
});
