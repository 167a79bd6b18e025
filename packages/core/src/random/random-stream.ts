import { CoreError } from '../errors.js';
import { naturalLogarithm, normalQuantile } from './normal-quantile.js';
import { philoxBlocks } from './philox.js';

/** Where a stream stands, for checkpoints. */
export interface RandomState {
  readonly key: readonly [number, number];
  /** Blocks of four words begun so far. */
  readonly counter: number;
  /** Words used of the block before `counter`; 4 (the default) when all of them are. */
  readonly used?: number;
}

const UNIT = 2 ** -32;
const UNIT_24 = 2 ** -24;
const WORDS = 2 ** 32;

/** Fourth counter word of blocks that derive keys; blocks of numbers have 0 there, so the two never meet. */
const SPLIT = 0x73706c74;

/** Words made at a time when a buffer is filled: 8 KiB, which stays in the fastest cache. */
const CHUNK_WORDS = 2048;
const chunk = new Uint32Array(CHUNK_WORDS);
const derived = new Uint32Array(4);

const isWord = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < WORDS;

/**
 * A stream of random numbers: the same seed and names give the same bits in every JavaScript engine. Splitting by name
 * gives independent streams, so that a new consumer does not shift the draws of the others. Not for secrets.
 */
export class RandomStream {
  readonly #key: readonly [number, number];
  /** Blocks begun so far; a block is four words. */
  #counter: number;
  readonly #block = new Uint32Array(4);
  /** Next unused word of the block; 4 when it is used up. */
  #next = 4;

  private constructor(key: readonly [number, number], counter = 0) {
    this.#key = key;
    this.#counter = counter;
  }

  /**
   * @param seed Any safe integer.
   * @throws CoreError when it is not one.
   */
  static fromSeed(seed: number): RandomStream {
    if (!Number.isSafeInteger(seed))
      throw new CoreError('random', `The seed is ${seed}.`, { hint: 'Give a whole number below 2^53.' });
    const value = BigInt.asUintN(64, BigInt(seed));
    return new RandomStream([Number(value & 0xffffffffn), Number(value >> 32n)]).split('seed');
  }

  /** The stream that `state()` described. @throws CoreError for a state that cannot be one. */
  static fromState(state: RandomState): RandomStream {
    const { key, counter, used = 4 } = state ?? {};
    if (!Array.isArray(key) || key.length !== 2 || !key.every(isWord) || !Number.isSafeInteger(counter) || counter < 0)
      throw new CoreError('random', `${JSON.stringify(state)} is no state of a random stream.`);
    if (!Number.isInteger(used) || used < 1 || used > 4 || (used < 4 && counter === 0))
      throw new CoreError(
        'random',
        `The state of a random stream says that ${used} words of block ${counter} are used.`,
      );
    const stream = new RandomStream([key[0], key[1]], counter);
    if (used < 4) {
      stream.#counter -= 1;
      stream.#refill();
      stream.#next = used;
    }
    return stream;
  }

  /** An independent stream for a purpose (64-bit keys, derived from key and name); does not advance this one. */
  split(name: string): RandomStream {
    let key: readonly [number, number] = this.#key;
    // Four UTF-16 units per block; the last block also takes the length, so that no name is a prefix of another.
    for (let at = 0; at === 0 || at < name.length; at += 4) {
      const unit = (index: number): number => (at + index < name.length ? name.charCodeAt(at + index) : 0);
      const left = Math.min(4, name.length - at);
      philoxBlocks([unit(0) | (unit(1) << 16), unit(2) | (unit(3) << 16), left, SPLIT], key, derived);
      key = [derived[0] as number, derived[1] as number];
    }
    return new RandomStream(key);
  }

