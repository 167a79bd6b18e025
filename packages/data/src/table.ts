import { parse } from 'csv-parse/browser/esm/sync';
import { DataError } from './errors.js';
import { splitPositions } from './split-positions.js';

/** Cells as text, with named columns. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface ParseTableOptions {
  /** Default: a comma. */
  readonly delimiter?: string;
  /** Largest text in characters; default 2^28. */
  readonly maxCharacters?: number;
  /** Most rows; default 5 million. */
  readonly maxRows?: number;
  /** Most columns; default 10,000. */
  readonly maxColumns?: number;
}

function checkHeader(header: readonly string[], maxColumns: number): void {
  if (header.length > maxColumns)
    throw new DataError(`The table has ${header.length} columns; at most ${maxColumns} are read.`);
  const seen = new Set<string>();
  for (const name of header) {
    if (seen.has(name))
      throw new DataError(`Two columns of the table are named "${name}".`, {
        hint: 'Give every column a name of its own.',
      });
    seen.add(name);
  }
}

/**
 * Read CSV text (RFC 4180: quotes, line breaks within quotes) with a header. Cells are trimmed; empty lines are skipped.
 *
 * @throws DataError for ragged rows (with their line), broken quotes, repeated names, and tables beyond the budgets.
 */
export function parseTable(text: string, options: ParseTableOptions = {}): Table {
  const { delimiter = ',', maxCharacters = 2 ** 28, maxRows = 5_000_000, maxColumns = 10_000 } = options;
  if (text.length > maxCharacters)
    throw new DataError(`The table has ${text.length} characters; at most ${maxCharacters} are read.`, {
      hint: 'Raise maxCharacters if it is meant to be that large.',
    });
  let records: string[][];
  try {
    records = parse(text, { delimiter, bom: true, skip_empty_lines: true, trim: true, to: maxRows + 2 });
  } catch (error) {
    const { message, lines } = error as Error & { readonly lines?: number };
    throw new DataError(`The table cannot be read: ${message}.`, {
      cause: error,
      hint: 'Every row needs as many cells as the header.',
      details: { line: lines },
    });
  }
  const [header, ...rows] = records;
  if (header === undefined || rows.length === 0) throw new DataError('The table has no rows.');
  if (rows.length > maxRows)
    throw new DataError(`The table has more than ${maxRows} rows.`, { hint: 'Raise maxRows.' });
  checkHeader(header, maxColumns);
  return { header, rows };
}

/** A table from objects, such as parsed JSON. A property that is missing, null or undefined becomes an empty cell. */
export function tableFromRecords(records: readonly object[]): Table {
  const header = [...new Set(records.flatMap((record) => Object.keys(record)))];
  if (records.length === 0 || header.length === 0) throw new DataError('The table has no rows.');
  const rows = records.map((record, row) => {
    const cells = new Map<string, unknown>(Object.entries(record));
    return header.map((name) => {
      const cell = cells.get(name) ?? '';
      if (typeof cell === 'string') return cell.trim();
      if (typeof cell === 'number' || typeof cell === 'boolean' || typeof cell === 'bigint') return String(cell);
      throw new DataError(
        `Record ${row}, property "${name}" holds ${Array.isArray(cell) ? 'a list' : `a value of type ${typeof cell}`}, no cell.`,
      );
    });
  });
  return { header, rows };
}

/**
 * Cut a table into parts of the given fractions before anything is fitted, so that statistics come from the training rows
 * only. Rows keep their order unless a seed is given; with `stratifyBy`, the rows of each value of that column are cut by
 * themselves.
 */
export function splitTable(
  table: Table,
  fractions: readonly number[],
  { seed, stratifyBy }: { readonly seed?: number; readonly stratifyBy?: string } = {},
): Table[] {
  const at = stratifyBy === undefined ? -1 : table.header.indexOf(stratifyBy);
  if (stratifyBy !== undefined && at < 0)
    throw new DataError(`The table has no column "${stratifyBy}".`, { hint: `It has: ${table.header.join(', ')}.` });
  const keys = stratifyBy === undefined ? undefined : table.rows.map((row) => row[at] as string);
  return splitPositions(table.rows.length, fractions, seed, keys).map((positions) => ({
    header: table.header,
    rows: positions.map((position) => table.rows[position] as readonly string[]),
  }));
}
