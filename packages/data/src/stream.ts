import { RandomStream, type Batch, type DrawContext, type JsonValue, type Sampler } from '@updraft/core';
import { elementCount, writeElement, type TensorData } from '@updraft/graph';
import { batchBuffers, batchColumns, type ColumnSpec, type Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { fromTensors } from './in-memory.js';

/** One example of a stream: a number, or the elements of a tensor in row-major order, for each column. */
export type StreamExample = Readonly<Record<string, number | ArrayLike<number>>>;
export type Examples = AsyncIterable<StreamExample> | Iterable<StreamExample>;

type Columns = Readonly<Record<string, ColumnSpec>>;

/** Write an example into a row of batch buffers. @throws DataError for missing columns and wrong sizes. */
function writeExample(
  columns: Columns,
  buffers: Readonly<Record<string, TensorData>>,
  row: number,
  example: StreamExample,
  at: number,
): void {
  for (const name in columns) {
    const size = elementCount((columns[name] as ColumnSpec).shape);
    const value = example[name];
    const length = typeof value === 'number' ? 1 : value?.length;
    if (value === undefined || length !== size)
      throw new DataError(
        `Example ${at} of the stream has ${value === undefined ? 'no' : String(length)} elements in column "${name}"; there must be ${size}.`,
      );
    const target = buffers[name] as TensorData;
    if (typeof value === 'number') writeElement(target, row * size, value);
    else
      for (let element = 0; element < size; element++)
        writeElement(target, row * size + element, value[element] as number);
  }
}

/**
 * Read a stream into memory.
 *
 * @throws DataError when it holds more than `maxExamples` (default 10 million), or nothing.
 */
export async function collect(examples: Examples, columns: Columns, { maxExamples = 1e7 } = {}): Promise<Dataset> {
  const kept: StreamExample[] = [];
  for await (const example of examples) {
    if (kept.length >= maxExamples)
      throw new DataError(`The stream holds more than ${maxExamples} examples.`, {
        hint: 'Raise maxExamples, or draw from it with streamed().',
      });
    kept.push(example);
  }
  if (kept.length === 0) throw new DataError('The stream holds no examples.');
  const buffers = batchBuffers({ columns }, kept.length);
  kept.forEach((example, at) => {
    writeExample(columns, buffers, at, example, at);
  });
  return fromTensors(buffers, columns);
}

export interface StreamOptions {
  readonly columns: Columns;
  readonly batchSize: number;
  /** Examples held back to draw from at random; 0 (default) keeps the order of the stream. */
  readonly shuffleBuffer?: number;
  readonly seed?: number;
  /** Leave out the last, smaller batch of an epoch. Default: true. */
  readonly dropLast?: boolean;
  /** Passes over the stream; default: no end. */
  readonly epochs?: number;
}

/** Buffers kept for reuse, as in `batches.ts`. */
const KEPT_BUFFERS = 3;

/**
 * Draws batches from a source that can only be read in order, such as a file or a feed. The position is the number of
 * batches drawn in this epoch: after a restore the source is read again up to there, so it must give the same examples.
 */
class StreamSampler implements Sampler {
  readonly columns: Sampler['columns'];
  #epoch = 0;
  #batch = 0;
  #examples: AsyncGenerator<StreamExample, void, undefined> | undefined;
  #read = 0;
  readonly #free = new Map<number, Record<string, TensorData>[]>();

  constructor(
    readonly source: (epoch: number) => Examples,
    readonly options: StreamOptions,
  ) {
    const { batchSize, shuffleBuffer = 0 } = options;
    if (!Number.isSafeInteger(batchSize) || batchSize < 1 || !Number.isSafeInteger(shuffleBuffer) || shuffleBuffer < 0)
      throw new DataError(
        `The batch size is ${batchSize} and the shuffle buffer ${shuffleBuffer}; both count examples.`,
      );
    this.columns = batchColumns(options);
  }

  /** The stream of an epoch, shuffled within a buffer: each example replaces a random one, which comes out. */
  async *#shuffledExamples(epoch: number): AsyncGenerator<StreamExample, void, undefined> {
    const { shuffleBuffer = 0, seed = 0 } = this.options;
    const random = RandomStream.fromSeed(seed).split('stream').split(String(epoch));
    const held: StreamExample[] = [];
    for await (const example of this.source(epoch)) {
      if (shuffleBuffer === 0) yield example;
      else if (held.length < shuffleBuffer) held.push(example);
      else {
        const at = random.integer(held.length);
        const out = held[at] as StreamExample;
        held[at] = example;
        yield out;
      }
    }
    for (const at of random.permutation(held.length)) yield held[at] as StreamExample;
  }

  /** The next examples of this epoch: a whole batch, or what is left. */
  async #nextExamples(): Promise<StreamExample[]> {
    if (this.#examples === undefined) {
      this.#examples = this.#shuffledExamples(this.#epoch);
      this.#read = 0;
    }
    const taken: StreamExample[] = [];
    while (taken.length < this.options.batchSize) {
      const { done, value } = await this.#examples.next();
      if (done === true) break;
      taken.push(value);
      this.#read++;
    }
    return taken;
  }

  async draw(_context?: DrawContext): Promise<Batch | undefined> {
    const { batchSize, dropLast = true, epochs } = this.options;
    if (this.#examples === undefined && (epochs === undefined || this.#epoch < epochs))
      for (let batch = 0; batch < this.#batch; batch++) await this.#nextExamples();
    let taken: StreamExample[] = [];
    for (let fresh = this.#batch === 0; ; fresh = true) {
      if (epochs !== undefined && this.#epoch >= epochs) return undefined;
      taken = await this.#nextExamples();
      if (taken.length === batchSize || (!dropLast && taken.length > 0)) break;
      if (fresh)
        throw new DataError(`The stream holds ${taken.length} examples; a batch needs ${dropLast ? batchSize : 1}.`);
      this.#epoch++;
      this.#batch = 0;
      this.#examples = undefined;
    }
    let free = this.#free.get(taken.length);
    if (free === undefined) this.#free.set(taken.length, (free = []));
    const columns = free.pop() ?? batchBuffers(this.options, taken.length);
    const begin = this.#read - taken.length;
    taken.forEach((example, row) => {
      writeExample(this.options.columns, columns, row, example, begin + row);
    });
    this.#batch++;
    let released = false;
    return {
      columns,
      size: taken.length,
      release: () => {
        if (!released && free.length < KEPT_BUFFERS) free.push(columns);
        released = true;
      },
    };
  }

  state(): JsonValue {
    return { epoch: this.#epoch, batch: this.#batch };
  }

  restore(state: JsonValue): void {
    const { epoch, batch } = (typeof state === 'object' && state !== null ? state : {}) as {
      epoch?: unknown;
      batch?: unknown;
    };
    if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(batch) || (epoch as number) < 0 || (batch as number) < 0)
      throw new DataError('The stored state of the sampler is no position in a stream.', { details: { state } });
    this.#epoch = epoch as number;
    this.#batch = batch as number;
    this.#examples = undefined;
  }
}

/** Batches from a stream that `source` opens anew for every epoch. */
export const streamed = (source: (epoch: number) => Examples, options: StreamOptions): Sampler =>
  new StreamSampler(source, options);