  state(): RandomState {
    return this.#next === 4
      ? { key: this.#key, counter: this.#counter }
      : { key: this.#key, counter: this.#counter, used: this.#next };
  }

  #blocks(out: Uint32Array, count: number): void {
    philoxBlocks([this.#counter >>> 0, Math.floor(this.#counter / WORDS) >>> 0, 0, 0], this.#key, out, 0, count);
    this.#counter += count;
  }

  #refill(): void {
    this.#blocks(this.#block, 1);
    this.#next = 0;
  }

  /** A 32-bit unsigned integer. */
  word(): number {
    if (this.#next === 4) this.#refill();
    return this.#block[this.#next++] as number;
  }
  /** A float64 strictly between 0 and 1, in steps of 2^-32. */
  uniform(): number {
    return (this.word() + 0.5) * UNIT;
  }
  /** Standard normal, to the precision of float32; within ±6.4, as 32 random bits allow. */
  normal(): number {
    return normalQuantile(this.uniform());
  }
  /** Standard Gumbel. */
  gumbel(): number {
    return -naturalLogarithm(-naturalLogarithm(this.uniform()));
  }
  /** Standard exponential. */
  exponential(): number {
    return -naturalLogarithm(this.uniform());
  }
  /**
   * An integer in [0, limit), unbiased.
   *
   * @param limit From 1 to 2^32. @throws CoreError
   */
  integer(limit: number): number {
    if (!Number.isInteger(limit) || limit < 1 || limit > WORDS)
      throw new CoreError('random', `A random integer below ${limit} was asked for.`, {
        hint: 'Give a whole number from 1 to 2^32.',
      });
    const rest = WORDS % limit;
    let word = this.word();
    while (word >= WORDS - rest) word = this.word();
    return word % limit;
  }

  /** Uniforms in [0, 1) as float32: 24 random bits each. The same numbers as words drawn one by one. */
  fillUniform(target: Float32Array): void {
    this.#fill(target, (words, at, count) => {
      for (let index = 0; index < count; index++) target[at + index] = ((words[index] as number) >>> 8) * UNIT_24;
    });
  }
  /** Standard normals. */
  fillNormal(target: Float32Array): void {
    this.#fill(target, (words, at, count) => {
      for (let index = 0; index < count; index++)
        target[at + index] = normalQuantile(((words[index] as number) + 0.5) * UNIT);
    });
  }
  /** Standard Gumbels. */
  fillGumbel(target: Float32Array): void {
    this.#fill(target, (words, at, count) => {
      for (let index = 0; index < count; index++)
        target[at + index] = -naturalLogarithm(-naturalLogarithm(((words[index] as number) + 0.5) * UNIT));
    });
  }
  /** -1 or 1 with equal probability. */
  fillRademacher(target: Float32Array): void {
    this.#fill(target, (words, at, count) => {
      for (let index = 0; index < count; index++) target[at + index] = (words[index] as number) >>> 31 === 0 ? -1 : 1;
    });
  }

  /** Hands words to `convert` in bulk: first what is left of the block, then many blocks at a time, then part of one. */
  #fill(target: Float32Array, convert: (words: Uint32Array, at: number, count: number) => void): void {
    const { length } = target;
    let at = 0;
    while (this.#next < 4 && at < length) {
      convert(this.#block.subarray(this.#next, this.#next + 1), at, 1);
      this.#next++;
      at++;
    }
    while (length - at >= 4) {
      const count = Math.min(CHUNK_WORDS, (length - at) & ~3);
      this.#blocks(chunk, count / 4);
      convert(chunk, at, count);
      at += count;
    }
    if (at < length) {
      this.#refill();
      convert(this.#block, at, length - at);
      this.#next = length - at;
    }
  }

  /** Shuffle in place (Fisher and Yates); gives back what it was given. */
  shuffle<T extends { length: number; [index: number]: unknown }>(values: T): T {
    const list: { length: number; [index: number]: unknown } = values;
    for (let index = list.length - 1; index > 0; index--) {
      const other = this.integer(index + 1);
      const kept = list[index];
      list[index] = list[other];
      list[other] = kept;
    }
    return values;
  }
  /** The numbers 0 to count - 1 in random order. */
  permutation(count: number): Uint32Array {
    const order = new Uint32Array(count);
    for (let index = 0; index < count; index++) order[index] = index;
    return this.shuffle(order);
  }
  /**
   * Index drawn with the given weights.
   *
   * @param weights Finite, not negative, not all 0; they need not add up to 1. @throws CoreError
   */
  categorical(weights: ArrayLike<number>): number {
    let total = 0;
    let last = -1;
    for (let index = 0; index < weights.length; index++) {
      const weight = weights[index] as number;
      if (!(weight >= 0))
        throw new CoreError('random', `The weight at index ${index} is ${weight}.`, {
          hint: 'Weights are numbers from 0.',
        });
      if (weight > 0) last = index;
      total += weight;
    }
    if (!(total > 0) || total === Infinity)
      throw new CoreError('random', `${weights.length} weights with the sum ${total} are no distribution.`, {
        hint: 'Give finite weights, at least one of them above 0.',
      });
    let left = this.uniform() * total;
    for (let index = 0; index < last; index++) {
      left -= weights[index] as number;
      if (left < 0) return index;
    }
    return last;
  }
  /**
   * Distinct indices drawn without replacement with probabilities ∝ exp(logWeights) (Gumbel top-k), in the order of the
   * draw; entries of -Infinity are never drawn.
   *
   * @throws CoreError when fewer than `count` can be drawn, or a weight is NaN or Infinity.
   */
  withoutReplacement(logWeights: ArrayLike<number>, count: number): number[] {
    const keys: number[] = [];
    const possible: number[] = [];
    for (let index = 0; index < logWeights.length; index++) {
      const weight = logWeights[index] as number;
      if (!(weight < Infinity))
        throw new CoreError('random', `The log-weight at index ${index} is ${weight}.`, {
          hint: 'Log-weights are numbers below Infinity.',
        });
      // Every entry takes a draw, so that excluding one does not shift the others.
      keys.push(weight + this.gumbel());
      if (weight > -Infinity) possible.push(index);
    }
    if (!Number.isInteger(count) || count < 0 || count > possible.length)
      throw new CoreError(
        'random',
        `${count} of ${possible.length} possible indices were asked for without replacement.`,
      );
    return possible.sort((a, b) => (keys[b] as number) - (keys[a] as number) || a - b).slice(0, count);
  }
}
