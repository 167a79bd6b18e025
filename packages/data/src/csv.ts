import { parse } from 'csv-parse/browser/esm/sync';
import { fromTensors, type Dataset } from './dataset.js';
import { DataError } from './errors.js';

export interface CsvOptions {
  /** Columns that go into `x`, in order; default: all but the target. */
  readonly features?: readonly string[];
  /** Column to predict. */
  readonly target: string;
  /** `class`: column `label` with class numbers; `number`: column `target`. Default: class when it holds text. */
  readonly task?: 'class' | 'number';
  readonly delimiter?: string;
}

/** A table as a dataset, with what is needed to read its numbers. */
export interface CsvDataset {
  readonly dataset: Dataset;
  readonly features: readonly string[];
  /** Names of the classes, in order of their numbers. */
  readonly classes: readonly string[];
  /** Mean and standard deviation of each feature before standardisation. */
  readonly statistics: readonly { readonly mean: number; readonly deviation: number }[];
}

/** Numeric columns of a CSV text with a header, standardised, and a target. Ragged rows and text in numbers are refused. */
export function csvDataset(text: string, options: CsvOptions): CsvDataset {
  let rows: string[][];
  try {
    rows = parse(text, { delimiter: options.delimiter ?? ',', skip_empty_lines: true, trim: true });
  } catch (error) {
    throw new DataError(`The table cannot be read: ${(error as Error).message}.`, { cause: error, hint: 'Every row needs as many cells as the header.' });
  }
  const [header, ...body] = rows;
  if (header === undefined || body.length === 0) throw new DataError('The table has no rows.');
  const column = (name: string): number => {
    const at = header.indexOf(name);
    if (at < 0) throw new DataError(`The table has no column "${name}".`, { hint: `It has: ${header.join(', ')}.` });
    return at;
  };
  const target = column(options.target);
  const features = options.features ?? header.filter((name) => name !== options.target);
  const numberAt = (row: number, at: number): number => {
    const cell = body[row]?.[at] ?? '';
    const value = cell === '' ? Number.NaN : Number(cell);
    if (!Number.isFinite(value))
      throw new DataError(`Row ${row + 2}, column "${header[at] ?? ''}": "${cell}" is no number.`, { hint: 'Leave the column out of the features, or fill the cell.' });
    return value;
  };
  const positions = features.map(column);
  const x = new Float32Array(body.length * features.length);
  const statistics = positions.map((at, feature) => {
    const values = body.map((_, row) => numberAt(row, at));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) || 1;
    values.forEach((value, row) => {
      x[row * features.length + feature] = (value - mean) / deviation;
    });
    return { mean, deviation };
  });
  const cells = body.map((row) => row[target] as string);
  const task = options.task ?? (cells.every((cell) => Number.isFinite(Number(cell))) ? 'number' : 'class');
  const classes = task === 'class' ? [...new Set(cells)].sort() : [];
  const inputs = { x: { dataType: 'float32', dims: [body.length, features.length], data: x } } as const;
  const dataset =
    task === 'class'
      ? fromTensors({
          ...inputs,
          label: { dataType: 'int64', dims: [body.length], data: BigInt64Array.from(cells, (cell) => BigInt(classes.indexOf(cell))) },
        })
      : fromTensors({
          ...inputs,
          target: { dataType: 'float32', dims: [body.length, 1], data: Float32Array.from(body, (_, row) => numberAt(row, target)) },
        });
  return { dataset, features, classes, statistics };
}
