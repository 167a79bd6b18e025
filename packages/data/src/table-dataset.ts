import type { TensorData } from '@updraft/graph';
import { subset } from './combinators.js';
import type { Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { fromTensors } from './in-memory.js';
import { parseTable, type ParseTableOptions, type Table } from './table.js';
import {
  cellError,
  cellNumber,
  columnAt,
  fitTable,
  type CategoricalFeature,
  type FitTableOptions,
  type NumericFeature,
  type TableSchema,
} from './table-schema.js';

export interface TableDatasetOptions {
  /**
   * What happens to names that the schema does not know: `refuse` (default), or `ignore`: zeros in a one-hot encoding,
   * the number after the last known one as an index.
   */
  readonly unknown?: 'refuse' | 'ignore';
  /** Do without the target: for rows to predict. */
  readonly withoutTarget?: boolean;
}

/** Names of the numbers in `x`. */
export const inputNames = ({ features, categories }: TableSchema): string[] =>
  features.flatMap((feature) => {
    if (feature.kind === 'numeric') return [feature.name];
    return categories === 'one-hot' ? feature.values.map((value) => `${feature.name}=${value}`) : [];
  });

/** Rows that can be used, by the policy for missing cells. */
function usableRows(
  table: Table,
  schema: TableSchema,
  columns: readonly number[],
  target: number | undefined,
): number[] {
  const lacks = (row: number, at: number): boolean => schema.markers.includes(table.rows[row]?.[at] as string);
  const kept: number[] = [];
  for (let row = 0; row < table.rows.length; row++) {
    const gap = [...columns, ...(target === undefined ? [] : [target])].find((at) => lacks(row, at));
    if (gap === undefined) kept.push(row);
    else if (schema.missing === 'refuse')
      throw cellError(
        table,
        row,
        gap,
        `"${table.rows[row]?.[gap]}" is missing`,
        'Choose missing: "drop" or "fill" when fitting.',
      );
    else if (schema.missing === 'fill' && (target === undefined || !lacks(row, target))) kept.push(row);
  }
  if (kept.length === 0)
    throw new DataError('Every row of the table lacks something.', { hint: 'Choose missing: "fill" when fitting.' });
  return kept;
}

/**
 * A table as a dataset by a fitted schema: `x` float32 [inputs], with `index` also `categories` int64 [categories], and
 * `label` int64 or `target` float32 [1]. Ids are the rows of the table, counted from 0.
 *
 * @throws DataError for missing cells (unless the schema says otherwise), text among numbers, unknown names and classes.
 */
export function tableDataset(table: Table, schema: TableSchema, options: TableDatasetOptions = {}): Dataset {
  const { unknown = 'refuse', withoutTarget = false } = options;
  const columns = schema.features.map(({ name }) => columnAt(table, name));
  const target = withoutTarget ? undefined : schema.target;
  const targetAt = target === undefined ? undefined : columnAt(table, target.name);
  const rows = usableRows(table, schema, columns, targetAt);
  const inputs = inputNames(schema);
  const indexed =
    schema.categories === 'index' ? schema.features.filter(({ kind }) => kind === 'categorical').length : 0;
  const x = new Float32Array(rows.length * inputs.length);
  const categories = new BigInt64Array(rows.length * indexed);

  const numeric = (feature: NumericFeature, row: number, at: number, cell: string): number => {
    if (schema.markers.includes(cell)) return 0;
    const value = (cellNumber(cell) - feature.mean) / feature.deviation;
    if (Number.isNaN(value)) throw cellError(table, row, at, `"${cell}" is no number`, 'Correct the cell.');
    return value;
  };
  const lookups = schema.features.map((feature) =>
    feature.kind === 'categorical' ? new Map(feature.values.map((value, index) => [value, index])) : undefined,
  );
  const category = (feature: CategoricalFeature, which: number, row: number, at: number, cell: string): number => {
    const name = schema.markers.includes(cell) ? feature.fill : cell;
    const found = lookups[which]?.get(name);
    if (found === undefined && unknown === 'refuse')
      throw cellError(
        table,
        row,
        at,
        `"${cell}" is none of the ${feature.values.length} known names`,
        'Fit the schema on data that has it, or choose unknown: "ignore".',
      );
    return found ?? feature.values.length;
  };

  rows.forEach((row, example) => {
    let input = example * inputs.length;
    let index = example * indexed;
    schema.features.forEach((feature, which) => {
      const at = columns[which] as number;
      const cell = table.rows[row]?.[at] as string;
      if (feature.kind === 'numeric') x[input++] = numeric(feature, row, at, cell);
      else {
        const number = category(feature, which, row, at, cell);
        if (schema.categories === 'index') categories[index++] = BigInt(number);
        else {
          if (number < feature.values.length) x[input + number] = 1;
          input += feature.values.length;
        }
      }
    });
  });

  const tensors: Record<string, TensorData> = {};
  if (inputs.length > 0) tensors['x'] = { dataType: 'float32', dims: [rows.length, inputs.length], data: x };
  if (indexed > 0) tensors['categories'] = { dataType: 'int64', dims: [rows.length, indexed], data: categories };
  if (target !== undefined) Object.assign(tensors, targetTensor(table, rows, targetAt as number, target));
  const dataset = fromTensors(tensors, {
    x: { meaning: inputs.join(', ') },
    ...(target?.kind === 'class' ? { label: { meaning: target.name, classes: target.classes } } : {}),
    ...(target?.kind === 'number' ? { target: { meaning: target.name } } : {}),
  });
  return rows.length === table.rows.length
    ? dataset
    : {
        ...subset(
          dataset,
          rows.map((_, at) => at),
        ),
        id: (index) => rows[index] as number,
      };
}

function targetTensor(
  table: Table,
  rows: readonly number[],
  at: number,
  target: NonNullable<TableSchema['target']>,
): Record<string, TensorData> {
  const cells = rows.map((row) => table.rows[row]?.[at] as string);
  if (target.kind === 'number') {
    const data = Float32Array.from(cells, cellNumber);
    const wrong = data.findIndex(Number.isNaN);
    if (wrong >= 0)
      throw cellError(table, rows[wrong] as number, at, `"${cells[wrong]}" is no number`, 'Correct the cell.');
    return { target: { dataType: 'float32', dims: [rows.length, 1], data } };
  }
  const numbers = new Map(target.classes.map((name, index) => [name, BigInt(index)]));
  const wrong = cells.findIndex((cell) => !numbers.has(cell));
  if (wrong >= 0)
    throw cellError(
      table,
      rows[wrong] as number,
      at,
      `"${cells[wrong]}" is none of the classes ${target.classes.join(', ')}`,
      'Fit the schema on data that has it.',
    );
  return {
    label: {
      dataType: 'int64',
      dims: [rows.length],
      data: BigInt64Array.from(cells, (cell) => numbers.get(cell) as bigint),
    },
  };
}

export interface CsvOptions extends FitTableOptions, ParseTableOptions {
  /** Column to predict. */
  readonly target: string;
}

/** A table as a dataset, with what is needed to read its numbers. */
export interface CsvDataset {
  readonly dataset: Dataset;
  /** Names of the numbers in `x`. */
  readonly features: readonly string[];
  /** Names of the classes, in order of their numbers; empty for a numeric target. */
  readonly classes: readonly string[];
  /** Mean and standard deviation of each number in `x` before standardisation; 0 and 1 for one-hot numbers. */
  readonly statistics: readonly { readonly mean: number; readonly deviation: number }[];
  /** For other tables of the same kind: `tableDataset(parseTable(text), schema)`. */
  readonly schema: TableSchema;
}

/** CSV text with a header as a dataset, fitted on itself. Ragged rows, missing cells and text in numbers are refused. */
export function csvDataset(text: string, options: CsvOptions): CsvDataset {
  const table = parseTable(text, options);
  const schema = fitTable(table, options);
  return {
    dataset: tableDataset(table, schema),
    features: inputNames(schema),
    classes: schema.target?.kind === 'class' ? schema.target.classes : [],
    statistics: schema.features.flatMap((feature) => {
      if (feature.kind === 'numeric') return [{ mean: feature.mean, deviation: feature.deviation }];
      return schema.categories === 'one-hot' ? feature.values.map(() => ({ mean: 0, deviation: 1 })) : [];
    }),
    schema,
  };
}
