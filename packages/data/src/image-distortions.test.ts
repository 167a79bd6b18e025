import { describe, expect, test } from '@jest/globals';
import { RandomStream } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import {
  augment,
  colourJitter,
  DataError,
  gaussianBlur,
  imageSteps,
  imageStepsOf,
  pixelNoise,
  prototypeImages,
  randomGreyscale,
  randomResizedCrop,
  randomRoll,
  randomScale,
  solarise,
  type ImageStep,
} from './index.js';

/** Steps on one image given as channels of rows. */
function distorted(
  image: readonly (readonly (readonly number[])[])[],
  steps: readonly ImageStep[],
  seed = 0,
): number[] {
  const dims = [1, image.length, image[0]?.length ?? 0, image[0]?.[0]?.length ?? 0];
  const data = Float32Array.from(image.flat(2));
  augment(steps)({ image: { dataType: 'float32', dims, data } as TensorData }, RandomStream.fromSeed(seed));
  return Array.from(data);
}
const close = (found: readonly number[], expected: readonly number[], digits = 6): void => {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, at) => {
    expect(value).toBeCloseTo(expected[at] as number, digits);
  });
};
const colour = (r: number, g: number, b: number): number[][][] => [[[r]], [[g]], [[b]]];
const always = { probability: 1 };

describe('distortions of images', () => {
  test('a roll takes what leaves on one side in on the other, with every shift as often', () => {
    const image = [
      [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
      ],
    ];
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 900; seed++) {
      const key = distorted(image, [randomRoll({ pixels: 1 })], seed).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const shifts = [-1, 0, 1].flatMap((down) =>
      [-1, 0, 1].map((right) =>
        Array.from(
          { length: 9 },
          (_, at) => ((Math.floor(at / 3) - down + 3) % 3) * 3 + (((at % 3) - right + 3) % 3),
        ).join(),
      ),
    );
    expect([...counts.keys()].sort()).toEqual(shifts.sort());
    // 100 of each are expected, with a deviation of 9.4.
    for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(45);
  });

  test('scaling has one factor for all pixels, noise one draw for each', () => {
    const scaled = distorted([[[1, 2, -4]]], [randomScale({ from: 0.7, to: 1.3 })], 4);
    const factor = scaled[0] as number;
    expect(factor).toBeGreaterThanOrEqual(0.7);
    expect(factor).toBeLessThan(1.3);
    close(scaled, [factor, 2 * factor, -4 * factor]);
    const noisy = distorted(
      [new Array<number[]>(40).fill(new Array<number>(40).fill(5))],
      [pixelNoise({ deviation: 0.5 })],
    );
    const mean = noisy.reduce((sum, value) => sum + value, 0) / 1600;
    const variance = noisy.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 1600;
    // Deviations of these estimates: 0.0125 and 0.0088.
    expect(Math.abs(mean - 5)).toBeLessThan(0.06);
    expect(Math.abs(variance - 0.25)).toBeLessThan(0.04);
  });

  test('solarising turns round what is bright, grey is the luma, and chances of 0 leave all as it is', () => {
    close(distorted([[[0.2, 0.5, 0.9]]], [solarise(always)]), [0.2, 0.5, 0.1]);
    close(
      distorted(colour(1, 0.5, 0.25), [randomGreyscale(always)]),
      new Array<number>(3).fill(0.299 + 0.2935 + 0.0285),
    );
    const image = [[[0.1, 0.9]], [[0.2, 0.8]], [[0.3, 0.7]]];
    const never = { probability: 0 };
    const steps = [solarise(never), randomGreyscale(never), colourJitter(never), gaussianBlur(never)];
    close(distorted(image, steps), image.flat(2));
  });

  test('a blur has the weights of a Gaussian and keeps what is even', () => {
    const row = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    const blur = gaussianBlur({ ...always, deviation: [1.5, 1.5] });
    const weights = Array.from({ length: 13 }, (_, at) => Math.exp(-((at - 6) ** 2) / 4.5));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // A single row: across it, every row is the same.
    close(
      distorted([[row]], [blur]),
      weights.map((weight) => weight / total),
      4,
    );
    close(distorted([[row, row, row]], [blur]).slice(0, 13), distorted([[row]], [blur]));
    close(
      distorted(
        [
          [
            [3, 3],
            [3, 3],
          ],
        ],
        [blur],
      ),
      [3, 3, 3, 3],
    );
  });

  test('a crop of a ramp is a ramp within it; of all of it, nothing changes', () => {
    const ramp = [Array.from({ length: 8 }, (_, row) => Array.from({ length: 8 }, (_, column) => 10 * row + column))];
    close(distorted(ramp, [randomResizedCrop({ scale: [1, 1], ratio: [1, 1] })]), ramp.flat(2), 4);
    for (let seed = 0; seed < 20; seed++) {
      const found = distorted(ramp, [randomResizedCrop({ scale: [0.25, 0.25], ratio: [1, 1] })], seed);
      // A square of 4: steps of half a pixel inside of its edges, where the outer ones are held.
      for (const row of [1, 2, 5]) {
        expect((found[8 * row + 4] as number) - (found[8 * row + 3] as number)).toBeCloseTo(0.5, 4);
        expect((found[8 * (row + 1) + 3] as number) - (found[8 * row + 3] as number)).toBeCloseTo(5, 4);
      }
      const [least, most] = [found[0] as number, found[63] as number];
      expect(most - least).toBeCloseTo(33, 4);
      expect(Number.isInteger(least)).toBe(true);
    }
  });

  test('jitter of one kind at a time, against its formula', () => {
    const none = { ...always, brightness: 0, contrast: 0, saturation: 0, hue: 0 };
    const image = [[[0.2, 0.6]], [[0.1, 0.5]], [[0.4, 0.3]]];
    close(distorted(image, [colourJitter(none)]), image.flat(2));
    const light = distorted(image, [colourJitter({ ...none, brightness: 0.4 })], 3);
    const factor = (light[0] as number) / 0.2;
    expect(Math.abs(factor - 1)).toBeLessThanOrEqual(0.4);
    close(
      light,
      image.flat(2).map((value) => factor * value),
    );
    const luma = (at: number) =>
      0.299 * (image[0]?.[0]?.[at] as number) +
      0.587 * (image[1]?.[0]?.[at] as number) +
      0.114 * (image[2]?.[0]?.[at] as number);
    const grey = (luma(0) + luma(1)) / 2;
    const hard = distorted(image, [colourJitter({ ...none, contrast: 0.4 })], 3);
    const share = ((hard[0] as number) - grey) / (0.2 - grey);
    close(
      hard,
      image.flat(2).map((value) => grey + share * (value - grey)),
      5,
    );
    const colourful = distorted(image, [colourJitter({ ...none, saturation: 0.2 })], 3);
    const kept = ((colourful[0] as number) - luma(0)) / (0.2 - luma(0));
    close(
      colourful,
      image.flat(2).map((value, at) => luma(at % 2) + kept * (value - luma(at % 2))),
      5,
    );
  });

  test('a turn of the colour circle keeps the largest and the smallest channel, and greys', () => {
    // The turn is uniform in ±½: brightness and difference of a colour stay, whatever it is.
    for (let seed = 0; seed < 30; seed++) {
      const step = colourJitter({ ...always, brightness: 0, contrast: 0, saturation: 0, hue: 0.5 });
      const found = distorted(colour(0.9, 0.3, 0.5), [step], seed);
      expect(Math.max(...found)).toBeCloseTo(0.9, 5);
      expect(Math.min(...found)).toBeCloseTo(0.3, 5);
      close(distorted(colour(0.4, 0.4, 0.4), [step], seed), [0.4, 0.4, 0.4]);
      // The hue moves by the same angle for another colour of the same kind.
      const red = distorted(colour(1, 0, 0), [step], seed);
      const green = distorted(colour(0, 1, 0), [step], seed);
      close([green[1] as number, green[2] as number, green[0] as number], red, 5);
    }
  });

  test('steps are written by name in configurations, and wrong ones are refused', () => {
    const parse = (value: unknown) => imageStepsOf(imageSteps().parse(value));
    close(distorted([[[0.2, 0.9]]], parse([{ type: 'solarise', probability: 1, threshold: 0.1 }])), [0.8, 0.1]);
    for (const type of ['flip', 'resized-crop', 'greyscale', 'colour-jitter', 'blur'])
      expect(parse([{ type }])).toHaveLength(1);
    for (const step of [
      { type: 'shift', pixels: 1 },
      { type: 'roll', pixels: 1 },
      { type: 'rotation', degrees: 5 },
      { type: 'cutout', size: 1 },
      { type: 'scale', from: 1, to: 2 },
      { type: 'noise', deviation: 1 },
    ])
      expect(parse([step])).toHaveLength(1);
    expect(() => parse([{ type: 'no-such-step' }])).toThrow();
    expect(() => parse([{ type: 'noise', deviation: 1, colour: 2 }])).toThrow();
    expect(() => parse([{ type: 'noise', deviation: -1 }])).toThrow(DataError);
    expect(() => distorted([[[1]]], [randomGreyscale(always)])).toThrow(/3 channels/);
    expect(() => randomResizedCrop({ scale: [0.5, 2] })).toThrow(DataError);
    expect(() => colourJitter({ hue: 0.7 })).toThrow(DataError);
    expect(() => randomScale({ from: 2, to: 1 })).toThrow(DataError);
    expect(() => solarise({ probability: 2 })).toThrow(DataError);
    expect(() => randomRoll({ pixels: 0.5 })).toThrow(DataError);
  });
});

