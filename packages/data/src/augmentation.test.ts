import { describe, expect, test } from '@jest/globals';
import { RandomStream } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import fc from 'fast-check';
import { augment, cutout, horizontalFlip, randomRotation, randomShift, type ImageStep } from './augmentation.js';
import { DataError } from './errors.js';

/** Pixels counted from 1, so that a fill of 0 is none of them. */
const batch = (count: number, channels: number, height: number, width: number): TensorData<'float32'> => ({
  dataType: 'float32',
  dims: [count, channels, height, width],
  data: Float32Array.from({ length: count * channels * height * width }, (_, index) => index + 1),
});
const run = (image: TensorData<'float32'>, step: ImageStep, seed = 0): Float32Array => {
  augment([step])({ image }, RandomStream.fromSeed(seed));
  return image.data;
};
const sizes = fc.tuple(
  fc.integer({ min: 1, max: 3 }),
  fc.integer({ min: 1, max: 3 }),
  fc.integer({ min: 1, max: 7 }),
  fc.integer({ min: 1, max: 7 }),
);

describe('augmentation', () => {
  test('a shift moves every image by whole pixels and fills the rest', () => {
    fc.assert(
      fc.property(
        sizes,
        fc.integer({ min: 0, max: 9 }),
        fc.nat(1000),
        ([count, channels, height, width], pixels, seed) => {
          const original = batch(count, channels, height, width).data;
          const shifted = run(batch(count, channels, height, width), randomShift({ pixels, fill: -7 }), seed);
          const random = RandomStream.fromSeed(seed);
          for (let image = 0; image < count; image++) {
            const [down, right] = [random.integer(2 * pixels + 1) - pixels, random.integer(2 * pixels + 1) - pixels];
            for (let channel = 0; channel < channels; channel++)
              for (let row = 0; row < height; row++)
                for (let column = 0; column < width; column++) {
                  const plane = (image * channels + channel) * height;
                  const [y, x] = [row - down, column - right];
                  const inside = y >= 0 && y < height && x >= 0 && x < width;
                  const expected = inside ? original[(plane + y) * width + x] : -7;
                  expect(shifted[(plane + row) * width + column]).toBe(expected);
                }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
  test('a flip mirrors rows', () => {
    expect(Array.from(run(batch(1, 2, 2, 3), horizontalFlip({ probability: 1 })))).toEqual([
      3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10,
    ]);
    const same = batch(1, 2, 2, 3).data;
    expect(run(batch(1, 2, 2, 3), horizontalFlip({ probability: 0 }))).toEqual(same);
    const flipped = Array.from({ length: 200 }, (_, seed) => run(batch(1, 1, 1, 2), horizontalFlip(), seed)[0] === 2);
    expect(flipped.filter(Boolean).length).toBeGreaterThan(70);
    expect(flipped.filter(Boolean).length).toBeLessThan(130);
  });
  test('cutout erases one rectangle, the same in every channel', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 5 }), fc.nat(1000), ([, channels, height, width], size, seed) => {
        const original = batch(1, channels, height, width).data;
        const erased = run(batch(1, channels, height, width), cutout({ size }), seed);
        const gone = Array.from(erased).flatMap((value, at) => (value === 0 ? [at] : []));
        expect(gone.length).toBeGreaterThan(0);
        const plane = height * width;
        const here = gone.filter((at) => at < plane);
        expect(gone.length).toBe(channels * here.length);
        const rows = here.map((at) => Math.floor(at / width));
        const columns = here.map((at) => at % width);
        const [high, wide] = [
          Math.max(...rows) - Math.min(...rows) + 1,
          Math.max(...columns) - Math.min(...columns) + 1,
        ];
        expect(here.length).toBe(high * wide);
        expect(Math.max(high, wide)).toBeLessThanOrEqual(size);
        erased.forEach((value, at) => {
          if (value !== 0) expect(value).toBe(original[at]);
        });
      }),
    );
  });
  test('no rotation leaves images as they are; a rotation keeps the centre and what is round about it', () => {
    const same = batch(2, 1, 5, 5).data;
    expect(run(batch(2, 1, 5, 5), randomRotation({ degrees: 0 }))).toEqual(same);
    const size = 21;
    const round = (): TensorData<'float32'> => ({
      dataType: 'float32',
      dims: [1, 1, size, size],
      data: Float32Array.from({ length: size * size }, (_, at) =>
        Math.exp(-(((Math.floor(at / size) - 10) ** 2 + ((at % size) - 10) ** 2) / 20)),
      ),
    });
    const before = round().data;
    run(round(), randomRotation({ degrees: 180 }), 4).forEach((value, at) => {
      expect(Math.abs(value - (before[at] as number))).toBeLessThan(0.02);
    });
  });
  test('a rotation moves a point by its angle, clockwise on the screen', () => {
    const size = 41;
    const image: TensorData<'float32'> = {
      dataType: 'float32',
      dims: [1, 1, size, size],
      data: new Float32Array(size * size),
    };
    image.data[20 * size + 35] = 1;
    run(image, randomRotation({ degrees: 60 }), 5);
    const angle = (2 * RandomStream.fromSeed(5).uniform() - 1) * (Math.PI / 3);
    let [row, column, mass] = [0, 0, 0];
    image.data.forEach((value, at) => {
      mass += value;
      row += value * Math.floor(at / size);
      column += value * (at % size);
    });
    expect(row / mass).toBeCloseTo(20 + 15 * Math.sin(angle), 0);
    expect(column / mass).toBeCloseTo(20 + 15 * Math.cos(angle), 0);
  });
  test('the stream decides, and steps run in order', () => {
    const steps = [randomShift({ pixels: 2 }), horizontalFlip(), cutout({ size: 2 }), randomRotation({ degrees: 20 })];
    const result = (seed: number): Float32Array => {
      const image = batch(3, 2, 6, 6);
      augment(steps)({ image }, RandomStream.fromSeed(seed));
      return image.data;
    };
    expect(result(1)).toEqual(result(1));
    expect(result(1)).not.toEqual(result(2));
  });
  test('refuses what is no image and no size', () => {
    const random = RandomStream.fromSeed(0);
    expect(() => {
      augment([])({}, random);
    }).toThrow(/no column "image"/);
    expect(() => {
      augment([])({ image: { dataType: 'float32', dims: [2], data: new Float32Array(2) } }, random);
    }).toThrow(DataError);
    expect(() => randomShift({ pixels: -1 })).toThrow(DataError);
    expect(() => cutout({ size: 0 })).toThrow(DataError);
    expect(() => horizontalFlip({ probability: 2 })).toThrow(DataError);
    expect(() => randomRotation({ degrees: Number.NaN })).toThrow(DataError);
  });
});
