import {
  defineOptions,
  instantiatePlugin,
  OPTIONS,
  plugin,
  type Batch,
  type DrawContext,
  type JsonValue,
  type Sampler,
} from '@updraft/core';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { BatchCursor, isBatchPosition, type BatchOptions, type BatchTransform } from './batches.js';
import { batchColumns, type Dataset } from './dataset.js';
import { DATASET, provideDataset, requireDataset } from './dataset-service.js';
import { DataError } from './errors.js';

/** A cursor as a sampler: what is drawn next is what comes next in the order. */
abstract class CursorSampler implements Sampler {
  readonly columns: Sampler['columns'];
  readonly batchesPerEpoch: number;
  readonly #dataset: Dataset;
  readonly #options: BatchOptions;
  #cursor: BatchCursor;
  #seeded: boolean;

  constructor(dataset: Dataset, options: BatchOptions) {
    this.#dataset = dataset;
    this.#options = options;
    this.columns = batchColumns(dataset);
    this.#cursor = new BatchCursor(dataset, options);
    this.#seeded = options.seed !== undefined || options.shuffle === false;
    this.batchesPerEpoch = this.#cursor.batchesPerEpoch;
  }

  draw({ random }: DrawContext): Batch | undefined {
    if (!this.#seeded) {
      this.#cursor = new BatchCursor(this.#dataset, { ...this.#options, seed: random.split('order').word() });
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

const epochs = z.number().int().min(1);

const shuffledOptions = defineOptions({
  batchSize: z.number().int().min(1).default(64).describe('Examples in a batch.'),
  seed: z
    .number()
    .int()
    .optional()
    .describe('Seed of the order; default: drawn from the seed of the run and stored with the position.'),
  dropLast: z.boolean().default(true).describe('Leave out the last, smaller batch of an epoch.'),
  epochs: epochs.optional().describe('Passes over the data; default: no end.'),
  transform: z
    .custom<BatchTransform>((value) => typeof value === 'function', 'expected a function of columns and random stream')
    .optional()
    .describe('Changes every batch in place (augmentation).'),
});

const inOrderOptions = defineOptions({
  batchSize: z
    .number()
    .int()
    .min(1)
    .default(500)
    .describe('Examples in a batch; the last one of an epoch may be smaller.'),
  epochs: epochs.default(1).describe('Passes over the data.'),
});

export type ShuffledOptions = z.input<typeof shuffledOptions>;

/** Batches of a dataset in random order, epoch after epoch. */
@plugin({
  name: 'shuffled',
  contract: 'sampler',
  options: shuffledOptions,
  summary: 'Batches in a new random order every epoch.',
})
export class ShuffledSampler extends CursorSampler {
  constructor(
    @inject(OPTIONS) { batchSize, dropLast, seed, epochs, transform }: z.output<typeof shuffledOptions>,
    @inject(DATASET, { isOptional: true }) dataset: Dataset | undefined,
  ) {
    super(requireDataset(dataset, 'shuffled'), {
      batchSize,
      dropLast,
      ...(seed === undefined ? {} : { seed }),
      ...(epochs === undefined ? {} : { epochs }),
      ...(transform === undefined ? {} : { transform }),
    });
  }
}

/** Batches of a dataset in its own order, the last one possibly smaller: for evaluation. */
@plugin({
  name: 'in-order',
  contract: 'sampler',
  options: inOrderOptions,
  summary: 'Batches in the order of the data, for evaluation and for data that are ordered on purpose.',
})
export class InOrderSampler extends CursorSampler {
  constructor(
    @inject(OPTIONS) { batchSize, epochs }: z.output<typeof inOrderOptions>,
    @inject(DATASET, { isOptional: true }) given: Dataset | undefined,
  ) {
    const dataset = requireDataset(given, 'in-order');
    super(dataset, { batchSize: Math.min(batchSize, dataset.length), shuffle: false, dropLast: false, epochs });
  }
}

/** Batches of a dataset in random order, epoch after epoch. @throws OptionsError, DataError */
export const shuffled = (dataset: Dataset, options: ShuffledOptions = {}): Sampler =>
  instantiatePlugin(ShuffledSampler, options, provideDataset(dataset));

/** Batches in order, once, the last one possibly smaller: for evaluation. @throws OptionsError, DataError */
export const inOrder = (dataset: Dataset, batchSize?: number): Sampler =>
  instantiatePlugin(InOrderSampler, batchSize === undefined ? {} : { batchSize }, provideDataset(dataset));
