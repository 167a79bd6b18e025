export type { FileSinkOptions } from './file-sink-options.js';
export { openJsonlSink } from './open-jsonl-sink.js';
export { openTensorBoardSink } from './open-tensorboard-sink.js';
export { readRuns } from './read-runs.js';
export { writeReport } from './write-report.js';
