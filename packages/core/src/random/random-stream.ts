import { normalQuantile, naturalLogarithm } from './normal-quantile.js';
import { philox } from './philox.js';

/** Where a stream stands, for checkpoints. */
export interface RandomState {
  readonly key: readonly [number, number];
  readonly counter: number;
}

/** 2^-32 and half of it: uniforms lie strictly inside (0, 1). */
const UNIT = 2 ** -32;

/** FNV-1a of a name, twice with different offsets: 64 bits. */
function hashName(name: string): [number, number] {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    a = Math.imul(a ^ code, 0x01000193) >>> 0;
    b = Math.imul(b ^ code, 0x85ebca6b) >>> 0;
    b = (b ^ (b >>> 13)) >>> 0;
  }
  return [a, b];
}

/**
 * A stream of random numbers: the same seed and names give the same bits in every JavaScript engine. Splitting by name
 * gives independent streams, so that a new consumer does not shift the draws of the others.
 */
export class RandomStream {
  readonly #key: readonly [number, number];
  /** Blocks used so far; a block is four words. */
  #counter: number;
  readonly #block = new Uint32Array(4);
  /** Next unused word of the block; 4 when it is used up. */
  #next = 4;

  private constructor(key: readonly [number, number], counter = 0) {
    this.#key = key;
    this.#counter = counter;
  }

  /** @param seed Any safe integer. */
  static fromSeed(seed: number): RandomStream {
    const value = BigInt.asUintN(64, BigInt(Math.trunc(seed)));
    return new RandomStream([Number(value & 0xffffffffn), Number(value >> 32n)]).split('seed');
  }
  static fromState(state: RandomState): RandomStream {
    return new RandomStream(state.key, state.counter);
  }

  /** An independent stream for a purpose; does not advance this one. */
  split(name: string): RandomStream {
    const [a, b] = hashName(name);
    const out = new Uint32Array(4);
    // The counter's upper half marks splits, so that they never meet the stream's own blocks.
    philox(a, b, name.length >>> 0, 0x73706c74, this.#key[0], this.#key[1], out);
    return new RandomStream([out[0] as number, out[1] as number]);
  }

  /** State at the next whole block; unused words of the current one are dropped on restore. */
  state(): RandomState {
    return { key: this.#key, counter: this.#counter };
  }

  #refill(): void {
    philox(this.#counter >>> 0, Math.floor(this.#counter / 2 ** 32) >>> 0, 0, 0, this.#key[0], this.#key[1], this.#block);
    this.#counter++;
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
  /** Standard normal. */
  normal(): number {
    return normalQuantile(this.uniform());
  }
  /** Standard Gumbel. */
  gumbel(): number {
    return -naturalLogarithm(-naturalLogarithm(this.uniform()));
  }
  /** An integer in [0, limit), unbiased. */
  integer(limit: number): number {
    const rest = 2 ** 32 % limit;
    let word = this.word();
    while (word >= 2 ** 32 - rest) word = this.word();
    return word % limit;
  }

  /** Uniforms in [0, 1) as float32: 24 random bits each. */
  fillUniform(target: Float32Array): void {
    for (let index = 0; index < target.length; index++) target[index] = (this.word() >>> 8) * 2 ** -24;
  }
  fillNormal(target: Float32Array): void {
    for (let index = 0; index < target.length; index++) target[index] = normalQuantile((this.word() + 0.5) * UNIT);
  }

  /** Shuffle in place (Fisher and Yates). */
  shuffle(values: { length: number; [index: number]: number }): void {
    for (let index = values.length - 1; index > 0; index--) {
      const other = this.integer(index + 1);
      const kept = values[index] as number;
      values[index] = values[other] as number;
      values[other] = kept;
    }
  }
  /** The numbers 0 to count - 1 in random order. */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    this.shuffle(order);
    return order;
  }
  /** Index drawn with the given non-negative weights. */
  categorical(weights: ArrayLike<number>): number {
    let total = 0;
    for (let index = 0; index < weights.length; index++) total += weights[index] as number;
    let left = this.uniform() * total;
    for (let index = 0; index < weights.length; index++) {
      left -= weights[index] as number;
      if (left < 0) return index;
    }
    return weights.length - 1;
  }
  /** `count` distinct indices drawn without replacement with probabilities ∝ exp(logWeights) (Gumbel top-k). */
  withoutReplacement(logWeights: ArrayLike<number>, count: number): number[] {
    const keys = Array.from(logWeights, (weight) => weight + this.gumbel());
    return keys
      .map((_, index) => index)
      .sort((a, b) => (keys[b] as number) - (keys[a] as number) || a - b)
      .slice(0, count);
  }
}
