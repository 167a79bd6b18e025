import type { RandomStream } from '@updraft/core';
import type { ImageStep, ImageView } from './augmentation.js';
import { DataError } from './errors.js';

type Interval = readonly [number, number];

const chance = (probability: number): number => {
  if (!(probability >= 0 && probability <= 1))
    throw new DataError(`The probability is ${probability}; it lies in [0, 1].`);
  return probability;
};
const positive = (what: string, [from, to]: Interval): Interval => {
  if (!(from > 0 && to >= from && to < Infinity))
    throw new DataError(`${what} is from ${from} to ${to}; it needs positive numbers in order.`);
  return [from, to];
};
const amount = (what: string, value: number, most = Infinity): number => {
  if (!(value >= 0 && value <= most && value < Infinity))
    throw new DataError(`${what} is ${value}; it must be from 0${most < Infinity ? ` to ${most}` : ''}.`);
  return value;
};
const between = ([from, to]: Interval, random: RandomStream): number => from + (to - from) * random.uniform();

/** Each channel in turn: where it begins. */
function eachChannel({ offset, channels, height, width }: ImageView, visit: (begin: number) => void): void {
  for (let channel = 0; channel < channels; channel++) visit(offset + channel * height * width);
}

/** Roll by whole pixels, uniform in both directions: what leaves at one edge comes in at the other. */
export function randomRoll({ pixels }: { readonly pixels: number }): ImageStep {
  if (!Number.isSafeInteger(pixels) || pixels < 0)
    throw new DataError(`The largest roll is ${pixels}; it must be a whole number of at least 0.`);
  return (image, random) => {
    const down = random.integer(2 * pixels + 1) - pixels;
    const right = random.integer(2 * pixels + 1) - pixels;
    if (down === 0 && right === 0) return;
    const { data, height, width, scratch } = image;
    const from = (position: number, shift: number, size: number): number => (((position - shift) % size) + size) % size;
    eachChannel(image, (begin) => {
      scratch.set(data.subarray(begin, begin + height * width));
      for (let row = 0; row < height; row++)
        for (let column = 0; column < width; column++)
          data[begin + row * width + column] = scratch[
            from(row, down, height) * width + from(column, right, width)
          ] as number;
    });
  };
}

/** Multiply all pixels by one factor, uniform in [from, to]. */
export function randomScale({ from, to }: { readonly from: number; readonly to: number }): ImageStep {
  const range = positive('The factor', [from, to]);
  return ({ data, offset, channels, height, width }, random) => {
    const factor = between(range, random);
    for (let at = offset; at < offset + channels * height * width; at++) data[at] = (data[at] as number) * factor;
  };
}

/** Add normal noise of this standard deviation to every pixel. */
export function pixelNoise({ deviation }: { readonly deviation: number }): ImageStep {
  amount('The standard deviation', deviation);
  return ({ data, offset, channels, height, width }, random) => {
    for (let at = offset; at < offset + channels * height * width; at++)
      data[at] = (data[at] as number) + deviation * random.normal();
  };
}

export interface RandomResizedCropOptions {
  /** Share of the area that is kept, uniform. Default [0.08, 1]. */
  readonly scale?: Interval;
  /** Width through height of what is kept, its logarithm uniform. Default [3/4, 4/3]. */
  readonly ratio?: Interval;
}

/**
 * Cut out a random rectangle and stretch it to the old size with bilinear interpolation (Szegedy et al. 2015). As in
 * torchvision, ten rectangles are tried; if none fits, the largest central one of an allowed ratio is taken.
 */
export function randomResizedCrop({
  scale = [0.08, 1],
  ratio = [3 / 4, 4 / 3],
}: RandomResizedCropOptions = {}): ImageStep {
  positive('The scale', scale);
  positive('The ratio', ratio);
  if (scale[1] > 1) throw new DataError(`The scale goes to ${scale[1]}; an image has no more than 1.`);
  return (image, random) => {
    const { data, height, width, scratch } = image;
    const box = cropBox(height, width, scale, ratio, random);
    eachChannel(image, (begin) => {
      scratch.set(data.subarray(begin, begin + height * width));
      for (let row = 0; row < height; row++)
        for (let column = 0; column < width; column++)
          data[begin + row * width + column] = bilinear(
            scratch,
            width,
            box,
            ((row + 0.5) * box.height) / height - 0.5,
            ((column + 0.5) * box.width) / width - 0.5,
          );
    });
  };
}

