import { arrayOf, elementCount, type DataTypeStorage, type TensorData } from '@updraft/graph';
import type { ColumnSpec, ColumnType, Dataset } from './dataset.js';
import { DataError } from './errors.js';

type Numbers = DataTypeStorage['float32'];

/** Below this many elements a loop beats a view and a block copy. */
const LOOP = 32;

/** Copy `size` elements without allocating for small examples. */
function copy(source: Numbers, from: number, target: Numbers, to: number, size: number): void {
  if (size < LOOP) for (let at = 0; at < size; at++) target[to + at] = source[from + at] as number;
  else target.set(source.subarray(from, from + size), to);
}

/** What else is known about a column. */
export type ColumnNotes = Readonly<Record<string, Pick<ColumnSpec, 'meaning' | 'classes'>>>;

/**
 * Columns in memory: the first axis of every tensor counts the examples.
 *
 * @throws DataError for columns of different lengths, or data that does not fill its shape.
 */
export function fromTensors(tensors: Readonly<Record<string, TensorData>>, notes: ColumnNotes = {}): Dataset {
  const entries = Object.entries(tensors);
  const first = entries[0];
  if (first === undefined) throw new DataError('A dataset needs at least one column.');
  const length = first[1].dims[0];
  const columns: Record<string, ColumnSpec> = {};
  const sizes = new Map<string, number>();
  for (const [name, { dataType, dims, data }] of entries) {
    if (dataType === 'string' || dataType === 'int4' || dataType === 'uint4')
      throw new DataError(`The column "${name}" is ${dataType}; a batch cannot hold that.`);
    if (dims.length === 0 || dims[0] !== length)
      throw new DataError(
        `The column "${name}" has shape [${dims.join(', ')}]; the first column "${first[0]}" has ${length ?? 'no'} examples.`,
        { hint: 'The first axis of every column counts the examples.' },
      );
    if (data.length !== elementCount(dims))
      throw new DataError(
        `The column "${name}" has ${data.length} elements; its shape [${dims.join(', ')}] needs ${elementCount(dims)}.`,
      );
    columns[name] = { dataType, shape: dims.slice(1), ...notes[name] };
    sizes.set(name, elementCount(dims.slice(1)));
  }
  return {
    length: length as number,
    columns,
    read(column, index, into, row) {
      const size = sizes.get(column) as number;
      copy(tensors[column]?.data as Numbers, index * size, into.data as Numbers, row * size, size);
    },
  };
}

/** Values of a column: one number for each example, or rows of equal length. */
export interface ArrayColumn extends Pick<ColumnSpec, 'meaning' | 'classes'> {
  readonly values: readonly (number | readonly number[])[];
  /** Default: float32. */
  readonly dataType?: Exclude<ColumnType, 'float16' | 'bfloat16'>;
}

/** Columns from plain arrays: `fromArrays({ x: { values: [[1, 2], [3, 4]] }, label: { values: [0, 1], dataType: 'int64' } })`. */
export function fromArrays(columns: Readonly<Record<string, ArrayColumn>>): Dataset {
  const tensors: Record<string, TensorData> = {};
  for (const [name, { values, dataType = 'float32' }] of Object.entries(columns)) {
    const first = values[0];
    const width = typeof first === 'number' || first === undefined ? undefined : first.length;
    values.forEach((row, at) => {
      if ((typeof row === 'number' ? undefined : row.length) !== width)
        throw new DataError(
          `The rows of the column "${name}" differ in length: row 0 has ${width ?? 'no axis'}, row ${at} ${typeof row === 'number' ? 'no axis' : row.length}.`,
        );
    });
    const flat = values.flatMap((row) => row);
    const dims = [values.length, ...(width === undefined ? [] : [width])];
    tensors[name] = { dataType, dims, data: storage(name, dataType, flat) };
  }
  return fromTensors(tensors, columns);
}

/** @throws DataError for numbers that an integer type does not hold exactly. */
function storage(
  name: string,
  dataType: NonNullable<ArrayColumn['dataType']>,
  values: readonly number[],
): TensorData['data'] {
  if (dataType === 'float32' || dataType === 'float64') return arrayOf(dataType).from(values);
  const wide = dataType === 'int64' || dataType === 'uint64';
  const data = wide
    ? new (arrayOf(dataType))(values.map((value) => BigInt(Number.isSafeInteger(value) ? value : 0)))
    : arrayOf(dataType).from(values);
  const wrong = values.findIndex((value, at) => Number(data[at]) !== value || (dataType === 'bool' && value > 1));
  if (wrong >= 0) throw new DataError(`The column "${name}" is ${dataType}, but holds ${values[wrong]}.`);
  return data;
}
