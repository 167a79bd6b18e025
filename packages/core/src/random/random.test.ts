import { describe, expect, test } from '@jest/globals';
import { normalQuantile, philox, RandomStream } from './index.js';

describe('Philox4x32-10', () => {
  // Known-answer vectors of Random123 (kat_vectors).
  test.each([
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
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
    const [c0, c1, c2, c3] = counter as [number, number, number, number];
    philox(c0, c1, c2, c3, key[0] as number, key[1] as number, out);
    expect([...out]).toEqual(expected);
  });
});

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

  test('state restores at block borders', () => {
    const stream = RandomStream.fromSeed(3);
    for (let index = 0; index < 4; index++) stream.word();
    const copy = RandomStream.fromState(stream.state());
    expect([copy.word(), copy.word()]).toEqual([stream.word(), stream.word()]);
  });

  test('permutations are permutations and integers are even', () => {
    const stream = RandomStream.fromSeed(5);
    expect([...stream.permutation(100)].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index));
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
