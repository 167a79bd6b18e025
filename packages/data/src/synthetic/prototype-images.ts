import { RandomStream } from '@updraft/core';
import type { Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { fromTensors } from '../in-memory.js';
import { checkCount } from './points.js';

export interface PrototypeImagesOptions<Part extends string = string> {
  /** Examples of each part, such as `{ train: 3000, test: 1500 }`; all of the same prototypes, in this order. */
  readonly parts: Readonly<Record<Part, number>>;
  /** Default 10. */
  readonly classes?: number;
  /** Side of the square images in pixels; default 8. */
  readonly size?: number;
  /** Largest roll in both directions, uniform over whole pixels; default 1. */
  readonly roll?: number;
  /** Standard deviation of the noise of each pixel; that of the prototypes is 1. Default 1. */
  readonly noise?: number;
  /** Decides prototypes and examples; default 0. */
  readonly seed?: number;
}

/**
 * Images that look a little like digits: each class is a smooth random pattern of unit variance (normal pixels, smoothed
 * twice by the circular kernel [1, 2, 1] / 4 in both directions), each example the pattern of a uniform class, rolled a little, with
 * normal noise. `image` float32 [1, size, size], `label` int64.
 *
 * @throws DataError for counts below 1, and noise below 0.
 */
export function prototypeImages<Part extends string>(options: PrototypeImagesOptions<Part>): Record<Part, Dataset> {
  const { parts, classes = 10, size = 8, roll = 1, noise = 1, seed = 0 } = options;
  checkCount('classes', classes);
  checkCount('pixels of a side', size);
  checkCount('pixels to roll by', roll, 0);
  if (!(noise >= 0 && noise < Infinity)) throw new DataError(`The noise is ${noise}; it must be at least 0.`);
  const random = RandomStream.fromSeed(seed).split('prototype-images');
  const prototypes = Array.from({ length: classes }, (_, label) =>
    prototype(size, random.split('prototypes').split(String(label))),
  );
  const pixels = size * size;
  return Object.fromEntries(
    Object.entries<number>(parts).map(([part, count]) => {
      checkCount(`examples of "${part}"`, count);
      const own = random.split('examples').split(part);
      const data = new Float32Array(count * pixels);
      own.split('noise').fillNormal(data);
      const labels = new BigInt64Array(count);
      for (let row = 0; row < count; row++) {
        const label = own.integer(classes);
        const [down, right] = [own.integer(2 * roll + 1) - roll, own.integer(2 * roll + 1) - roll];
        labels[row] = BigInt(label);
        for (let y = 0; y < size; y++)
          for (let x = 0; x < size; x++) {
            const at = row * pixels + y * size + x;
            const from = wrapped(y - down, size) * size + wrapped(x - right, size);
            data[at] = noise * (data[at] as number) + (prototypes[label]?.[from] as number);
          }
      }
      return [
        part,
        fromTensors({
          image: { dataType: 'float32', dims: [count, 1, size, size], data },
          label: { dataType: 'int64', dims: [count], data: labels },
        }),
      ];
    }),
  ) as Record<Part, Dataset>;
}

const wrapped = (position: number, size: number): number => ((position % size) + size) % size;

function prototype(size: number, random: RandomStream): Float64Array {
  let image = Float64Array.from({ length: size * size }, () => random.normal());
  const smoothed = (down: number, right: number): Float64Array =>
    image.map((value, at) => {
      const [y, x] = [Math.floor(at / size), at % size];
      const beside = (sign: number): number =>
        image[wrapped(y + sign * down, size) * size + wrapped(x + sign * right, size)] as number;
      return (beside(-1) + 2 * value + beside(1)) / 4;
    });
  for (let pass = 0; pass < 2; pass++) {
    image = smoothed(1, 0) as typeof image;
    image = smoothed(0, 1) as typeof image;
  }
  const mean = image.reduce((sum, value) => sum + value, 0) / image.length;
  const deviation = Math.sqrt(image.reduce((sum, value) => sum + (value - mean) ** 2, 0) / image.length);
  // One pixel has no deviation: it is 0 then, as are its examples without noise.
  return image.map((value) => (deviation === 0 ? 0 : value / deviation));
}
