import type { MetricsSink } from '../sinks/metrics-sink.js';
import { encodeFileVersion, encodeMetricRecord, encodeSessionStart } from './encode-events.js';
import { frameRecord } from './record-framing.js';

export interface TensorBoardSinkOptions {
  /** The first step that this file will hold when a run is taken up again; readers forget older events from there on. */
  readonly startStep?: number;
  /** Milliseconds since the Unix epoch, for the opening events. Default `Date.now()`. */
  readonly time?: number;
}

/**
 * A sink that hands on TensorBoard event records, framed and ready to be appended to a file. The opening events are
 * written at once. This form works anywhere; `openTensorBoardSink` of `@updraft/report/node` writes files.
 */
export function createTensorBoardSink(
  write: (bytes: Uint8Array) => void,
  options: TensorBoardSinkOptions = {},
): MetricsSink {
  const time = options.time ?? Date.now();
  write(frameRecord(encodeFileVersion(time)));
  if (options.startStep !== undefined) write(frameRecord(encodeSessionStart(time, options.startStep)));
  return {
    write(record) {
      const event = encodeMetricRecord(record);
      if (event !== undefined) write(frameRecord(event));
    },
    flush() {},
    close() {},
  };
}
