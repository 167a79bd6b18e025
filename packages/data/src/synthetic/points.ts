import { RandomStream } from '@updraft/core';
import type { Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { fromTensors } from '../in-memory.js';

/** @throws DataError unless the count is a whole number of at least `least`. */
export function checkCount(what: string, value: number, least = 1): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new DataError(`The number of ${what} is ${value}; it must be an integer of at least ${least}.`);
}

/** `x` float32 [2] and `label` int64 from a function that writes one point and returns its class. */
function points(
  count: number,
  classes: readonly string[],
  draw: (index: number, point: Float64Array) => number,
): Dataset {
  checkCount('points', count);
  const x = new Float32Array(2 * count);
  const labels = new BigInt64Array(count);
  const point = new Float64Array(2);
  for (let index = 0; index < count; index++) {
    labels[index] = BigInt(draw(index, point));
    x.set(point, 2 * index);
  }
  return fromTensors(
    {
      x: { dataType: 'float32', dims: [count, 2], data: x },
      label: { dataType: 'int64', dims: [count], data: labels },
    },
    { label: { classes } },
  );
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

export interface BlobsOptions {
  readonly count: number;
  readonly classes?: number;
  /** Standard deviation of each cluster; their centres lie on the unit circle. */
  readonly deviation?: number;
  readonly seed?: number;
}

/** Gaussian clusters on a circle. */
export function blobs({ count, classes = 3, deviation = 0.3, seed = 0 }: BlobsOptions): Dataset {
  checkCount('classes', classes);
  const random = RandomStream.fromSeed(seed).split('blobs');
  return points(count, numbered(classes), (_, point) => {
    const label = random.integer(classes);
    const angle = (2 * Math.PI * label) / classes;
    point[0] = Math.cos(angle) + deviation * random.normal();
    point[1] = Math.sin(angle) + deviation * random.normal();
    return label;
  });
}

export interface MoonsOptions {
  readonly count: number;
  /** Standard deviation of the noise. */
  readonly noise?: number;
  readonly seed?: number;
}

/** Two interleaved half circles of radius 1, one point of each in turn. */
export function twoMoons({ count, noise = 0.1, seed = 0 }: MoonsOptions): Dataset {
  const random = RandomStream.fromSeed(seed).split('moons');
  return points(count, ['upper', 'lower'], (index, point) => {
    const upper = index % 2 === 0;
    const angle = Math.PI * random.uniform();
    point[0] = (upper ? Math.cos(angle) : 1 - Math.cos(angle)) + noise * random.normal();
    point[1] = (upper ? Math.sin(angle) : 0.5 - Math.sin(angle)) + noise * random.normal();
    return upper ? 0 : 1;
  });
}

export interface SpiralsOptions extends MoonsOptions {
  /** Arms; default 2. */
  readonly classes?: number;
  /** Turns of each arm about the origin; default 1.5. */
  readonly turns?: number;
}

/** Interleaved spiral arms that end at radius 1, one point of each in turn. */
export function spirals({ count, classes = 2, turns = 1.5, noise = 0.02, seed = 0 }: SpiralsOptions): Dataset {
  checkCount('classes', classes);
  const random = RandomStream.fromSeed(seed).split('spirals');
  return points(count, numbered(classes), (index, point) => {
    const label = index % classes;
    // The square root spreads points evenly along the arm.
    const radius = Math.sqrt(random.uniform());
    const angle = 2 * Math.PI * (turns * radius + label / classes);
    point[0] = radius * Math.cos(angle) + noise * random.normal();
    point[1] = radius * Math.sin(angle) + noise * random.normal();
    return label;
  });
}