test('prototype images: patterns of unit variance, rolled, with noise of unit variance', () => {
  const { clean } = prototypeImages({ parts: { clean: 300 }, noise: 0, seed: 3 });
  const read = (data: typeof clean, index: number): { pixels: number[]; label: number } => {
    const image = { dataType: 'float32', dims: [1, 1, 8, 8], data: new Float32Array(64) } as const;
    const label = { dataType: 'int64', dims: [1], data: new BigInt64Array(1) } as const;
    data.read('image', index, image, 0);
    data.read('label', index, label, 0);
    return { pixels: Array.from(image.data), label: Number(label.data[0]) };
  };
  const kinds = new Map<number, Set<string>>();
  for (let index = 0; index < 300; index++) {
    const { pixels, label } = read(clean, index);
    const mean = pixels.reduce((sum, value) => sum + value, 0) / 64;
    expect(pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 64).toBeCloseTo(1, 4);
    kinds.set(label, (kinds.get(label) ?? new Set()).add(pixels.map((value) => value.toFixed(5)).join()));
  }
  // Nine rolls of each of ten patterns.
  expect([...kinds.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (const found of kinds.values()) expect(found.size).toBeLessThanOrEqual(9);
  const { train } = prototypeImages({ parts: { train: 500 }, noise: 2, seed: 3 });
  const pixels = Array.from({ length: 500 }, (_, index) => read(train, index).pixels).flat();
  // Patterns have a mean square of about 1, the noise one of 4.
  const square = pixels.reduce((sum, value) => sum + value * value, 0) / pixels.length;
  expect(Math.abs(square - 5)).toBeLessThan(0.5);
  expect(() => prototypeImages({ parts: { train: 0 } })).toThrow(DataError);
});
