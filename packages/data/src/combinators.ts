import { RandomStream } from '@updraft/core';
import { elementCount, type DataTypeStorage, type TensorData } from '@updraft/graph';
import { columnNumbers } from './column-numbers.js';
import { batchBuffers, exampleId, gather, type ColumnSpec, type Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { splitPositions } from './split-positions.js';

/** The examples at these positions, with the ids that they had. */
export function subset(dataset: Dataset, positions: ArrayLike<number>): Dataset {
  const kept = Uint32Array.from(positions);
  for (let at = 0; at < positions.length; at++)
    if (kept[at] !== positions[at] || (kept[at] as number) >= dataset.length)
      throw new DataError(`There is no example ${positions[at]}: the dataset has ${dataset.length}.`);
  return {
    length: kept.length,
    columns: dataset.columns,
    read: (column, index, into, row) => {
      dataset.read(column, kept[index] as number, into, row);
    },
    id: (index) => exampleId(dataset, kept[index] as number),
  };
}

const range = (begin: number, end: number): Uint32Array =>
  Uint32Array.from({ length: Math.max(0, end - begin) }, (_, index) => begin + index);

/** The first `count` examples (all, when there are fewer). */
export const take = (dataset: Dataset, count: number): Dataset =>
  subset(dataset, range(0, Math.min(count, dataset.length)));

/** All but the first `count` examples. */
export const skip = (dataset: Dataset, count: number): Dataset => subset(dataset, range(count, dataset.length));

/** The same examples in a random order that the seed decides. */
export const reordered = (dataset: Dataset, seed: number): Dataset =>
  subset(dataset, RandomStream.fromSeed(seed).split('reordered').permutation(dataset.length));

export interface SplitOptions {
  /** Shuffle before cutting. Default: keep the order. */
  readonly seed?: number;
  /** Name of a column of one number per example, whose values every part shall hold in the same proportions. */
  readonly stratifyBy?: string;
}

/**
 * Cut into parts of the given fractions, in order unless a seed is given. Every example is in exactly one part. With
 * `stratifyBy`, each class is cut by itself and the order within parts is that of the (shuffled) dataset.
 */
export function split(
  dataset: Dataset,
  fractions: readonly number[],
  { seed, stratifyBy }: SplitOptions = {},
): Dataset[] {
  const values = stratifyBy === undefined ? undefined : columnNumbers(dataset, stratifyBy);
  return splitPositions(dataset.length, fractions, seed, values).map((positions) => subset(dataset, positions));
}

const shapeOf = ({ columns }: Dataset): string =>
  JSON.stringify(
    Object.keys(columns)
      .sort()
      .map((name) => [name, columns[name]?.dataType, columns[name]?.shape]),
  );

/** One dataset after another; their columns must be equal. Ids are positions in the whole, as those of the parts may meet. */
export function concatenate(...datasets: readonly Dataset[]): Dataset {
  const [first] = datasets;
  if (first === undefined) throw new DataError('concatenate() needs at least one dataset.');
  for (const other of datasets)
    if (shapeOf(other) !== shapeOf(first))
      throw new DataError('The datasets to concatenate differ in their columns.', {
        details: { columns: datasets.map(({ columns }) => columns) },
      });
  const ends: number[] = [];
  for (const { length } of datasets) ends.push((ends[ends.length - 1] ?? 0) + length);
  return {
    length: ends[ends.length - 1] as number,
    columns: first.columns,
    read(column, index, into, row) {
      let part = 0;
      while (index >= (ends[part] as number)) part++;
      datasets[part]?.read(column, index - (ends[part - 1] ?? 0), into, row);
    },
  };
}

/** Some columns only, under new names: `{ image: 'image', label: 'class' }` calls the column `class` `label`. */
export function selectColumns(dataset: Dataset, names: Readonly<Record<string, string>>): Dataset {
  const columns = Object.fromEntries(
    Object.entries(names).map(([name, old]) => {
      const spec = dataset.columns[old];
      if (spec === undefined)
        throw new DataError(`The dataset has no column "${old}".`, {
          hint: `It has: ${Object.keys(dataset.columns).join(', ')}.`,
        });
      return [name, spec];
    }),
  );
  return {
    length: dataset.length,
    columns,
    read: (column, index, into, row) => {
      dataset.read(names[column] as string, index, into, row);
    },
    id: (index) => exampleId(dataset, index),
  };
}

/** The examples for which `keep` holds; it is called once for each, with buffers of one row that are reused. */
export function filter(dataset: Dataset, keep: (example: Readonly<Record<string, TensorData>>) => boolean): Dataset {
  const buffers = batchBuffers(dataset, 1);
  const position = [0];
  const kept: number[] = [];
  for (let index = 0; index < dataset.length; index++) {
    position[0] = index;
    if (keep(gather(dataset, position, buffers))) kept.push(index);
  }
  return subset(dataset, kept);
}

type Numbers = Exclude<DataTypeStorage[ColumnSpec['dataType']], readonly string[]>;

export interface MapOptions {
  /** Column to change. */
  readonly column: string;
  /** How the column looks afterwards, where that changes. */
  readonly spec?: ColumnSpec;
  /**
   * Compute one example: `source` holds its old elements; write the new ones to `target` from `offset` on. Called at
   * every read, so it must give the same result every time.
   */
  readonly apply: (source: Numbers, target: Numbers, offset: number, index: number) => void;
}

/** Compute a column anew, example by example, as it is read. */
export function map(dataset: Dataset, { column, spec, apply }: MapOptions): Dataset {
  const old = dataset.columns[column];
  if (old === undefined)
    throw new DataError(`The dataset has no column "${column}".`, {
      hint: `It has: ${Object.keys(dataset.columns).join(', ')}.`,
    });
  const changed = spec ?? old;
  const size = elementCount(changed.shape);
  const scratch = batchBuffers({ columns: { [column]: old } }, 1)[column] as TensorData;
  return {
    length: dataset.length,
    columns: { ...dataset.columns, [column]: changed },
    read(name, index, into, row) {
      if (name !== column) {
        dataset.read(name, index, into, row);
        return;
      }
      dataset.read(name, index, scratch, 0);
      apply(scratch.data as Numbers, into.data as Numbers, row * size, index);
    },
    id: (index) => exampleId(dataset, index),
  };
}
