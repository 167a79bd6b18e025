import { DataError } from './errors.js';
import type { Table } from './table.js';

/** A column of numbers: what is subtracted and divided by, and what stands for missing cells. */
export interface NumericFeature {
  readonly name: string;
  readonly kind: 'numeric';
  readonly mean: number;
  readonly deviation: number;
}

/** A column of names, with the names known. */
export interface CategoricalFeature {
  readonly name: string;
  readonly kind: 'categorical';
  readonly values: readonly string[];
  /** Most frequent value, which stands for missing cells. */
  readonly fill: string;
}

export type TargetColumn =
  | { readonly name: string; readonly kind: 'class'; readonly classes: readonly string[] }
  | { readonly name: string; readonly kind: 'number' };

/** How a table becomes numbers. JSON, so that it can be stored beside a model and applied to other tables. */
export interface TableSchema {
  readonly features: readonly (NumericFeature | CategoricalFeature)[];
  readonly target?: TargetColumn;
  /** `one-hot`: categories are part of `x`; `index`: a column `categories` of their numbers, for embeddings. */
  readonly categories: 'one-hot' | 'index';
  /** What happens to rows with missing cells. The target is never filled in: such rows are dropped with `fill`, too. */
  readonly missing: 'refuse' | 'drop' | 'fill';
  /** Cells that count as missing. */
  readonly markers: readonly string[];
}

export interface FitTableOptions {
  /** Columns to predict from, in order; default: all but the target. */
  readonly features?: readonly string[];
  /** Column to predict. */
  readonly target?: string;
  /** `class`: column `label` with class numbers; `number`: column `target`. Default: class when it holds text. */
  readonly task?: 'class' | 'number';
  /** Columns that hold names even if they look like numbers (codes). Others are numeric when most of their cells are. */
  readonly categorical?: readonly string[];
  readonly categories?: TableSchema['categories'];
  /** Default: `refuse`. */
  readonly missing?: TableSchema['missing'];
  /** Default: empty, NA, N/A, NaN, null and ?. */
  readonly markers?: readonly string[];
  /** Subtract the mean and divide by the standard deviation; default true. */
  readonly standardise?: boolean;
  /** Most different names in a column; default 1,000. More of them are free text rather than categories. */
  readonly maxCategories?: number;
}

const MARKERS = ['', 'NA', 'N/A', 'NaN', 'null', '?'];
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The number in a cell, as float32 holds it; NaN for text and for what float32 cannot hold. */
export const cellNumber = (cell: string): number => {
  const value = NUMBER.test(cell) ? Number(cell) : Number.NaN;
  return Number.isFinite(Math.fround(value)) ? value : Number.NaN;
};

/** Where a column stands in a table. @throws DataError when the table has no such column. */
export function columnAt({ header }: Table, name: string): number {
  const at = header.indexOf(name);
  if (at < 0) throw new DataError(`The table has no column "${name}".`, { hint: `It has: ${header.join(', ')}.` });
  return at;
}

/** Rows count from 2 in messages: the header is the first, and empty lines are none. */
export const cellError = (table: Table, row: number, at: number, problem: string, hint: string): DataError =>
  new DataError(`Row ${row + 2}, column "${table.header[at] ?? ''}": ${problem}.`, {
    hint,
    details: { row: row + 2, column: table.header[at] },
  });

/** Distinct cells: numbers in order of size, otherwise by their characters. */
const distinct = (cells: readonly string[]): string[] =>
  [...new Set(cells)].sort((a, b) => cellNumber(a) - cellNumber(b) || (a < b ? -1 : 1));

/** Find out what the columns of a table hold, and the statistics by which they become numbers. Fit on training rows only. */
export function fitTable(table: Table, options: FitTableOptions = {}): TableSchema {
  const { missing = 'refuse', categories = 'one-hot', standardise = true, maxCategories = 1000 } = options;
  const markers = options.markers ?? MARKERS;
  const isMissing = (cell: string): boolean => markers.includes(cell);
  const names = options.features ?? table.header.filter((name) => name !== options.target);
  if (names.length === 0) throw new DataError('The table has no columns to predict from.');
  if (options.target !== undefined && names.includes(options.target))
    throw new DataError(`The column "${options.target}" is to be predicted and to be predicted from.`);
  for (const name of options.categorical ?? []) columnAt(table, name);
  const target =
    options.target === undefined ? undefined : targetColumn(table, options.target, options.task, isMissing);

  const features = names.map((name): NumericFeature | CategoricalFeature => {
    const at = columnAt(table, name);
    const cells = table.rows.map((row) => row[at] as string);
    const present = cells.filter((cell) => !isMissing(cell));
    if (present.length < cells.length && missing === 'refuse') {
      const row = cells.findIndex(isMissing);
      throw cellError(
        table,
        row,
        at,
        `"${cells[row]}" is missing`,
        'Leave the column out of the features, or choose missing: "drop" or "fill".',
      );
    }
    if (present.length === 0)
      throw new DataError(`The column "${name}" is empty.`, { hint: 'Leave it out of the features.' });
    const numeric = present.filter((cell) => !Number.isNaN(cellNumber(cell))).length;
    return options.categorical?.includes(name) === true || 2 * numeric < present.length
      ? categoricalFeature(name, present, maxCategories)
      : numericFeature(name, numbersOf(table, at, isMissing), standardise);
  });
  return {
    features,
    ...(target === undefined ? {} : { target }),
    categories,
    missing,
    markers,
  };
}

/** Present numbers of a column. @throws DataError for text among them. */
function numbersOf(table: Table, at: number, isMissing: (cell: string) => boolean): number[] {
  const numbers: number[] = [];
  table.rows.forEach((cells, row) => {
    const cell = cells[at] as string;
    if (isMissing(cell)) return;
    const value = cellNumber(cell);
    if (Number.isNaN(value))
      throw cellError(
        table,
        row,
        at,
        `"${cell}" is no number`,
        'Correct the cell, name it in "markers", or list the column in "categorical".',
      );
    numbers.push(value);
  });
  return numbers;
}

function numericFeature(name: string, values: readonly number[], standardise: boolean): NumericFeature {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  if (!standardise) return { name, kind: 'numeric', mean: 0, deviation: 1 };
  // A constant column becomes zeros.
  return { name, kind: 'numeric', mean, deviation: Math.sqrt(variance) || 1 };
}

function categoricalFeature(name: string, cells: readonly string[], maxCategories: number): CategoricalFeature {
  const counts = new Map<string, number>();
  for (const cell of cells) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  if (counts.size > maxCategories)
    throw new DataError(
      `The column "${name}" holds ${counts.size} different names; at most ${maxCategories} are categories.`,
      {
        hint: 'Leave it out of the features, or raise maxCategories.',
      },
    );
  const values = distinct(cells);
  const fill = values.reduce((best, value) =>
    (counts.get(value) as number) > (counts.get(best) as number) ? value : best,
  );
  return { name, kind: 'categorical', values, fill };
}

function targetColumn(
  table: Table,
  name: string,
  task: FitTableOptions['task'],
  isMissing: (cell: string) => boolean,
): TargetColumn {
  const at = columnAt(table, name);
  const present = table.rows.map((row) => row[at] as string).filter((cell) => !isMissing(cell));
  if (present.length === 0) throw new DataError(`The column "${name}" is empty: there is nothing to predict.`);
  const kind = task ?? (present.every((cell) => !Number.isNaN(cellNumber(cell))) ? 'number' : 'class');
  if (kind === 'class') return { name, kind, classes: distinct(present) };
  numbersOf(table, at, isMissing);
  return { name, kind };
}
