import { MetricsSinkError } from '../errors.js';
import { RunFold } from '../records/fold-run.js';
import type { RunRecord } from '../records/run-record.js';
import type { MetricsSink } from './metrics-sink.js';

/** A sink that keeps the run in memory, for a report at its end. */
export interface RunRecorder extends MetricsSink {
  /** The run so far. @throws MetricsSinkError before the header was written */
  run(): RunRecord;
}

/** Makes a recorder; the first record that it is given must be the header of the run. */
export function createRunRecorder(): RunRecorder {
  let fold: RunFold | undefined;
  return {
    write(record) {
      if (record.kind === 'run') fold = new RunFold(record);
      else if (fold === undefined) {
        throw new MetricsSinkError(`A record of kind "${record.kind}" came before the header of the run.`, {
          hint: 'Write a record of kind "run" first.',
        });
      } else fold.add(record);
    },
    flush() {},
    close() {},
    run() {
      if (fold === undefined) {
        throw new MetricsSinkError('No run was recorded yet.', { hint: 'Write a record of kind "run" first.' });
      }
      return fold.result();
    },
  };
}
