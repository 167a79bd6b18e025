import { encodeRecord } from '../records/encode-records.js';
import type { MetricsSink } from './metrics-sink.js';

/**
 * A sink that hands on every record as one line of JSON. This form works anywhere; `openJsonlSink` of
 * `@updraft/report/node` writes files.
 */
export function createJsonlSink(write: (line: string) => void): MetricsSink {
  return {
    write(record) {
      write(encodeRecord(record));
    },
    flush() {},
    close() {},
  };
}
