import type {
  CheckRecord,
  ConfusionMatrixRecord,
  EndRecord,
  EvaluationRecord,
  GraphRecord,
  HistogramRecord,
  ImagesRecord,
  MemoryRecord,
  PhasesRecord,
  RunHeader,
  TableRecord,
  TextsRecord,
  WarningRecord,
} from './metric-record.js';

/** One series in columns; steps ascend. */
export interface Series {
  readonly steps: readonly number[];
  readonly values: readonly number[];
  /** Number of points before down-sampling. */
  readonly originalLength: number;
  /** How many of the original values were NaN or infinite. */
  readonly nonFinite: number;
}

/** Everything that is known of one run: its metric records, put together. */
export interface RunRecord {
  readonly header: RunHeader;
  /** By name, in order of first appearance. */
  readonly series: ReadonlyMap<string, Series>;
  /** When steps happened; ascending steps, milliseconds since the Unix epoch. */
  readonly clock: { readonly steps: readonly number[]; readonly times: readonly number[] };
  readonly evaluations: readonly EvaluationRecord[];
  /** The latest of each name. */
  readonly histograms: readonly HistogramRecord[];
  /** The latest of each name. */
  readonly confusionMatrices: readonly ConfusionMatrixRecord[];
  /** The latest of each name. */
  readonly images: readonly ImagesRecord[];
  /** The latest of each name. */
  readonly texts: readonly TextsRecord[];
  readonly phases: PhasesRecord | undefined;
  readonly memory: MemoryRecord | undefined;
  /** The latest of each name. */
  readonly graphs: readonly GraphRecord[];
  readonly warnings: readonly WarningRecord[];
  /** The latest of each name. */
  readonly checks: readonly CheckRecord[];
  /** The latest of each title. */
  readonly tables: readonly TableRecord[];
  /** Steps from which the run was taken up again. */
  readonly resumedAt: readonly number[];
  /** Absent while the run is going on, or when it was killed. */
  readonly end: EndRecord | undefined;
}

/** The highest step that anything was recorded for. */
export function lastStepOf(run: RunRecord): number {
  let last = run.end?.step ?? 0;
  for (const series of run.series.values()) last = Math.max(last, series.steps.at(-1) ?? 0);
  for (const evaluation of run.evaluations) last = Math.max(last, evaluation.step);
  return last;
}

/** Seconds between the start and the last thing that was recorded. */
export function durationOf(run: RunRecord): number | undefined {
  const start = Date.parse(run.header.startedAt);
  const end = run.end?.time ?? Math.max(run.clock.times.at(-1) ?? -Infinity, run.evaluations.at(-1)?.time ?? -Infinity);
  const seconds = (end - start) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}
