import type { Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { parseIdx } from './idx.js';
import { writeInteger } from './int64.js';

/** Mean of the pixels of the MNIST training images, in [0, 1]. */
export const MNIST_MEAN = 0.1307;
/** Their standard deviation. */
export const MNIST_DEVIATION = 0.3081;

export interface MnistOptions {
  /** Subtracted from pixels in [0, 1]; default {@link MNIST_MEAN}. */
  readonly mean?: number;
  /** Divides pixels after that; default {@link MNIST_DEVIATION}. */
  readonly deviation?: number;
  /** Names of the classes; default: the ten digits. */
  readonly classes?: readonly string[];
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

/**
 * MNIST-like images from IDX bytes: `image` float32 [1, height, width], normalised as (pixel / 255 − mean) / deviation,
 * and `label` int64. Images stay bytes in memory and are normalised as they are read.
 *
 * @throws DataError for files that are no IDX of unsigned bytes, do not belong together, or hold labels beyond the classes.
 */
export function mnistFromIdx(images: Uint8Array, labels: Uint8Array, options: MnistOptions = {}): Dataset {
  const { mean = MNIST_MEAN, deviation = MNIST_DEVIATION, classes = DIGITS } = options;
  if (!Number.isFinite(mean) || !(deviation > 0))
    throw new DataError(`Pixels cannot be normalised with mean ${mean} and deviation ${deviation}.`);
  const pictures = parseIdx(images, { what: 'The file of images' });
  const numbers = parseIdx(labels, { what: 'The file of labels' });
  const [count, height, width] = pictures.dims;
  if (pictures.dims.length !== 3 || numbers.dims.length !== 1 || count !== numbers.dims[0])
    throw new DataError(
      `The images have shape [${pictures.dims.join(', ')}], the labels [${numbers.dims.join(', ')}]: they do not belong together.`,
      { hint: 'Images have three axes, labels one, of the same length.' },
    );
  if (pictures.dataType !== 'uint8' || numbers.dataType !== 'uint8')
    throw new DataError(
      `The images are ${pictures.dataType}, the labels ${numbers.dataType}; both must be unsigned bytes.`,
    );
  const pixels = pictures.data as Uint8Array;
  const digits = numbers.data as Uint8Array;
  const wrong = digits.findIndex((label) => label >= classes.length);
  if (wrong >= 0)
    throw new DataError(`The label of image ${wrong} is ${digits[wrong]}; there are ${classes.length} classes.`, {
      hint: 'Name all classes in the option "classes".',
    });
  const size = (height as number) * (width as number);
  const normalised = Float32Array.from({ length: 256 }, (_, pixel) => (pixel / 255 - mean) / deviation);
  return {
    length: count as number,
    columns: {
      image: {
        dataType: 'float32',
        shape: [1, height as number, width as number],
        meaning: `Ink from 0 to 1, minus ${mean}, divided by ${deviation}.`,
      },
      label: { dataType: 'int64', shape: [], meaning: 'Class of the image.', classes },
    },
    read(column, index, into, row) {
      if (column === 'label') {
        writeInteger(into, row, digits[index] as number);
        return;
      }
      const target = into.data as Float32Array;
      let from = index * size;
      let to = row * size;
      const end = to + size;
      // Four at a time: half the time of the plain loop.
      for (; to + 4 <= end; to += 4, from += 4) {
        target[to] = normalised[pixels[from] as number] as number;
        target[to + 1] = normalised[pixels[from + 1] as number] as number;
        target[to + 2] = normalised[pixels[from + 2] as number] as number;
        target[to + 3] = normalised[pixels[from + 3] as number] as number;
      }
      for (; to < end; to++, from++) target[to] = normalised[pixels[from] as number] as number;
    },
  };
}
