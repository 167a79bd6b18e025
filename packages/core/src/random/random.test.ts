import { readFileSync } from 'node:fs';
import { describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { CoreError } from '../errors.js';
import { naturalLogarithm, normalQuantile, philoxBlocks, RandomStream } from './index.js';

describe('Philox4x32-10', () => {
  // Known-answer vectors of Random123 (kat_vectors).
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('counter %j, key %j', (counter, key, expected) => {
    const out = new Uint32Array(4);
    philoxBlocks(counter as [number, number, number, number], key as [number, number], out);
    expect([...out]).toEqual(expected);
  });

  test('many blocks are the blocks one by one, also where the counter carries', () => {
    const many = new Uint32Array(5 * 4 + 1);
    philoxBlocks([0xfffffffe, 7, 3, 4], [1, 2], many, 1, 5);
    for (let block = 0; block < 5; block++) {
      const one = new Uint32Array(4);
      const carried = block >= 2;
      philoxBlocks([carried ? block - 2 : 0xfffffffe + block, carried ? 8 : 7, 3, 4], [1, 2], one);
      expect([...many.subarray(1 + 4 * block, 5 + 4 * block)]).toEqual([...one]);
    }
  });
});

// Statistics need many draws, and machines that run checks are busy.
jest.setTimeout(60_000);

/** Made by tools/golden/philox.py. */
const golden = JSON.parse(readFileSync(new URL('../../golden/philox.json', import.meta.url), 'utf8')) as {
  readonly seed: number;
  readonly names: readonly string[];
  readonly words: readonly number[];
  readonly normals: readonly number[];
}[];

/** Cumulative normal distribution (Abramowitz and Stegun 26.2.17, absolute error below 7.5e-8). */
function normalCdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail =
    (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x >= 0 ? 1 - tail : tail;
}

describe('RandomStream', () => {
  test('normal quantiles', () => {
    // Tables of the normal distribution.
    expect(normalQuantile(0.975)).toBeCloseTo(1.959963985, 6);
    expect(normalQuantile(0.5)).toBe(0);
    expect(normalQuantile(1e-6)).toBeCloseTo(-4.753424309, 5);
    expect(normalQuantile(1e-12)).toBeCloseTo(-7.034483825, 5);
  });

  test('moments of normals and uniforms', () => {
    const values = new Float32Array(200_000);
    RandomStream.fromSeed(1).fillNormal(values);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    const fourth = values.reduce((sum, value) => sum + value ** 4, 0) / values.length;
    // Five standard errors: sqrt(1/n), sqrt(2/n), sqrt(96/n).
    expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(1 / values.length));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
    expect(Math.abs(fourth - 3)).toBeLessThan(5 * Math.sqrt(96 / values.length));
  });

  test('same seed, same draws; other names, other draws; splitting does not advance', () => {
    const a = RandomStream.fromSeed(7);
    const first = a.split('x').word();
    expect(a.split('x').word()).toBe(first);
    expect(a.split('y').word()).not.toBe(first);
    expect(RandomStream.fromSeed(8).split('x').word()).not.toBe(first);
  });

  test('restoring a state continues with the next word, wherever the stream stood', () => {
    fc.assert(
      fc.property(fc.nat(30), fc.nat(30), fc.integer(), (before, length, seed) => {
        const stream = RandomStream.fromSeed(seed);
        for (let index = 0; index < before; index++) stream.word();
        const copy = RandomStream.fromState(
          JSON.parse(JSON.stringify(stream.state())) as ReturnType<RandomStream['state']>,
        );
        const expected = Array.from({ length }, () => stream.word());
        expect(Array.from({ length }, () => copy.word())).toEqual(expected);
        expect(copy.split('x').word()).toBe(stream.split('x').word());
      }),
    );
  });

  test('filling a buffer takes the same words as drawing one by one, in any division', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(9), fc.integer({ min: 2040, max: 2060 })), { maxLength: 5 }), (lengths) => {
        const one = RandomStream.fromSeed(4);
        const bulk = RandomStream.fromSeed(4);
        for (const length of lengths) {
          const [normals, expected] = [new Float32Array(length), new Float32Array(length)];
          bulk.fillNormal(normals);
          for (let index = 0; index < length; index++) expected[index] = one.normal();
          expect(Buffer.from(normals.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
        }
        expect(bulk.word()).toBe(one.word());
      }),
      { numRuns: 30 },
    );
  });

  test('words and normals equal those of an independent implementation', () => {
    for (const { seed, names, words, normals } of golden) {
      const stream = names.reduce((parent, name) => parent.split(name), RandomStream.fromSeed(seed));
      const copy = RandomStream.fromState(stream.state());
      expect(words.map(() => stream.word())).toEqual(words);
      for (const normal of normals)
        expect(Math.abs(copy.normal() - normal)).toBeLessThan(3e-7 * Math.max(0.1, Math.abs(normal)));
    }
  });

  test('names that share a beginning, or differ in length or order only, give different streams', () => {
    const names = [
      '',
      '\0',
      '\0\0',
      'a',
      'a\0',
      'ab',
      'ba',
      'abcd',
      'abcde',
      'abcd\0',
      'é',
      'step',
      '1',
      '11',
      '111',
      '1111',
      '11111',
    ];
    const words = names.map((name) => RandomStream.fromSeed(0).split(name).word());
    expect(new Set(words).size).toBe(names.length);
    const steps = Array.from({ length: 20_000 }, (_, step) => RandomStream.fromSeed(0).split(String(step)));
    // Collisions of 20,000 32-bit words: 0.05 expected, so 4 is out of the question; key collisions would make more.
    expect(steps.length - new Set(steps.map((stream) => stream.word())).size).toBeLessThan(4);
  });

  test('streams of neighbouring names and seeds are uncorrelated', () => {
    const draws = (stream: RandomStream): Float32Array => {
      const values = new Float32Array(20_000);
      stream.fillNormal(values);
      return values;
    };
    const sets = [
      draws(RandomStream.fromSeed(1).split('1')),
      draws(RandomStream.fromSeed(1).split('2')),
      draws(RandomStream.fromSeed(2).split('1')),
      draws(RandomStream.fromSeed(1)),
    ];
    for (let a = 0; a < sets.length; a++)
      for (let b = 0; b < a; b++) {
        const correlation =
          (sets[a] as Float32Array).reduce(
            (sum, value, index) => sum + value * ((sets[b] as Float32Array)[index] as number),
            0,
          ) / 20_000;
        expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(20_000));
      }
  });

  test('the logarithm agrees with the one of the engine to two units in the last place', () => {
    fc.assert(
      fc.property(fc.double({ min: Number.MIN_VALUE, max: Number.MAX_VALUE, noNaN: true }), (x) => {
        const expected = Math.log(x);
        expect(Math.abs(naturalLogarithm(x) - expected)).toBeLessThanOrEqual(
          4.5e-16 * Math.max(1e-3, Math.abs(expected)) + 4.5e-16 * Math.abs(expected),
        );
      }),
      { numRuns: 2000 },
    );
    expect([naturalLogarithm(0), naturalLogarithm(-1), naturalLogarithm(Infinity), naturalLogarithm(1)]).toEqual([
      -Infinity,
      NaN,
      Infinity,
      0,
    ]);
  });

  test('normals follow the normal distribution (Kolmogorov and Smirnov)', () => {
    const values = new Float32Array(100_000);
    RandomStream.fromSeed(6).fillNormal(values);
    values.sort();
    let distance = 0;
    values.forEach((value, index) => {
      distance = Math.max(distance, Math.abs(normalCdf(value) - (index + 0.5) / values.length));
    });
    // 99.99 % of samples lie below 2.23 / sqrt(n).
    expect(distance).toBeLessThan(2.23 / Math.sqrt(values.length));
  });

  test('Gumbels and signs have their means', () => {
    const values = new Float32Array(100_000);
    RandomStream.fromSeed(9).fillGumbel(values);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    // Euler's constant; the variance is π²/6.
    expect(Math.abs(mean - 0.5772156649)).toBeLessThan(5 * Math.sqrt(Math.PI ** 2 / 6 / values.length));
    RandomStream.fromSeed(9).fillRademacher(values);
    expect(new Set(values)).toEqual(new Set([-1, 1]));
    expect(Math.abs(values.reduce((sum, value) => sum + value, 0))).toBeLessThan(5 * Math.sqrt(values.length));
  });

  test('what cannot be drawn is refused', () => {
    const stream = RandomStream.fromSeed(0);
    for (const draw of [
      () => RandomStream.fromSeed(0.5),
      () => RandomStream.fromSeed(NaN),
      () => stream.integer(0),
      () => stream.integer(2 ** 32 + 1),
      () => stream.categorical([]),
      () => stream.categorical([0, 0]),
      () => stream.categorical([1, -1]),
      () => stream.categorical([NaN]),
      () => stream.withoutReplacement([0, -Infinity], 2),
      () => stream.withoutReplacement([NaN], 1),
      () => RandomStream.fromState({ key: [1, -1], counter: 0 }),
      () => RandomStream.fromState({ key: [1, 1], counter: 0, used: 2 }),
      () => RandomStream.fromState(null as never),
    ])
      expect(draw).toThrow(CoreError);
  });

  test('categorical draws in proportion, and never what has no weight', () => {
    const stream = RandomStream.fromSeed(2);
    const counts = [0, 0, 0, 0];
    for (let draw = 0; draw < 30_000; draw++) counts[stream.categorical([0, 1, 2, 0])]!++;
    expect([counts[0], counts[3]]).toEqual([0, 0]);
    expect(Math.abs((counts[2] as number) / 30_000 - 2 / 3)).toBeLessThan(5 * Math.sqrt(2 / 9 / 30_000));
  });

  test('permutations are permutations and integers are even', () => {
    const stream = RandomStream.fromSeed(5);
    expect([...stream.permutation(100)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    );
    const counts = new Array<number>(6).fill(0);
    for (let draw = 0; draw < 60_000; draw++) counts[stream.integer(6)]!++;
    // Chi-square with 5 degrees of freedom: 99.99 % lies below 25.7.
    expect(counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(25.7);
  });

  test('Gumbel top-k draws in proportion to the weights', () => {
    const stream = RandomStream.fromSeed(11);
    let first = 0;
    for (let draw = 0; draw < 20_000; draw++) if (stream.withoutReplacement([Math.log(3), 0], 1)[0] === 0) first++;
    expect(Math.abs(first / 20_000 - 0.75)).toBeLessThan(5 * Math.sqrt((0.75 * 0.25) / 20_000));
  });
});
