import type { Batch, DrawContext, JsonValue, Sampler } from '@updraft/core';
import { BatchCursor, isBatchPosition, type BatchOptions } from './batches.js';
import { batchColumns, type Dataset } from './dataset.js';
import { DataError } from './errors.js';

export interface ShuffledOptions extends Omit<BatchOptions, 'shuffle'> {
  /** Seed of the order. Default: drawn from the seed of the run, and stored with the position. */
  readonly seed?: number;
}

/** A cursor as a sampler: what is drawn next is what comes next in the order. */
class CursorSampler implements Sampler {
  readonly columns: Sampler['columns'];
  readonly batchesPerEpoch: number;
  #cursor: BatchCursor;
  #seeded: boolean;

  constructor(
    readonly dataset: Dataset,
    readonly options: BatchOptions,
  ) {
    this.columns = batchColumns(dataset);
    this.#cursor = new BatchCursor(dataset, options);
    this.#seeded = options.seed !== undefined || options.shuffle === false;
    this.batchesPerEpoch = this.#cursor.batchesPerEpoch;
  }

  draw({ random }: DrawContext): Batch | undefined {
    if (!this.#seeded) {
      this.#cursor = new BatchCursor(this.dataset, { ...this.options, seed: random.split('order').word() });
      this.#seeded = true;
    }
    return this.#cursor.next();
  }

  state(): JsonValue {
    return { ...this.#cursor.state(), seeded: this.#seeded };
  }

  restore(state: JsonValue): void {
    if (!isBatchPosition(state))
      throw new DataError('The stored state of the sampler is no position in a dataset.', { details: { state } });
    this.#cursor.restore(state);
    this.#seeded = (state as { readonly seeded?: unknown }).seeded !== false;
  }
}

/** Batches of a dataset in random order, epoch after epoch. */
export const shuffled = (dataset: Dataset, options: ShuffledOptions): Sampler => new CursorSampler(dataset, options);

/** Batches in order, once, the last one possibly smaller: for evaluation. */
export const inOrder = (dataset: Dataset, batchSize: number): Sampler =>
  new CursorSampler(dataset, {
    batchSize: Math.min(batchSize, dataset.length),
    shuffle: false,
    dropLast: false,
    epochs: 1,
  });
