import { largestTriangleThreeBuckets } from './down-sample.js';
import { roundTo } from './json-number.js';
import type { ClockRecord, MetricRecord, SeriesRecord } from './metric-record.js';
import type { RunRecord, Series } from './run-record.js';

/** Points of the clock that are kept; between them time is interpolated, which is all that an axis needs. */
const clockPoints = 100;

/** Digits that a plot can show with room to spare. */
const significantDigits = 6;

/**
 * The records of a run with its series in columns, down-sampled to at most `pointsPerSeries` points each.
 * `foldRuns` of the result is the run again, up to the points that were dropped.
 */
export function compactRun(run: RunRecord, pointsPerSeries: number): MetricRecord[] {
  return [
    run.header,
    // Before everything else: a resumed record takes back what stands before it.
    ...run.resumedAt.map((step) => ({ kind: 'resumed' as const, step, time: Math.round(timeAt(run, step)) })),
    ...[...run.series].map(([name, series]) => compactSeries(name, series, pointsPerSeries)),
    compactClock(run),
    ...run.evaluations,
    ...run.histograms,
    ...run.confusionMatrices,
    ...run.images,
    ...run.texts,
    ...(run.phases ? [run.phases] : []),
    ...(run.memory ? [run.memory] : []),
    ...run.graphs,
    ...run.warnings,
    ...run.checks,
    ...run.tables,
    ...(run.end ? [run.end] : []),
  ];
}

/** A series with at most `points` points. */
export function downSampleSeries(series: Series, points: number): Series {
  if (series.steps.length <= points && series.nonFinite === 0) return series;
  const kept = largestTriangleThreeBuckets(series.steps, series.values, points);
  return {
    ...series,
    steps: kept.map((index) => series.steps[index] ?? 0),
    values: kept.map((index) => series.values[index] ?? 0),
  };
}

function compactSeries(name: string, series: Series, points: number): SeriesRecord {
  const { steps, values, originalLength, nonFinite } = downSampleSeries(series, points);
  return {
    kind: 'series',
    name,
    steps,
    values: values.map((value) => roundTo(value, significantDigits)),
    ...(originalLength > steps.length ? { originalLength } : {}),
    ...(nonFinite > 0 ? { nonFinite } : {}),
  };
}

function compactClock(run: RunRecord): ClockRecord {
  const { steps, times } = run.clock;
  const kept = largestTriangleThreeBuckets(steps, times, clockPoints);
  return {
    kind: 'clock',
    steps: kept.map((index) => steps[index] ?? 0),
    times: kept.map((index) => Math.round(times[index] ?? 0)),
  };
}

/** Time at a step: interpolated on the clock, constant outside of it; NaN without a clock. */
export function timeAt(run: Pick<RunRecord, 'clock'>, step: number): number {
  const { steps, times } = run.clock;
  const first = steps[0];
  const last = steps.at(-1);
  if (first === undefined || last === undefined) return Number.NaN;
  if (step <= first) return times[0] ?? Number.NaN;
  if (step >= last) return times.at(-1) ?? Number.NaN;
  let low = 0;
  let high = steps.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((steps[middle] ?? 0) <= step) low = middle;
    else high = middle;
  }
  const lowStep = steps[low] ?? 0;
  const highStep = steps[high] ?? 0;
  const part = highStep === lowStep ? 0 : (step - lowStep) / (highStep - lowStep);
  return (times[low] ?? 0) + part * ((times[high] ?? 0) - (times[low] ?? 0));
}
