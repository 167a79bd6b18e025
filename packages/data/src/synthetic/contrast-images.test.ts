import { expect, test } from '@jest/globals';
import { emptyTensor } from '@updraft/graph';
import type { Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { contrastImages } from './contrast-images.js';

const pixelsOf = (data: Dataset, index: number): number[] => {
  const shape = data.columns['image']?.shape as number[];
  const into = emptyTensor('float32', [1, ...shape]);
  data.read('image', index, into, 0);
  return Array.from(into.data);
};
const labelOf = (data: Dataset, index: number): number => {
  const into = emptyTensor('int64', [1]);
  data.read('label', index, into, 0);
  return Number(into.data[0]);
};
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
const all = (data: Dataset): number[] =>
  Array.from({ length: data.length }, (_, index) => pixelsOf(data, index)).flat();

test('pixels of the first part have mean 0 and deviation 1, and parts are of one draw', () => {
  const { train, test: other } = contrastImages({ parts: { train: 500, test: 100 }, seed: 3 });
  const pixels = all(train);
  expect(pixels).toHaveLength(500 * 64);
  expect(mean(pixels)).toBeCloseTo(0, 5);
  expect(mean(pixels.map((value) => value ** 2))).toBeCloseTo(1, 5);
  const again = contrastImages({ parts: { train: 500, test: 100 }, seed: 3 });
  expect(all(again.test)).toEqual(all(other));
  expect(all(contrastImages({ parts: { train: 500, test: 100 }, seed: 4 }).test)).not.toEqual(all(other));
});

test('without contrast and brightness, images of a class share their prototype and neighbouring pixels are alike', () => {
  const { images } = contrastImages({ parts: { images: 600 }, classes: 3, contrast: 0, brightness: 0 });
  const correlation = (a: readonly number[], b: readonly number[]): number => {
    const [x, y] = [a, b].map((list) => list.map((value) => value - mean(list))) as [number[], number[]];
    const product = (p: readonly number[], q: readonly number[]): number =>
      mean(p.map((value, at) => value * (q[at] as number)));
    return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
  };
  const list = Array.from({ length: 600 }, (_, index) => ({
    label: labelOf(images, index),
    pixels: pixelsOf(images, index),
  }));
  const averages = [0, 1, 2].map((label) => {
    const own = list.filter((one) => one.label === label).map(({ pixels }) => pixels);
    return Array.from({ length: 64 }, (_, at) => mean(own.map((pixels) => pixels[at] as number)));
  });
  const closest = list.filter(({ label, pixels }) => {
    const scores = averages.map((average) => correlation(average, pixels));
    return scores.indexOf(Math.max(...scores)) === label;
  });
  expect(closest.length / 600).toBeGreaterThan(0.8);
  const left = list.flatMap(({ pixels }) => pixels.filter((_, at) => at % 8 < 7));
  const right = list.flatMap(({ pixels }) => pixels.filter((_, at) => at % 8 > 0));
  expect(correlation(left, right)).toBeGreaterThan(0.6);
});

test('brightness spreads the means of images, contrast their deviations', () => {
  const spread = (options: { readonly contrast: number; readonly brightness: number }): number[] => {
    const { images } = contrastImages({ parts: { images: 300 }, ...options });
    const means = Array.from({ length: 300 }, (_, index) => mean(pixelsOf(images, index)));
    const scales = Array.from({ length: 300 }, (_, index) => {
      const pixels = pixelsOf(images, index);
      return Math.log(mean(pixels.map((value) => (value - mean(pixels)) ** 2)));
    });
    return [means, scales].map((values) => mean(values.map((value) => (value - mean(values)) ** 2)));
  };
  const [plain, bright, contrasted] = [spread({ contrast: 0, brightness: 0 }), spread({ contrast: 0, brightness: 2 }), spread({ contrast: 1, brightness: 0 })]; // prettier-ignore
  expect(bright?.[0]).toBeGreaterThan(2 * (plain?.[0] as number));
  expect(contrasted?.[1]).toBeGreaterThan(2 * (plain?.[1] as number));
});

test('what cannot be drawn is refused', () => {
  expect(() => contrastImages({ parts: { train: 0 } })).toThrow(DataError);
  expect(() => contrastImages({ parts: { train: 5 }, smoothing: 0 })).toThrow(/smoothing is 0/);
});