interface Box {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

function cropBox(height: number, width: number, scale: Interval, ratio: Interval, random: RandomStream): Box {
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = height * width * between(scale, random);
    const shape = Math.exp(between([Math.log(ratio[0]), Math.log(ratio[1])], random));
    const box = { height: Math.round(Math.sqrt(area / shape)), width: Math.round(Math.sqrt(area * shape)) };
    if (box.width > 0 && box.width <= width && box.height > 0 && box.height <= height)
      return { ...box, top: random.integer(height - box.height + 1), left: random.integer(width - box.width + 1) };
  }
  const own = width / height;
  const box =
    own < ratio[0]
      ? { width, height: Math.max(1, Math.round(width / ratio[0])) }
      : own > ratio[1]
        ? { width: Math.max(1, Math.round(height * ratio[1])), height }
        : { width, height };
  return { ...box, top: (height - box.height) >> 1, left: (width - box.width) >> 1 };
}

/** Value at a point of the box, whose edge pixels go on beyond it. */
function bilinear(pixels: Float32Array, width: number, box: Box, row: number, column: number): number {
  const y = Math.min(Math.max(row, 0), box.height - 1);
  const x = Math.min(Math.max(column, 0), box.width - 1);
  const [y0, x0] = [Math.floor(y), Math.floor(x)];
  const [y1, x1] = [Math.min(y0 + 1, box.height - 1), Math.min(x0 + 1, box.width - 1)];
  const at = (r: number, c: number): number => pixels[(box.top + r) * width + box.left + c] as number;
  const [dy, dx] = [y - y0, x - x0];
  return (1 - dy) * ((1 - dx) * at(y0, x0) + dx * at(y0, x1)) + dy * ((1 - dx) * at(y1, x0) + dx * at(y1, x1));
}

/** Brightness of a pixel as the eye has it (ITU-R 601). */
const LUMA = [0.299, 0.587, 0.114] as const;

const threeChannels = (image: ImageView, what: string): number => {
  if (image.channels !== 3) throw new DataError(`${what} needs images of 3 channels; these have ${image.channels}.`);
  return image.height * image.width;
};
const luma = (data: Float32Array, at: number, size: number): number =>
  LUMA[0] * (data[at] as number) + LUMA[1] * (data[at + size] as number) + LUMA[2] * (data[at + 2 * size] as number);

/** Make an image of red, green and blue grey, in all three channels. Default probability 0.2. */
export function randomGreyscale({ probability = 0.2 }: { readonly probability?: number } = {}): ImageStep {
  chance(probability);
  return (image, random) => {
    const size = threeChannels(image, 'randomGreyscale()');
    if (random.uniform() >= probability) return;
    const { data, offset } = image;
    for (let at = offset; at < offset + size; at++) {
      const grey = luma(data, at, size);
      for (const channel of [0, 1, 2]) data[at + channel * size] = grey;
    }
  };
}

export interface ColourJitterOptions {
  readonly probability?: number;
  /** Factors are uniform in [1 − amount, 1 + amount], not below 0. */
  readonly brightness?: number;
  readonly contrast?: number;
  readonly saturation?: number;
  /** Turn of the colour circle, uniform in [−hue, hue]; at most 0.5, which is half of it. */
  readonly hue?: number;
}

/**
 * Change brightness, contrast, saturation and hue of an image of red, green and blue in [0, 1], in random order; values are
 * cut off at 0 and 1 after each (as in torchvision). Default: the strengths of SimCLR and Barlow Twins, probability 0.8.
 */
