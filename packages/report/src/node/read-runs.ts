import { MetricsFileError } from '../errors.js';
import { RunFold } from '../records/fold-run.js';
import { parseRecord } from '../records/parse-records.js';
import type { RunRecord } from '../records/run-record.js';
import { readLines } from './read-lines.js';

/**
 * Reads the runs of a metrics file, line by line. A last line that cannot be read is what a killed process leaves
 * behind and is ignored.
 *
 * @throws MetricsFileError for any other line that is not a metric record, and if the file cannot be read
 */
export async function readRuns(path: string): Promise<RunRecord[]> {
  const folds: RunFold[] = [];
  let pending: unknown;
  let lineNumber = 0;
  try {
    for await (const line of readLines(path)) {
      lineNumber += 1;
      if (pending !== undefined) break;
      if (line.trim() === '') continue;
      try {
        const record = parseRecord(line, lineNumber, path);
        if (record.kind === 'run') folds.push(new RunFold(record));
        else folds.at(-1)?.add(record);
      } catch (error) {
        pending = error;
      }
    }
  } catch (cause) {
    throw new MetricsFileError(`Cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}.`, {
      hint: 'Check the path; a training run writes its metrics beside its checkpoints.',
      cause,
    });
  }
  if (pending instanceof Error && lineNumber > lineOf(pending)) throw pending;
  return folds.map((fold) => fold.result());
}

function lineOf(error: Error): number {
  return error instanceof MetricsFileError && typeof error.details['line'] === 'number' ? error.details['line'] : 0;
}
