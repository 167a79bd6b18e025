import type { InputSpec } from '@updraft/core';
import { elementCount, emptyTensor, type DataType, type TensorData } from '@updraft/graph';
import { DataError } from './errors.js';

/** Element types that a column may have. */
export type ColumnType = Exclude<DataType, 'string' | 'int4' | 'uint4'>;

/** One column of a dataset: how its examples look in a batch. */
export interface ColumnSpec {
  readonly dataType: ColumnType;
  /** Shape of one example. */
  readonly shape: readonly number[];
  /** What the numbers mean, with their unit or range, for people. */
  readonly meaning?: string;
  /** Names of the classes, where the numbers count classes. */
  readonly classes?: readonly string[];
}

/**
 * Examples with random access, by position. `read` is the only way to their contents: it writes into buffers of the
 * caller, so that drawing batches allocates nothing. Anything with these members is a dataset.
 */
export interface Dataset {
  readonly length: number;
  readonly columns: Readonly<Record<string, ColumnSpec>>;
  /**
   * Write one example of a column into a batch buffer at the given row. The caller guarantees a known column, a position
   * from 0 to `length - 1` and a buffer of the column's type and shape; {@link gather} checks all three.
   */
  read(column: string, index: number, into: TensorData, row: number): void;
  /**
   * Stable id of an example, by which records about it are kept: the same after shuffling, splitting or filtering.
   * Default: its position.
   */
  id?(index: number): number | string;
}

/** Stable id of the example at a position. */
export const exampleId = (dataset: Dataset, index: number): number | string => dataset.id?.(index) ?? index;

/** Columns of a dataset as batch columns with a symbolic first dimension. */
export const batchColumns = ({ columns }: Pick<Dataset, 'columns'>): Record<string, InputSpec> =>
  Object.fromEntries(
    Object.entries(columns).map(([name, { dataType, shape }]) => [name, { dataType, shape: ['batch', ...shape] }]),
  );

/** Fresh buffers for a batch of `size` examples. */
export const batchBuffers = ({ columns }: Pick<Dataset, 'columns'>, size: number): Record<string, TensorData> =>
  Object.fromEntries(
    Object.entries(columns).map(([name, { dataType, shape }]) => [
      name,
      emptyTensor<DataType>(dataType, [size, ...shape]),
    ]),
  );

function checkBuffer(name: string, { dataType, shape }: ColumnSpec, rows: number, buffer: TensorData): void {
  const { dims } = buffer;
  let fits = buffer.dataType === dataType && dims.length === shape.length + 1 && dims[0] === rows;
  for (let axis = 0; fits && axis < shape.length; axis++) fits = dims[axis + 1] === shape[axis];
  if (!fits || buffer.data.length !== elementCount(dims))
    throw new DataError(
      `The buffer for the column "${name}" is ${buffer.dataType} [${dims.join(', ')}] with ${buffer.data.length} elements; the batch needs ${dataType} [${[rows, ...shape].join(', ')}].`,
      { hint: 'Make buffers with batchBuffers(dataset, size).' },
    );
}

/**
 * Copy examples into batch buffers (made when not given); row i holds the example at `indices[i]`. Only the columns that
 * `into` names are read. Allocates nothing when buffers are given.
 *
 * @throws DataError for positions outside of the dataset, unknown columns, and buffers that do not fit.
 */
export function gather(
  dataset: Dataset,
  indices: ArrayLike<number>,
  into = batchBuffers(dataset, indices.length),
): Record<string, TensorData> {
  const { length } = dataset;
  for (let row = 0; row < indices.length; row++) {
    const index = indices[row] as number;
    if (!(index >= 0 && index < length && Number.isInteger(index)))
      throw new DataError(`There is no example ${index}: the dataset has ${length}.`, { details: { index, length } });
  }
  for (const name in into) {
    const spec = dataset.columns[name];
    const buffer = into[name] as TensorData;
    if (spec === undefined)
      throw new DataError(`The dataset has no column "${name}".`, {
        hint: `It has: ${Object.keys(dataset.columns).join(', ')}.`,
      });
    checkBuffer(name, spec, indices.length, buffer);
    for (let row = 0; row < indices.length; row++) dataset.read(name, indices[row] as number, buffer, row);
  }
  return into;
}