export function colourJitter(options: ColourJitterOptions = {}): ImageStep {
  const { probability = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.2, hue = 0.1 } = options;
  chance(probability);
  for (const [what, value] of Object.entries({ brightness, contrast, saturation })) amount(`The ${what}`, value);
  amount('The hue', hue, 0.5);
  return (image, random) => {
    const size = threeChannels(image, 'colourJitter()');
    const { data, offset } = image;
    if (random.uniform() >= probability) return;
    const factor = (strength: number): number => between([Math.max(0, 1 - strength), 1 + strength], random);
    const [light, hard, colourful] = [factor(brightness), factor(contrast), factor(saturation)];
    const turn = between([-hue, hue], random);
    const cut = (value: number): number => Math.min(1, Math.max(0, value));
    /** Towards what `to` says, or away from it. */
    const blend = (share: number, to: (at: number) => number): void => {
      for (let at = offset; at < offset + size; at++) {
        const target = to(at);
        for (const channel of [0, 1, 2]) {
          const place = at + channel * size;
          data[place] = cut(share * (data[place] as number) + (1 - share) * target);
        }
      }
    };
    const changes = [
      () => {
        blend(light, () => 0);
      },
      () => {
        let sum = 0;
        for (let at = offset; at < offset + size; at++) sum += luma(data, at, size);
        blend(hard, () => sum / size);
      },
      () => {
        blend(colourful, (at) => luma(data, at, size));
      },
      () => {
        if (turn !== 0) turnHue(data, offset, size, turn);
      },
    ];
    for (const index of random.permutation(changes.length)) changes[index]?.();
  };
}

/** Turn the colour circle by a share of it, keeping saturation and value. */
function turnHue(data: Float32Array, offset: number, size: number, turn: number): void {
  for (let at = offset; at < offset + size; at++) {
    const [r, g, b] = [data[at], data[at + size], data[at + 2 * size]] as [number, number, number];
    const value = Math.max(r, g, b);
    const range = value - Math.min(r, g, b);
    if (range === 0) continue;
    const sixth = value === r ? (g - b) / range : value === g ? 2 + (b - r) / range : 4 + (r - g) / range;
    const position = (((sixth + 6 * turn) % 6) + 6) % 6;
    // How far each channel is below the value, by its distance on the circle.
    [5, 3, 1].forEach((begin, channel) => {
      const distance = (begin + position) % 6;
      data[at + channel * size] = value - range * Math.max(0, Math.min(distance, 4 - distance, 1));
    });
  }
}

export interface GaussianBlurOptions {
  readonly probability?: number;
  /** Standard deviation in pixels, uniform. Default [0.1, 2]. */
  readonly deviation?: Interval;
}

/** Blur with a Gaussian, cut off at four standard deviations; edge pixels go on beyond the edge. */
export function gaussianBlur({ probability = 0.5, deviation = [0.1, 2] }: GaussianBlurOptions = {}): ImageStep {
  chance(probability);
  positive('The standard deviation', deviation);
  return (image, random) => {
    const [drawn, sigma] = [random.uniform(), between(deviation, random)];
    if (drawn >= probability) return;
    const reach = Math.ceil(4 * sigma);
    const weights = Array.from({ length: 2 * reach + 1 }, (_, at) => Math.exp(-((at - reach) ** 2) / (2 * sigma ** 2)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const { data, height, width, scratch } = image;
    /** Along lines of `length` pixels that lie `step` apart. */
    const along = (begin: number, lines: number, next: number, length: number, step: number): void => {
      scratch.set(data.subarray(begin, begin + height * width));
      for (let line = 0; line < lines; line++)
        for (let at = 0; at < length; at++) {
          let sum = 0;
          weights.forEach((weight, tap) => {
            const place = Math.min(length - 1, Math.max(0, at + tap - reach));
            sum += weight * (scratch[line * next + place * step] as number);
          });
          data[begin + line * next + at * step] = sum / total;
        }
    };
    eachChannel(image, (begin) => {
      along(begin, height, width, width, 1);
      along(begin, width, 1, height, width);
    });
  };
}

/** Turn pixels of at least the threshold round: x → 1 − x, for values in [0, 1]. */
export function solarise({
  probability = 0.2,
  threshold = 0.5,
}: { readonly probability?: number; readonly threshold?: number } = {}): ImageStep {
  chance(probability);
  return ({ data, offset, channels, height, width }, random) => {
    if (random.uniform() >= probability) return;
    for (let at = offset; at < offset + channels * height * width; at++) {
      const value = data[at] as number;
      if (value >= threshold) data[at] = 1 - value;
    }
  };
}
