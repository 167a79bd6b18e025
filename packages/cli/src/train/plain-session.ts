import { batchBuffers, gather, type Dataset } from '@updraft/data';
import type { TensorData } from '@updraft/graph';
import * as ort from 'onnxruntime-node';
import { CliError } from '../errors.js';

/** A model file in plain onnxruntime: nothing of Updraft between the file and its outputs. */
export class PlainSession {
  private constructor(
    readonly path: string,
    readonly session: ort.InferenceSession,
  ) {}

  /** @throws CliError where onnxruntime does not take the file. */
  static async open(path: string): Promise<PlainSession> {
    try {
      return new PlainSession(path, await ort.InferenceSession.create(path));
    } catch (error) {
      throw new CliError(`Plain onnxruntime cannot load "${path}": ${(error as Error).message}`, { cause: error });
    }
  }

  get outputNames(): readonly string[] {
    return this.session.outputNames;
  }

  /** Run on named tensors; those that are no inputs of the model are left out. */
  async run(columns: Readonly<Record<string, TensorData>>): Promise<Readonly<Record<string, ort.Tensor>>> {
    const feeds = Object.fromEntries(
      this.session.inputNames.map((name) => {
        const column = columns[name] as TensorData;
        return [name, new ort.Tensor(column.dataType as 'float32', column.data as Float32Array, column.dims)];
      }),
    );
    return this.session.run(feeds);
  }

  close(): Promise<void> {
    return this.session.release();
  }
}

/** Examples of a dataset, from one position up to another, as a batch. */
export function examples(dataset: Dataset, from: number, to: number): Readonly<Record<string, TensorData>> {
  const indices = Array.from({ length: Math.min(to, dataset.length) - from }, (_, at) => from + at);
  return gather(dataset, indices, batchBuffers(dataset, indices.length));
}

/** Position of the largest value of each row of a tensor [rows, columns]. */
export function largestPerRow({ data, dims }: Pick<ort.Tensor, 'data' | 'dims'>): number[] {
  const [rows = 0, columns = 0] = dims;
  const values = data as Float32Array;
  return Array.from({ length: rows }, (_, row) => {
    let best = row * columns;
    for (let at = best + 1; at < (row + 1) * columns; at++)
      if ((values[at] as number) > (values[best] as number)) best = at;
    return best - row * columns;
  });
}
