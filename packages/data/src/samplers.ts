import { RandomStream, type Batch, type DrawContext, type JsonValue, type Sampler } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import { batchBuffers, batchColumns, gather, type Dataset } from './dataset.js';
import { DataError } from './errors.js';

export interface ShuffledOptions {
  readonly batchSize: number;
  /** Seed of the order; every epoch has an order of its own. Default 0. */
  readonly seed?: number;
  /** Leave out the last, smaller batch of an epoch. Default: true, so that all batches have one size. */
  readonly dropLast?: boolean;
  /** Passes over the data; default: no end. */
  readonly epochs?: number;
  /** Change a batch after it was read (augmentation). */
  readonly transform?: (columns: Record<string, TensorData>, random: RandomStream) => void;
}

interface Position {
  readonly epoch: number;
  readonly batch: number;
}

const isPosition = (value: unknown): value is Position =>
  typeof value === 'object' &&
  value !== null &&
  Number.isSafeInteger((value as Position).epoch) &&
  Number.isSafeInteger((value as Position).batch);

/** Buffers that are in use at most: one in the running step, one being filled ahead of it. */
const RING = 3;

/**
 * Batches in a new random order every epoch. The state is a position: the order follows from the seed and the epoch.
 * Buffers are reused once a batch is released, so that no step allocates.
 */
class ShuffledSampler implements Sampler {
  readonly columns: Sampler['columns'];
  readonly batchesPerEpoch: number;
  #position: Position = { epoch: 0, batch: 0 };
  #order: Uint32Array | undefined;
  readonly #free = new Map<number, Record<string, TensorData>[]>();

  constructor(
    readonly dataset: Dataset,
    readonly options: ShuffledOptions,
    readonly shuffles: boolean,
  ) {
    const { batchSize, dropLast = true } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1 || (dropLast && batchSize > dataset.length))
      throw new DataError(`The batch size is ${batchSize} for ${dataset.length} examples.`, {
        hint: 'Give an integer between 1 and the number of examples.',
      });
    this.columns = batchColumns(dataset);
    this.batchesPerEpoch = dropLast ? Math.floor(dataset.length / batchSize) : Math.ceil(dataset.length / batchSize);
  }

  #orderOf(epoch: number): Uint32Array {
    return this.shuffles
      ? RandomStream.fromSeed(this.options.seed ?? 0).split('shuffle').split(String(epoch)).permutation(this.dataset.length)
      : Uint32Array.from({ length: this.dataset.length }, (_, index) => index);
  }

  draw({ random }: DrawContext): Batch | undefined {
    const { batchSize, epochs, transform } = this.options;
    let { epoch, batch } = this.#position;
    if (batch >= this.batchesPerEpoch) {
      epoch++;
      batch = 0;
      this.#order = undefined;
    }
    if (epochs !== undefined && epoch >= epochs) return undefined;
    this.#order ??= this.#orderOf(epoch);
    this.#position = { epoch, batch: batch + 1 };
    const ids = this.#order.subarray(batch * batchSize, Math.min((batch + 1) * batchSize, this.dataset.length));
    const free = this.#free.get(ids.length) ?? [];
    this.#free.set(ids.length, free);
    const columns = gather(this.dataset, ids, free.pop() ?? batchBuffers(this.dataset, ids.length));
    transform?.(columns, random.split('transform'));
    return {
      columns,
      size: ids.length,
      ids: Array.from(ids),
      release: () => {
        if (free.length < RING) free.push(columns);
      },
    };
  }

  state(): JsonValue {
    return { epoch: this.#position.epoch, batch: this.#position.batch };
  }

  restore(state: JsonValue): void {
    if (!isPosition(state)) throw new DataError('The stored state of the sampler is no position in a dataset.', { details: { state } });
    this.#position = { epoch: state.epoch, batch: state.batch };
    this.#order = undefined;
  }
}

/** Batches of a dataset in random order, epoch after epoch. */
export const shuffled = (dataset: Dataset, options: ShuffledOptions): Sampler => new ShuffledSampler(dataset, options, true);

/** Batches in order, once, the last one possibly smaller: for evaluation. */
export const inOrder = (dataset: Dataset, batchSize: number): Sampler =>
  new ShuffledSampler(dataset, { batchSize: Math.min(batchSize, dataset.length), dropLast: false, epochs: 1 }, false);
