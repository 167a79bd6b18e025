import { RandomStream } from '@updraft/core';
import type { Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { fromTensors } from '../in-memory.js';
import { checkCount } from './points.js';

export interface ContrastImagesOptions<Part extends string = string> {
  /** Examples of each part of the data, such as `{ train: 3000, test: 1000 }`; all of the same prototypes, in this order. */
  readonly parts: Readonly<Record<Part, number>>;
  /** Height and width; default 8. */
  readonly size?: number;
  /** Default 10. */
  readonly classes?: number;
  /** Standard deviation, in pixels, of the Gaussian that prototypes and variations are smoothed with; default 1.2. */
  readonly smoothing?: number;
  /** Standard deviation of the noise on single pixels; default 0.3. */
  readonly noise?: number;
  /** Each image is multiplied by exp(contrast · normal); default 0.5. */
  readonly contrast?: number;
  /** To each image brightness · normal is added; default 1. */
  readonly brightness?: number;
  /** Decides prototypes and examples; default 0. */
  readonly seed?: number;
}

/** Smooths images along both axes: each weight row of the Gaussian adds up to 1. */
function smooth(images: Float64Array, size: number, deviation: number): Float64Array {
  const kernel = Array.from({ length: size }, (_, at) => {
    const row = Array.from({ length: size }, (__, other) => Math.exp(-((at - other) ** 2) / (2 * deviation ** 2)));
    const sum = row.reduce((a, b) => a + b);
    return row.map((weight) => weight / sum);
  });
  const along = (source: Float64Array, step: number, across: number): Float64Array => {
    const result = new Float64Array(source.length);
    for (let image = 0; image < source.length; image += size * size)
      for (let line = 0; line < size; line++)
        for (let at = 0; at < size; at++) {
          let sum = 0;
          for (let other = 0; other < size; other++)
            sum += (kernel[at]?.[other] as number) * (source[image + line * across + other * step] as number);
          result[image + line * across + at * step] = sum;
        }
    return result;
  };
  return along(along(images, 1, size), size, 1);
}

const moments = (values: Float64Array): { readonly mean: number; readonly deviation: number } => {
  let [sum, squares] = [0, 0];
  for (const value of values) sum += value;
  const mean = sum / values.length;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / values.length) };
};

/**
 * Images of smooth random prototypes, one for each class, with smooth variations, noise, and a contrast and a brightness of
 * their own; standardised with mean and deviation of the pixels of the first part. `image` float32 [size, size], `label`
 * int64, uniform.
 *
 * @throws DataError for counts below 1 and a negative spread.
 */
export function contrastImages<Part extends string>(options: ContrastImagesOptions<Part>): Record<Part, Dataset> {
  const {
    parts,
    size = 8,
    classes = 10,
    smoothing = 1.2,
    noise = 0.3,
    contrast = 0.5,
    brightness = 1,
    seed = 0,
  } = options;
  checkCount('pixels of a side', size);
  checkCount('classes', classes);
  const entries = Object.entries<number>(parts);
  for (const [part, count] of entries) checkCount(`examples of "${part}"`, count);
  for (const [what, value] of Object.entries({ smoothing, noise, contrast, brightness }))
    if (!(value >= 0 && Number.isFinite(value)) || (what === 'smoothing' && value === 0))
      throw new DataError(`The ${what} is ${value}.`, {
        hint: 'Give a number that is not negative; smoothing above 0.',
      });
  const random = RandomStream.fromSeed(seed).split('contrast-images');
  const normals = (name: string, count: number): Float64Array => {
    const values = new Float32Array(count);
    random.split(name).fillNormal(values);
    return Float64Array.from(values);
  };
  const pixels = size * size;
  const total = entries.reduce((sum, [, count]) => sum + count, 0);

  const prototypes = smooth(normals('prototypes', classes * pixels), size, smoothing);
  for (let label = 0; label < classes; label++) {
    const prototype = prototypes.subarray(label * pixels, (label + 1) * pixels);
    const { deviation } = moments(prototype);
    prototype.forEach((value, at) => (prototype[at] = value / deviation));
  }
  const variations = smooth(normals('variations', total * pixels), size, smoothing);
  const { deviation: spread } = moments(variations);
  const [specks, contrasts, brightnesses] = [normals('noise', total * pixels), normals('contrast', total), normals('brightness', total)]; // prettier-ignore
  const labelled = random.split('labels');
  const label = BigInt64Array.from({ length: total }, () => BigInt(labelled.integer(classes)));
  const image = Float64Array.from({ length: total * pixels }, (_, at) => {
    const row = Math.floor(at / pixels);
    const prototype = prototypes[Number(label[row]) * pixels + (at % pixels)] as number;
    const value = prototype + (variations[at] as number) / spread + noise * (specks[at] as number);
    return value * Math.exp(contrast * (contrasts[row] as number)) + brightness * (brightnesses[row] as number);
  });

  const { mean, deviation } = moments(image.subarray(0, (entries[0]?.[1] ?? 0) * pixels));
  let from = 0;
  return Object.fromEntries(
    entries.map(([part, count]) => {
      const rows = image.subarray(from * pixels, (from + count) * pixels);
      const labels = label.slice(from, from + count);
      from += count;
      return [
        part,
        fromTensors({
          image: {
            dataType: 'float32',
            dims: [count, size, size],
            data: Float32Array.from(rows, (value) => (value - mean) / deviation),
          },
          label: { dataType: 'int64', dims: [count], data: labels },
        }),
      ];
    }),
  ) as Record<Part, Dataset>;
}
