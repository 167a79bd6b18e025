import { emptyTensor, type Dim, type TensorData } from '@updraft/graph';
import type { Batch } from '../contracts/sampler.js';
import { CoreError } from '../errors.js';
import { PREFIX, type NoiseInput, type ScalarInput } from '../program/tracer.js';
import type { RandomStream } from '../random/index.js';
import type { DrawnBatch } from './batch-queue.js';
import { bindShape, fillNoise } from './noise.js';

/** The host inputs of a program. */
export interface HostInputs {
  readonly batch: readonly string[];
  readonly scalars: readonly ScalarInput[];
  readonly noises: readonly (NoiseInput & { readonly input: string; readonly shape: readonly Dim[] })[];
}

/**
 * Puts together what a step program reads from the host: batch columns, scalars and noise. Buffers of scalars and noise
 * are kept between steps. Noise depends on the seed, its name and the step alone, so a resumed run draws the same.
 */
export class FeedBuilder {
  readonly #scalars = new Map<string, TensorData<'float32'>>();
  readonly #noise = new Map<string, TensorData<'float32'>>();
  /** Inputs of several steps, one after another. */
  readonly #stacked = new Map<string, TensorData>();
  /** Scalars of the latest step, by name. */
  scalars: Readonly<Record<string, number>> = {};

  constructor(readonly random: RandomStream) {}

  build(
    program: HostInputs,
    batch: Batch,
    step: number,
    sizes: ReadonlyMap<string, number>,
  ): Record<string, TensorData> {
    const feeds: Record<string, TensorData> = {};
    for (const name of program.batch) feeds[PREFIX.batch + name] = batch.columns[name] as TensorData;
    const values: Record<string, number> = {};
    for (const { name, at } of program.scalars) {
      const value = at(step);
      if (!Number.isFinite(value))
        throw new CoreError('scalar', `The scalar "${name}" is ${value} at step ${step}.`, {
          hint: 'Check the schedule that computes it.',
        });
      values[name] = value;
      let buffer = this.#scalars.get(name);
      if (buffer === undefined) this.#scalars.set(name, (buffer = emptyTensor('float32', [])));
      buffer.data[0] = value;
      feeds[PREFIX.scalar + name] = buffer;
    }
    this.scalars = values;
    for (const { name, input, shape, distribution } of program.noises) {
      const dims = bindShape(shape, sizes, `the noise "${name}"`);
      let buffer = this.#noise.get(name);
      if (buffer === undefined || buffer.dims.join() !== dims.join())
        this.#noise.set(name, (buffer = emptyTensor('float32', dims)));
      fillNoise(buffer.data, distribution, this.random.split(name).split(String(step)));
      feeds[input] = buffer;
    }
    return feeds;
  }

  /** Feeds of consecutive steps, every input with a leading axis of the steps, and the scalars of each step by name. */
  buildChunk(
    program: HostInputs,
    chunk: readonly DrawnBatch[],
  ): { feeds: Record<string, TensorData>; scalars: Readonly<Record<string, number>>[] } {
    const feeds: Record<string, TensorData> = {};
    const scalars = chunk.map(({ batch, step, sizes }, index) => {
      for (const [name, value] of Object.entries(this.build(program, batch, step, sizes)))
        feeds[name] = this.#stack(name, value, index, chunk.length);
      return this.scalars;
    });
    return { feeds, scalars };
  }

  /** Copy the value of one step to its place in the buffer of all steps. */
  #stack(name: string, value: TensorData, index: number, count: number): TensorData {
    let buffer = this.#stacked.get(name);
    const fits = (): boolean =>
      buffer?.dataType === value.dataType && buffer.dims.join() === [count, ...value.dims].join();
    if (index === 0 && !fits()) this.#stacked.set(name, (buffer = emptyTensor(value.dataType, [count, ...value.dims])));
    // A copy would hide what the check of feeds finds in a single step.
    if (
      buffer === undefined ||
      !fits() ||
      value.data.constructor !== buffer.data.constructor ||
      value.data.length * count !== buffer.data.length
    )
      throw new CoreError(
        'batch',
        `The input "${name}" does not hold at every step what ${value.dataType}[${value.dims.join(', ')}] takes.`,
        {
          hint: 'Batches of one run have equal element types, and as many elements as their shapes say.',
        },
      );
    (buffer.data as Float32Array).set(value.data as Float32Array, index * value.data.length);
    return buffer;
  }
}
