import { sizeOfDims, valuesOf, type Values } from './values.js';

export interface Drawing {
  readonly low?: number;
  readonly high?: number;
  /** Points where a function has no derivative: values keep `margin` away from them. */
  readonly kinks?: readonly number[];
  /** Default: 0.03, far above the steps of difference quotients. */
  readonly margin?: number;
}

/** A stream of numbers that is the same in every run, one per name. */
export class Random {
  #state: number;

  constructor(name: string) {
    // FNV-1a.
    let hash = 0x811c9dc5;
    for (const letter of name) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
    this.#state = hash >>> 0;
  }

  /** In [0, 1): Mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  /** A number that is the same in float32 and float64. */
  between(low: number, high: number): number {
    return Math.fround(low + (high - low) * this.next());
  }
  /** 0, 1, ..., count - 1. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }
  /** low, ..., high. */
  integer(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
  chance(probability = 0.5): boolean {
    return this.next() < probability;
  }
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
  shuffled<T>(items: readonly T[]): T[] {
    const copy = [...items];
    for (let at = copy.length - 1; at > 0; at--) {
      const other = this.below(at + 1);
      [copy[at], copy[other]] = [copy[other] as T, copy[at] as T];
    }
    return copy;
  }
  /** Sizes of a tensor. */
  dims(lowestRank: number, highestRank: number, largest = 4): number[] {
    return Array.from({ length: this.integer(lowestRank, highestRank) }, () => this.integer(1, largest));
  }
  /** An axis of this rank, counted from the front or from the back. */
  axis(rank: number): number {
    const axis = this.below(rank);
    return this.chance() ? axis : axis - rank;
  }
  /** Some distinct axes, in any order and counted from either end. */
  axes(rank: number, count = this.integer(0, rank)): number[] {
    return this.shuffled(Array.from({ length: rank }, (_, axis) => axis))
      .slice(0, count)
      .map((axis) => (this.chance() ? axis : axis - rank));
  }

  #draw({ low = -1, high = 1, kinks = [], margin = 0.03 }: Drawing): number {
    for (;;) {
      const value = this.between(low, high);
      if (kinks.every((kink) => Math.abs(value - kink) >= margin)) return value;
    }
  }
  values(dims: readonly number[], drawing: Drawing = {}): Values {
    return valuesOf(
      dims,
      Array.from({ length: sizeOfDims(dims) }, () => this.#draw(drawing)),
    );
  }
  integers(dims: readonly number[], low: number, high: number): Values {
    return valuesOf(
      dims,
      Array.from({ length: sizeOfDims(dims) }, () => this.integer(low, high)),
    );
  }
  /** Tensors of which no two elements are closer than 0.06: maxima, minima and orders are those of the neighbourhood. */
  distinct(...shapes: readonly (readonly number[])[]): Values[] {
    const total = shapes.reduce((count, dims) => count + sizeOfDims(dims), 0);
    const spaced = this.shuffled(Array.from({ length: total }, (_, at) => (at - total / 2) * 0.1));
    return shapes.map((dims) =>
      valuesOf(
        dims,
        Array.from({ length: sizeOfDims(dims) }, () =>
          Math.fround((spaced.pop() as number) + 0.04 * (this.next() - 0.5)),
        ),
      ),
    );
  }
  /** Two shapes that broadcast, in any direction. */
  broadcastable(highestRank = 4): [number[], number[]] {
    const whole = this.dims(0, highestRank, 3);
    const narrowed = (): number[] => {
      const dropped = this.chance(0.3) ? this.integer(0, whole.length) : 0;
      return whole.slice(dropped).map((dim) => (this.chance(0.3) ? 1 : dim));
    };
    return [narrowed(), narrowed()];
  }
}
