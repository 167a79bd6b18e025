import { RandomStream } from '@updraft/core';
import type { Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { fromTensors } from '../in-memory.js';
import { checkCount } from './points.js';

/**
 * Sequences as next-token tasks: `tokens` int64 [length - 1], `label` int64 [length - 1] (the tokens that follow) and
 * `mask` float32 [length - 1], 1 where the label follows from what was seen.
 */
function sequences(count: number, length: number, answer: number, write: (sequence: Uint32Array) => void): Dataset {
  const width = length - 1;
  const tokens = new BigInt64Array(count * width);
  const labels = new BigInt64Array(count * width);
  const mask = new Float32Array(count * width);
  const sequence = new Uint32Array(length);
  for (let row = 0; row < count; row++) {
    write(sequence);
    for (let at = 0; at < width; at++) {
      tokens[row * width + at] = BigInt(sequence[at] as number);
      labels[row * width + at] = BigInt(sequence[at + 1] as number);
      mask[row * width + at] = at + 1 >= answer ? 1 : 0;
    }
  }
  return fromTensors(
    {
      tokens: { dataType: 'int64', dims: [count, width], data: tokens },
      label: { dataType: 'int64', dims: [count, width], data: labels },
      mask: { dataType: 'float32', dims: [count, width], data: mask },
    },
    { mask: { meaning: '1 where the label follows from what was seen.' } },
  );
}

export interface CopySequencesOptions {
  readonly count: number;
  /** Symbols to copy; default 8. */
  readonly length?: number;
  /** Different symbols, with ids from 1; default 8. The id 0 separates the two halves. */
  readonly symbols?: number;
  readonly seed?: number;
}

/** Random symbols, the separator 0, and the same symbols again. Vocabulary: `symbols + 1`. */
export function copySequences({ count, length = 8, symbols = 8, seed = 0 }: CopySequencesOptions): Dataset {
  checkCount('sequences', count);
  checkCount('symbols to copy', length);
  checkCount('different symbols', symbols);
  const random = RandomStream.fromSeed(seed).split('copy');
  return sequences(count, 2 * length + 1, length + 1, (sequence) => {
    sequence[length] = 0;
    for (let at = 0; at < length; at++) sequence[at] = sequence[length + 1 + at] = 1 + random.integer(symbols);
  });
}

export interface AdditionSequencesOptions {
  readonly count: number;
  /** Digits of each summand, 1 to 9; default 2. */
  readonly digits?: number;
  /** Write the sum from its last digit, which is easier to learn. Default: false. */
  readonly reversed?: boolean;
  readonly seed?: number;
}

/** Characters of the tokens of {@link additionSequences}. */
export const ADDITION_SYMBOLS = '0123456789+=';

/** Sums such as `07+95=102`, one token for each of {@link ADDITION_SYMBOLS}. */
export function additionSequences({
  count,
  digits = 2,
  reversed = false,
  seed = 0,
}: AdditionSequencesOptions): Dataset {
  checkCount('sequences', count);
  checkCount('digits', digits);
  if (digits > 9) throw new DataError(`The number of digits is ${digits}; at most 9 are supported.`);
  const random = RandomStream.fromSeed(seed).split('addition');
  const text = (value: number, width: number): string => String(value).padStart(width, '0');
  return sequences(count, 3 * digits + 3, 2 * digits + 2, (sequence) => {
    const [a, b] = [random.integer(10 ** digits), random.integer(10 ** digits)];
    const sum = [...text(a + b, digits + 1)];
    if (reversed) sum.reverse();
    [...`${text(a, digits)}+${text(b, digits)}=${sum.join('')}`].forEach((character, at) => {
      sequence[at] = ADDITION_SYMBOLS.indexOf(character);
    });
  });
}
