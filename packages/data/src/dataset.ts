import type { InputSpec } from '@updraft/core';
import { arrayOf, elementCount, emptyTensor, type DataType, type TensorData } from '@updraft/graph';
import { DataError } from './errors.js';

type Numeric = Exclude<DataType, 'string' | 'int4' | 'uint4'>;

/** One column of a dataset: how its examples look in a batch. */
export interface ColumnSpec {
  readonly dataType: Numeric;
  /** Shape of one example. */
  readonly shape: readonly number[];
}

/** Examples with random access, by position. Positions are the stable ids of the examples. */
export interface Dataset {
  readonly length: number;
  readonly columns: Readonly<Record<string, ColumnSpec>>;
  /** Write one example of a column into a batch buffer at the given row. */
  read(column: string, index: number, into: TensorData, row: number): void;
}

/** Columns of a dataset as batch columns with a symbolic first dimension. */
export const batchColumns = (dataset: Dataset): Record<string, InputSpec> =>
  Object.fromEntries(
    Object.entries(dataset.columns).map(([name, { dataType, shape }]) => [name, { dataType, shape: ['batch', ...shape] }]),
  );

/** Fresh buffers for a batch of `size` examples. */
export const batchBuffers = (dataset: Dataset, size: number): Record<string, TensorData> =>
  Object.fromEntries(
    Object.entries(dataset.columns).map(([name, { dataType, shape }]) => [name, emptyTensor<DataType>(dataType, [size, ...shape])]),
  );

/** Copy examples into batch buffers (made when not given). */
export function gather(dataset: Dataset, indices: ArrayLike<number>, into = batchBuffers(dataset, indices.length)): Record<string, TensorData> {
  for (const [name, buffer] of Object.entries(into))
    for (let row = 0; row < indices.length; row++) dataset.read(name, indices[row] as number, buffer, row);
  return into;
}

/** Columns in memory: the first axis of every tensor counts the examples. */
export function fromTensors(tensors: Readonly<Record<string, TensorData>>): Dataset {
  const entries = Object.entries(tensors);
  const first = entries[0];
  if (first === undefined) throw new DataError('A dataset needs at least one column.');
  const length = first[1].dims[0];
  const columns: Record<string, ColumnSpec> = {};
  const sizes = new Map<string, number>();
  for (const [name, { dataType, dims }] of entries) {
    if (dims.length === 0 || dims[0] !== length)
      throw new DataError(`The column "${name}" has shape [${dims.join(', ')}]; the first column "${first[0]}" has ${length ?? 'no'} examples.`, {
        hint: 'The first axis of every column counts the examples.',
      });
    columns[name] = { dataType: dataType as Numeric, shape: dims.slice(1) };
    sizes.set(name, elementCount(dims.slice(1)));
  }
  return {
    length: length as number,
    columns,
    read(column, index, into, row) {
      const source = tensors[column]?.data as Float32Array;
      const size = sizes.get(column) as number;
      (into.data as Float32Array).set(source.subarray(index * size, (index + 1) * size), row * size);
    },
  };
}

/** Columns from plain arrays: numbers, or rows of numbers. */
export const fromArrays = (
  columns: Readonly<Record<string, { readonly values: readonly (number | readonly number[])[]; readonly dataType?: Numeric }>>,
): Dataset =>
  fromTensors(
    Object.fromEntries(
      Object.entries(columns).map(([name, { values, dataType = 'float32' }]) => {
        const flat = values.flat() as number[];
        const width = Array.isArray(values[0]) ? [(values[0] as readonly number[]).length] : [];
        if (flat.length !== values.length * (width[0] ?? 1))
          throw new DataError(`The rows of the column "${name}" differ in length.`);
        const data =
          dataType === 'int64' || dataType === 'uint64'
            ? BigInt64Array.from(flat, (value) => BigInt(value))
            : arrayOf(dataType as 'float32').from(flat);
        return [name, { dataType, dims: [values.length, ...width], data } as TensorData];
      }),
    ),
  );

/** The examples at these positions. */
export const subset = (dataset: Dataset, indices: ArrayLike<number>): Dataset => ({
  length: indices.length,
  columns: dataset.columns,
  read: (column, index, into, row) => {
    dataset.read(column, indices[index] as number, into, row);
  },
});

/** The first `count` examples (all, when there are fewer). */
export const take = (dataset: Dataset, count: number): Dataset =>
  subset(dataset, Array.from({ length: Math.min(count, dataset.length) }, (_, index) => index));

/** Cut into parts of the given fractions, in order; shuffle the dataset first where its order has a meaning. */
export function split(dataset: Dataset, fractions: readonly number[]): Dataset[] {
  if (Math.abs(fractions.reduce((a, b) => a + b, 0) - 1) > 1e-6)
    throw new DataError(`The fractions [${fractions.join(', ')}] do not add up to 1.`);
  let begin = 0;
  let total = 0;
  return fractions.map((fraction, part) => {
    total += fraction;
    const end = part === fractions.length - 1 ? dataset.length : Math.floor(total * dataset.length + 1e-9);
    const indices = Array.from({ length: end - begin }, (_, index) => begin + index);
    begin = end;
    return subset(dataset, indices);
  });
}

/** One dataset after another; their columns must be equal. */
export function concatenate(...datasets: readonly Dataset[]): Dataset {
  const [first] = datasets;
  if (first === undefined) throw new DataError('concatenate() needs at least one dataset.');
  for (const other of datasets)
    if (JSON.stringify(other.columns) !== JSON.stringify(first.columns))
      throw new DataError('The datasets to concatenate differ in their columns.', { details: { columns: datasets.map(({ columns }) => columns) } });
  const ends: number[] = [];
  for (const { length } of datasets) ends.push((ends[ends.length - 1] ?? 0) + length);
  return {
    length: ends[ends.length - 1] as number,
    columns: first.columns,
    read(column, index, into, row) {
      const part = ends.findIndex((end) => index < end);
      datasets[part]?.read(column, index - (ends[part - 1] ?? 0), into, row);
    },
  };
}
