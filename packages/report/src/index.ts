export type { ChartGroup } from './charts/chart-groups.js';
export { MetricsFileError, MetricsSinkError, ReportError } from './errors.js';
export { renderReport, type RenderReportOptions } from './html/render-report.js';
export { encodeImage, type EncodeImageOptions } from './images/encode-image.js';
export { encodeRecord, encodeRecords } from './records/encode-records.js';
export type {
  CheckRecord,
  ClockRecord,
  ConfusionMatrixRecord,
  EndRecord,
  EvaluationRecord,
  GraphRecord,
  HistogramRecord,
  ImagesRecord,
  JsonValue,
  MemoryRecord,
  MetricRecord,
  PhasesRecord,
  ResumedRecord,
  RunHeader,
  SampleImage,
  SampleText,
  ScalarsRecord,
  SeriesRecord,
  TableRecord,
  TextsRecord,
  WarningRecord,
} from './records/metric-record.js';
export { foldRuns } from './records/fold-run.js';
export { histogramOf } from './records/histogram.js';
export { parseRecords, parseRuns, type ParseRecordsOptions } from './records/parse-records.js';
export type { RunRecord, Series } from './records/run-record.js';
export { createJsonlSink } from './sinks/jsonl-sink.js';
export type { MetricsSink } from './sinks/metrics-sink.js';
export { recordEvents, type RecordedEvent, type RecordEventsOptions } from './sinks/record-events.js';
export { createRunRecorder, type RunRecorder } from './sinks/run-recorder.js';
export { teeSink } from './sinks/tee-sink.js';
export { mean, pairedPermutationTest, standardDeviation } from './statistics/seed-statistics.js';
export { renderSvg, type RenderSvgOptions } from './svg/render-svg.js';
export { createTensorBoardSink, type TensorBoardSinkOptions } from './tensorboard/tensorboard-sink.js';
