import {
  CoreError,
  defineOptions,
  instantiatePlugin,
  OPTIONS,
  plugin,
  scalarAt,
  type Batch,
  type DrawContext,
  type Feedback,
  type JsonValue,
  type RandomStream,
  type Sampler,
  type Schedule,
} from '@updraft/core';
import {
  batchColumns,
  DataError,
  DATASET,
  exampleId,
  gather,
  provideDataset,
  requireDataset,
  type Dataset,
} from '@updraft/data';
import { elementCount, type TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { METRICS } from './batch-statistics.js';
import { candidateSize, nextBatchSize } from './size-tests.js';
import { gradientStatistics, type GradientRows, type GradientStatistics } from './statistics.js';

const adaptiveBatchOptions = defineOptions({
  test: z
    .enum(['norm', 'ip', 'ip+orth', 'coord'])
    .default('norm')
    .describe('Test that asks for larger batches: norm, inner product, both parts of it, or coordinate by coordinate.'),
  eta: z
    .number()
    .positive()
    .default(0.1)
    .describe('η of the norm test and the coordinate test: noise of the gradient over its norm.'),
  theta: z.number().positive().default(0.5).describe('θ of the inner product test.'),
  nu: z.number().positive().default(1).describe('ν of the orthogonality test.'),
  initialBatch: z
    .number()
    .int()
    .min(2)
    .default(16)
    .describe('Size of the first batch; below 8 its noise may jump to the largest at once.'),
  maxBatch: z.number().int().min(2).optional().describe('Largest batch; default: the whole dataset.'),
  interval: z.number().int().min(1).default(1).describe('Test after steps 1, 1 + interval, ….'),
  perTensor: z
    .boolean()
    .default(false)
    .describe('Inner products tensor by tensor, as in the code, instead of all parameters as one vector.'),
  growth: z.number().gt(1).optional().describe('Largest factor from one batch to the next; default: none.'),
  sizes: z
    .enum(['all', 'powers-of-two'])
    .default('all')
    .describe('Sizes that grown batches may have; powers of two need few programs where sizes are compiled.'),
  samples: z.number().int().min(1).optional().describe('End once so many examples were drawn; default: no end.'),
});
export type AdaptiveBatchOptions = z.input<typeof adaptiveBatchOptions>;

/** Columns of gradients that a reward may give per example: `gradients`, or `gradients/<parameter>`. */
const GRADIENTS = 'gradients';

const stateSchema = z.strictObject({ size: z.number().int().min(2), drawn: z.number().int().min(0) });

/**
 * Batches whose size follows the noise of their gradients (Lau, Liu and Kolar 2024, AdAdaGrad): after a step, a test of the
 * variance of its gradients says how large the next batch must be for its gradient to be as exact, relative to its norm, as
 * is wanted. Sizes never fall. Examples are drawn without replacement within a batch, anew for every batch.
 *
 * The statistics come with the metrics of the step, from a rule that reports them (`adaGrad({ statistics: 'norm' })`,
 * `chain(batchStatistics('norm'), …)`), or from gradients of every example that the reward gives as `perExample`.
 */
@plugin({
  name: 'adadagrad',
  contract: 'sampler',
  options: adaptiveBatchOptions,
  summary: 'Batches that grow with the noise of their gradients.',
  paper: 'Lau, Liu and Kolar 2024, AdAdaGrad: Adaptive Batch Size Schemes for Adaptive Gradient Methods',
})
export class AdaptiveBatch implements Sampler {
  readonly columns: Sampler['columns'];
  readonly #dataset: Dataset;
  readonly #largest: number;
  /** b_k, and how many examples the batches so far had. */
  #size: number;
  #drawn = 0;

  constructor(
    @inject(OPTIONS) readonly options: z.output<typeof adaptiveBatchOptions>,
    @inject(DATASET, { isOptional: true }) dataset: Dataset | undefined,
  ) {
    this.#dataset = requireDataset(dataset, 'adadagrad');
    const { initialBatch, maxBatch } = this.options;
    this.#largest = Math.min(maxBatch ?? Infinity, this.#dataset.length);
    if (initialBatch > this.#largest)
      throw new DataError(`Batches begin with ${initialBatch} examples, and ${this.#largest} are the most.`, {
        hint: 'Choose an initialBatch of at most maxBatch and the length of the dataset.',
      });
    this.#size = initialBatch;
    this.columns = batchColumns(this.#dataset);
  }

  draw({ random }: DrawContext): Batch | undefined {
    if (this.options.samples !== undefined && this.#drawn >= this.options.samples) return undefined;
    const positions = distinct(random, this.#dataset.length, this.#size);
    this.#drawn += positions.length;
    return {
      columns: gather(this.#dataset, positions),
      size: positions.length,
      ids: positions.map((position) => exampleId(this.#dataset, position)),
    };
  }

  observe({ step, batch, metrics, perExample }: Feedback): void {
    // The first step is k = 0.
    if ((step - 1) % this.options.interval !== 0 || batch.size < 2 || this.#size >= this.#largest) return;
    const candidate = candidateSize(this.options.test, this.#statistics(metrics, perExample), this.options);
    const { growth, sizes } = this.options;
    this.#size = nextBatchSize(this.#size, candidate, { maxBatch: this.#largest, growth, sizes });
  }

  state(): JsonValue {
    return { size: this.#size, drawn: this.#drawn };
  }
  restore(state: JsonValue): void {
    const parsed = stateSchema.safeParse(state);
    if (!parsed.success || parsed.data.size > this.#largest)
      throw new DataError('The stored state is none of an adaptive batch of this dataset.', { details: { state } });
    this.#size = parsed.data.size;
    this.#drawn = parsed.data.drawn;
  }

  /** A schedule over examples instead of steps: its step is the number of examples before the present batch, at least 1. */
  bySamples(schedule: Schedule): Schedule {
    return { at: () => scalarAt(schedule, Math.max(1, this.#drawn - this.#size)) };
  }

  #statistics(metrics: Feedback['metrics'], perExample: Feedback['perExample']): GradientStatistics {
    const { perTensor, test } = this.options;
    const given = Object.entries(perExample).filter(([name]) => name.split('/')[0] === GRADIENTS);
    if (given.length > 0)
      return gradientStatistics(Object.fromEntries(given.map(([name, value]) => [name, rowsOf(value)])), { perTensor });
    const read = (name: keyof typeof METRICS): number => metrics[METRICS[name]] ?? NaN;
    if (metrics[METRICS.squaredNorm] === undefined || metrics[NEEDED[test]] === undefined)
      throw new CoreError('sampler', `The step reports no statistics for the test "${test}" of its batch.`, {
        hint: `Use a rule that does, adaGrad({ statistics: '${test}' }) or chain(batchStatistics('${test}'), …), at every step that the interval of the sampler tests.`,
      });
    return {
      squaredNorm: read('squaredNorm'),
      variance: read('variance'),
      innerProductVariance: read(perTensor ? 'tensorInnerProductVariance' : 'innerProductVariance'),
      orthogonalVariance: read(perTensor ? 'tensorOrthogonalVariance' : 'orthogonalVariance'),
      coordinateRatio: read('coordinateRatio'),
    };
  }
}

/** The metric that only a report for this test has. */
const NEEDED = {
  norm: METRICS.variance,
  ip: METRICS.innerProductVariance,
  'ip+orth': METRICS.orthogonalVariance,
  coord: METRICS.coordinateRatio,
} as const;

function rowsOf({ dims, data }: TensorData): GradientRows {
  const width = elementCount(dims.slice(1));
  return Array.from({ length: dims[0] ?? 0 }, (_, row) =>
    (data as Float32Array).subarray(row * width, (row + 1) * width),
  );
}

/** Different numbers below `length`, in random order: the beginning of a shuffle, of which only what moved is kept. */
function distinct(random: RandomStream, length: number, count: number): number[] {
  const moved = new Map<number, number>();
  return Array.from({ length: count }, (_, at) => {
    const other = at + random.integer(length - at);
    const found = moved.get(other) ?? other;
    moved.set(other, moved.get(at) ?? at);
    return found;
  });
}

/** Batches of a dataset whose size follows the noise of their gradients. @throws OptionsError, DataError */
export const adaptiveBatch = (dataset: Dataset, given: AdaptiveBatchOptions = {}): AdaptiveBatch =>
  instantiatePlugin(AdaptiveBatch, given, provideDataset(dataset));
