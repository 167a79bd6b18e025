import type { RandomStream } from '../random/index.js';
import { probeError } from './context.js';

/**
 * A stream that hands out given numbers instead of drawn ones, each as it is: what `uniform()`, `normal()`, `gumbel()`,
 * `exponential()`, `word()` or `integer()` returns is the next of them. A categorical draw takes a uniform, a draw without
 * replacement a Gumbel for each entry, and a permutation takes as many numbers as it has. Streams split from it share them.
 *
 * @param what What the numbers are for, in messages.
 */
export function givenRandom(numbers: readonly number[], what: string): RandomStream {
  let next = 0;
  const take = (count = 1): readonly number[] => {
    if (next + count > numbers.length)
      throw probeError(
        `${what} draws more than the ${numbers.length} given random numbers.`,
        'Give more of them, or leave "random" out to have all of them drawn.',
      );
    next += count;
    return numbers.slice(next - count, next);
  };
  const one = (): number => take()[0] as number;
  const fill = (target: Float32Array): void => {
    target.set(take(target.length));
  };
  const permutation = (count: number): Uint32Array => {
    const order = take(count);
    if (
      new Set(order).size !== count ||
      !order.every((value) => Number.isInteger(value) && value >= 0 && value < count)
    )
      throw probeError(`${what} draws a permutation of ${count}, and ${JSON.stringify(order)} is none.`);
    return Uint32Array.from(order);
  };
  const stream: Omit<RandomStream, 'state'> = {
    split: () => stream as RandomStream,
    word: one,
    uniform: one,
    normal: one,
    gumbel: one,
    exponential: one,
    integer(limit) {
      const value = one();
      if (!Number.isInteger(value) || value < 0 || value >= limit)
        throw probeError(`${what} draws an integer below ${limit}, and ${value} is none.`);
      return value;
    },
    fillUniform: fill,
    fillNormal: fill,
    fillGumbel: fill,
    fillRademacher: fill,
    permutation,
    shuffle(values) {
      const list: { length: number; [index: number]: unknown } = values;
      const old = Array.from({ length: list.length }, (_, index) => list[index]);
      permutation(list.length).forEach((from, to) => {
        list[to] = old[from];
      });
      return values;
    },
    categorical(weights) {
      const total = Array.from({ length: weights.length }, (_, index) => weights[index] as number).reduce(
        (a, b) => a + b,
        0,
      );
      let left = one() * total;
      for (let index = 0; index < weights.length; index++) {
        left -= weights[index] as number;
        if (left < 0) return index;
      }
      return weights.length - 1;
    },
    withoutReplacement(logWeights, count) {
      const keys = take(logWeights.length).map((gumbel, index) => gumbel + (logWeights[index] as number));
      return keys
        .map((_, index) => index)
        .sort((a, b) => (keys[b] as number) - (keys[a] as number) || a - b)
        .slice(0, count);
    },
  };
  return stream as RandomStream;
}
