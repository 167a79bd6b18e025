import { RandomStream } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import { batchBuffers, exampleId, gather, type Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { ReadAhead } from './read-ahead.js';

/** Change a batch in place after it was read (augmentation). The stream depends on the seed and the place in the run. */
export type BatchTransform = (columns: Record<string, TensorData>, random: RandomStream) => void;

export interface BatchOptions {
  readonly batchSize: number;
  /** A new random order every epoch. Default: true. */
  readonly shuffle?: boolean;
  /** Seed of the orders and of the transformation; a safe integer. Default: 0. */
  readonly seed?: number;
  /** Leave out the last, smaller batch of an epoch. Default: true, so that all batches have one size. */
  readonly dropLast?: boolean;
  /** Passes over the data; default: no end. */
  readonly epochs?: number;
  readonly transform?: BatchTransform;
}

/** Where a cursor stands: the order of the examples follows from the seed and the epoch. */
export interface BatchPosition {
  /** Passes completed. */
  readonly epoch: number;
  /** Examples of this pass drawn so far. */
  readonly cursor: number;
  readonly seed: number;
  /** Number of examples, by which another dataset is noticed. */
  readonly length: number;
}

/** A batch whose buffers go back to the cursor when it is released. */
export interface DatasetBatch {
  readonly columns: Readonly<Record<string, TensorData>>;
  readonly size: number;
  /** Positions of the examples in the dataset. */
  readonly indices: Uint32Array;
  /** Stable ids of the examples. */
  readonly ids: readonly (number | string)[];
  /** Give the buffers back; the contents may change from then on. Calling it twice does no harm. */
  readonly release: () => void;
}

/** Buffers that are kept for reuse: one in the running step, one being filled ahead of it, one to spare. */
const KEPT_BUFFERS = 3;

class CursorBatch implements DatasetBatch {
  readonly release: () => void;
  #ids: readonly (number | string)[] | undefined;

  constructor(
    readonly dataset: Dataset,
    readonly columns: Record<string, TensorData>,
    readonly indices: Uint32Array,
    free: Record<string, TensorData>[],
    kept: number,
  ) {
    let released = false;
    this.release = () => {
      if (released) return;
      released = true;
      if (free.length < kept) free.push(columns);
    };
  }
  get size(): number {
    return this.indices.length;
  }
  get ids(): readonly (number | string)[] {
    this.#ids ??= Array.from(this.indices, (index) => exampleId(this.dataset, index));
    return this.#ids;
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Whether a value from a checkpoint is a position; it may name any dataset. */
export const isBatchPosition = (value: unknown): value is BatchPosition => {
  if (typeof value !== 'object' || value === null) return false;
  const { epoch, cursor, seed, length } = value as Partial<BatchPosition>;
  return isCount(epoch) && isCount(cursor) && isCount(length) && Number.isSafeInteger(seed) && cursor <= length;
};

/**
 * Draws batches from a dataset, epoch after epoch, from a position that can be stored and restored: the batches that
 * follow are the same bits as without the interruption. Buffers are reused once their batch is released, and never
 * before, so that a steady loop allocates none.
 *
 * @throws DataError for a batch size that does not fit.
 */
export class BatchCursor {
  /** Batches in one pass. */
  readonly batchesPerEpoch: number;
  #position: BatchPosition;
  #order: Uint32Array | undefined;
  readonly #free = new Map<number, Record<string, TensorData>[]>();
  readonly #kept: number;

  constructor(
    readonly dataset: Dataset,
    readonly options: BatchOptions,
    kept = KEPT_BUFFERS,
  ) {
    const { batchSize, dropLast = true, seed = 0, epochs } = options;
    if (!Number.isSafeInteger(batchSize) || batchSize < 1 || (dropLast && batchSize > dataset.length))
      throw new DataError(`The batch size is ${batchSize} for ${dataset.length} examples.`, {
        hint: 'Give an integer between 1 and the number of examples.',
      });
    if (dataset.length === 0) throw new DataError('The dataset has no examples to draw from.');
    if (!Number.isSafeInteger(seed)) throw new DataError(`The seed is ${seed}; it must be a safe integer.`);
    if (epochs !== undefined && !isCount(epochs))
      throw new DataError(`The number of epochs is ${epochs}; it must be a whole number.`);
    this.batchesPerEpoch = dropLast ? Math.floor(dataset.length / batchSize) : Math.ceil(dataset.length / batchSize);
    this.#position = { epoch: 0, cursor: 0, seed, length: dataset.length };
    this.#kept = kept;
  }

  #stream(): RandomStream {
    return RandomStream.fromSeed(this.#position.seed);
  }
  #makeOrder(epoch: number): Uint32Array {
    const { length } = this.dataset;
    return this.options.shuffle === false
      ? Uint32Array.from({ length }, (_, index) => index)
      : this.#stream().split('shuffle').split(String(epoch)).permutation(length);
  }

  /** The next batch; undefined after the last epoch. */
  next(): DatasetBatch | undefined {
    const { batchSize, epochs, dropLast = true, transform } = this.options;
    const { length } = this.dataset;
    let { epoch, cursor } = this.#position;
    if (dropLast ? cursor + batchSize > length : cursor >= length) {
      epoch++;
      cursor = 0;
      // In order, every epoch is the same.
      if (this.options.shuffle !== false) this.#order = undefined;
    }
    if (epochs !== undefined && epoch >= epochs) return undefined;
    this.#order ??= this.#makeOrder(epoch);
    const end = Math.min(cursor + batchSize, length);
    // A new order is a new array, so that this view stays true after the epoch.
    const indices = this.#order.subarray(cursor, end);
    let free = this.#free.get(indices.length);
    if (free === undefined) this.#free.set(indices.length, (free = []));
    const columns = gather(this.dataset, indices, free.pop() ?? batchBuffers(this.dataset, indices.length));
    transform?.(columns, this.#stream().split('transform').split(`${epoch}/${cursor}`));
    this.#position = { ...this.#position, epoch, cursor: end };
    return new CursorBatch(this.dataset, columns, indices, free, this.#kept);
  }

  /** Where the next batch begins, as JSON. */
  state(): BatchPosition {
    return this.#position;
  }

  /**
   * Continue from a stored position, with the seed stored in it.
   *
   * @throws DataError for anything else than a position in a dataset of this length.
   */
  restore(state: unknown): void {
    if (!isBatchPosition(state))
      throw new DataError('The stored state is no position in a dataset.', { details: { state } });
    if (state.length !== this.dataset.length)
      throw new DataError(
        `The stored position belongs to a dataset of ${state.length} examples; this one has ${this.dataset.length}.`,
        { hint: 'Continue with the data that the run began with, or start a new run.' },
      );
    const { epoch, cursor, seed, length } = state;
    this.#position = { epoch, cursor, seed, length };
    this.#order = undefined;
  }
}

export interface PrefetchOptions extends BatchOptions {
  /** Batches to read ahead while the caller waits for something else, such as a step; default: 1. */
  readonly prefetch?: number;
}

/** Batches as an async iterable that knows its position. */
export interface Batches extends AsyncIterable<DatasetBatch> {
  readonly batchesPerEpoch: number;
  /** Position after the last batch that the caller received; batches read ahead do not count. */
  state(): BatchPosition;
  /** Continue from a stored position. Iterators that run already are not changed. */
  restore(state: unknown): void;
}

/**
 * Batches for a loop: `for await (const batch of batches(dataset, { batchSize: 64 })) …`. While the body waits, the next
 * ones are read ahead. A batch is valid until the next one is asked for: then its buffers go back into a ring of
 * `prefetch + 2`, one per batch read ahead, one with the caller and one being filled.
 */
export function batches(dataset: Dataset, { prefetch = 1, ...options }: PrefetchOptions): Batches {
  if (!isCount(prefetch))
    throw new DataError(`The number of batches to prefetch is ${prefetch}; it must be a whole number.`);
  const first = new BatchCursor(dataset, options);
  const { batchesPerEpoch } = first;
  let position = first.state();

  async function* iterate(): AsyncGenerator<DatasetBatch, void, undefined> {
    const cursor = new BatchCursor(dataset, options, prefetch + 2);
    cursor.restore(position);
    const ahead = new ReadAhead(() => {
      const batch = cursor.next();
      return batch === undefined ? undefined : { batch, after: cursor.state() };
    }, prefetch);
    try {
      for (let entry = ahead.take(); entry !== undefined; entry = ahead.take()) {
        position = entry.after;
        yield entry.batch;
        entry.batch.release();
      }
    } finally {
      ahead.stop();
    }
  }

  return {
    batchesPerEpoch,
    state: () => position,
    restore(state) {
      const cursor = new BatchCursor(dataset, options);
      cursor.restore(state);
      position = cursor.state();
    },
    [Symbol.asyncIterator]: iterate,
  };
}
