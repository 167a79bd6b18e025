import type { RandomStream } from '@updraft/core';
import type { BatchTransform } from './batches.js';
import { DataError } from './errors.js';

/** One image of a batch, channels first. A step reads and writes `data` from `offset` on. */
export interface ImageView {
  readonly data: Float32Array;
  offset: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Room for a copy of one channel. */
  readonly scratch: Float32Array;
}

/** Changes one image in place. Draws the same number of random values whatever the image holds. */
export type ImageStep = (image: ImageView, random: RandomStream) => void;

const whole = (what: string, value: number, least: number): void => {
  if (!Number.isSafeInteger(value) || value < least)
    throw new DataError(`${what} is ${value}; it must be an integer of at least ${least}.`);
};

/**
 * Steps on every image of a column, for the option `transform` of batches: `augment([randomShift({ pixels: 2 })])`.
 * The column must be float32 [batch, channels, height, width].
 */
export function augment(
  steps: readonly ImageStep[],
  { column = 'image' }: { readonly column?: string } = {},
): BatchTransform {
  let scratch = new Float32Array(0);
  return (columns, random) => {
    const tensor = columns[column];
    if (tensor?.dataType !== 'float32' || tensor.dims.length !== 4)
      throw new DataError(
        tensor === undefined
          ? `The batch has no column "${column}" to augment.`
          : `The column "${column}" is ${tensor.dataType} [${tensor.dims.join(', ')}]; augmentation needs float32 [batch, channels, height, width].`,
        { hint: `The batch has: ${Object.keys(columns).join(', ')}.` },
      );
    const [count, channels, height, width] = tensor.dims as [number, number, number, number];
    if (scratch.length !== height * width) scratch = new Float32Array(height * width);
    const image: ImageView = { data: tensor.data as Float32Array, offset: 0, channels, height, width, scratch };
    for (let index = 0; index < count; index++) {
      image.offset = index * channels * height * width;
      for (const step of steps) step(image, random);
    }
  };
}

export interface RandomShiftOptions {
  /** Largest shift in each direction, uniform over whole pixels. */
  readonly pixels: number;
  /** What comes in at the edges: the value of the background after normalisation. Default 0. */
  readonly fill?: number;
}

/** Shift by whole pixels. The same as to pad by `pixels` on all sides and crop at random to the old size. */
export function randomShift({ pixels, fill = 0 }: RandomShiftOptions): ImageStep {
  whole('The largest shift', pixels, 0);
  return (image, random) => {
    const down = random.integer(2 * pixels + 1) - pixels;
    const right = random.integer(2 * pixels + 1) - pixels;
    if (down === 0 && right === 0) return;
    const { data, channels, height, width } = image;
    // Rows move as blocks, from the side that they move to, so that none is overwritten before it moved.
    const begin = Math.max(0, right);
    const end = Math.min(width, width + right);
    for (let channel = 0; channel < channels; channel++)
      for (let step = 0; step < height; step++) {
        const row = down > 0 ? height - 1 - step : step;
        const to = image.offset + (channel * height + row) * width;
        const from = to - down * width;
        if (row - down < 0 || row - down >= height || begin >= end) {
          data.fill(fill, to, to + width);
          continue;
        }
        data.copyWithin(to + begin, from + begin - right, from + end - right);
        data.fill(fill, to, to + begin);
        data.fill(fill, to + end, to + width);
      }
  };
}

/** Mirror left and right. */
export function horizontalFlip({ probability = 0.5 }: { readonly probability?: number } = {}): ImageStep {
  if (!(probability >= 0 && probability <= 1))
    throw new DataError(`The probability is ${probability}; it lies in [0, 1].`);
  return (image, random) => {
    if (random.uniform() >= probability) return;
    const { data, offset, channels, height, width } = image;
    const size = channels * height * width;
    for (let begin = offset; begin < offset + size; begin += width) data.subarray(begin, begin + width).reverse();
  };
}

export interface CutoutOptions {
  /** Side of the square in pixels. */
  readonly size: number;
  readonly fill?: number;
}

/** Erase a square about a random pixel; it may reach over the edges (DeVries and Taylor 2017). */
export function cutout({ size, fill = 0 }: CutoutOptions): ImageStep {
  whole('The side of the square', size, 1);
  return ({ data, offset, channels, height, width }, random) => {
    const top = random.integer(height) - (size >> 1);
    const left = random.integer(width) - (size >> 1);
    for (let channel = 0; channel < channels; channel++)
      for (let row = Math.max(0, top); row < Math.min(height, top + size); row++) {
        const begin = offset + (channel * height + row) * width;
        data.fill(fill, begin + Math.max(0, left), begin + Math.min(width, left + size));
      }
  };
}

export interface RandomRotationOptions {
  /** Largest angle to either side, uniform. */
  readonly degrees: number;
  readonly fill?: number;
}

/** Rotate about the centre with bilinear interpolation; positive angles turn clockwise on the screen. */
export function randomRotation({ degrees, fill = 0 }: RandomRotationOptions): ImageStep {
  if (!(degrees >= 0 && degrees <= 180))
    throw new DataError(`The largest angle is ${degrees} degrees; it lies in [0, 180].`);
  return (image, random) => {
    const angle = ((2 * random.uniform() - 1) * degrees * Math.PI) / 180;
    const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
    const { data, channels, height, width, scratch } = image;
    const [middleRow, middleColumn] = [(height - 1) / 2, (width - 1) / 2];
    const pixel = (y: number, x: number): number =>
      y >= 0 && y < height && x >= 0 && x < width ? (scratch[y * width + x] as number) : fill;
    for (let channel = 0; channel < channels; channel++) {
      const begin = image.offset + channel * height * width;
      scratch.set(data.subarray(begin, begin + height * width));
      for (let row = 0; row < height; row++) {
        // Where the first pixel of the row comes from (the inverse rotation); each next one comes from one step further.
        const [y, x] = [row - middleRow, -middleColumn];
        const [rowBegin, columnBegin] = [middleRow + cosine * y - sine * x, middleColumn + sine * y + cosine * x];
        for (let column = 0; column < width; column++) {
          const fromRow = rowBegin - sine * column;
          const fromColumn = columnBegin + cosine * column;
          const y0 = Math.floor(fromRow);
          const x0 = Math.floor(fromColumn);
          const dy = fromRow - y0;
          const dx = fromColumn - x0;
          const at = y0 * width + x0;
          const inside = y0 >= 0 && x0 >= 0 && y0 + 1 < height && x0 + 1 < width;
          const topLeft = inside ? (scratch[at] as number) : pixel(y0, x0);
          const topRight = inside ? (scratch[at + 1] as number) : pixel(y0, x0 + 1);
          const bottomLeft = inside ? (scratch[at + width] as number) : pixel(y0 + 1, x0);
          const bottomRight = inside ? (scratch[at + width + 1] as number) : pixel(y0 + 1, x0 + 1);
          data[begin + row * width + column] =
            (1 - dy) * ((1 - dx) * topLeft + dx * topRight) + dy * ((1 - dx) * bottomLeft + dx * bottomRight);
        }
      }
    }
  };
}
