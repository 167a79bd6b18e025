import { interpolate } from './interpolate.js';
import { smooth } from './smooth.js';

/** A series of one run, ready to be drawn. */
export interface SourceLine {
  readonly steps: readonly number[];
  /** Seconds since the start of the run, one per step. */
  readonly seconds: readonly number[];
  readonly values: readonly number[];
}

/** One run, or several that differ in the seed only and are drawn as mean and range. */
export interface Entry {
  readonly label: string;
  /** The name by which a page can ask for it as its baseline. */
  readonly name: string;
  /** The colour that the entry keeps wherever it is drawn. */
  readonly color: number;
  /** The lines of its runs by chart and label. */
  readonly runs: readonly (readonly { readonly key: string; readonly label: string; readonly line: SourceLine }[])[];
}

/** What the reader has chosen for all charts. */
export interface ViewState {
  /** Weight of the moving average, 0 up to but not including 1. */
  readonly smoothing: number;
  readonly logScale: boolean;
  readonly axis: 'step' | 'time';
  /** The entry that the others are compared with. */
  readonly baseline: number | undefined;
  readonly hiddenEntries: ReadonlySet<number>;
}

/** A line on a chart. */
export interface ChartLine {
  readonly id: string;
  readonly entry: number;
  readonly labelIndex: number;
  readonly name: string;
  readonly isBaseline: boolean;
  readonly color: number;
  /** 0 is solid. */
  readonly dash: number;
  readonly x: readonly number[];
  /** What is drawn in full colour: the values, smoothed; null where there is nothing to draw. */
  readonly y: readonly (number | null)[];
  /** The values before smoothing, where they differ from `y`. */
  readonly raw?: readonly (number | null)[];
  /** The range over the seeds. */
  readonly low?: readonly (number | null)[];
  readonly high?: readonly (number | null)[];
  readonly runCount: number;
}

/** A line of fewer points than this is drawn as it is: averaging a handful of evaluations would only misplace them. */
const fewestSmoothedPoints = 30;

/** Points on the grid of a mean over runs. */
const gridPoints = 400;

/** The lines of one chart: one per visible entry and label that has points. */
export function chartLines(
  key: string,
  labels: readonly string[],
  entries: readonly Entry[],
  state: ViewState,
): ChartLine[] {
  const compare = entries.length > 1;
  return entries.flatMap((entry, entryIndex) => {
    if (state.hiddenEntries.has(entryIndex)) return [];
    return labels.flatMap((label, labelIndex) => {
      const sources = entry.runs.flatMap((lines) =>
        lines.filter((line) => line.key === key && line.label === label).map(({ line }) => line),
      );
      const drawn = sources.map((source) => prepare(source, state)).filter(({ x }) => x.length > 0);
      const [first] = drawn;
      if (first === undefined) return [];
      const common = {
        id: `${entryIndex} ${labelIndex}`,
        entry: entryIndex,
        labelIndex,
        name: !compare ? label : labels.length > 1 ? `${entry.label}: ${label}` : entry.label,
        isBaseline: state.baseline === entryIndex,
        color: compare ? entry.color : labelIndex,
        dash: compare ? labelIndex : Math.floor(labelIndex / 8),
        runCount: drawn.length,
      };
      return [drawn.length === 1 ? { ...common, ...first } : { ...common, ...summarize(drawn) }];
    });
  });
}

interface DrawnLine {
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
  readonly raw?: readonly (number | null)[];
}

function prepare({ steps, seconds, values }: SourceLine, { smoothing, logScale, axis }: ViewState): DrawnLine {
  // A logarithm has no place for zero and negative values.
  const visible = (value: number | null) =>
    value !== null && Number.isFinite(value) && (!logScale || value > 0) ? value : null;
  const positions = axis === 'step' ? steps : seconds;
  // Two steps within one tick of the clock would stand above each other.
  const kept = positions.flatMap((position, index) =>
    index === 0 || position > (positions[index - 1] ?? 0) ? [index] : [],
  );
  const x = kept.map((index) => positions[index] ?? 0);
  const raw = kept.map((index) => values[index] ?? null);
  if (smoothing <= 0 || raw.length < fewestSmoothedPoints) return { x, y: raw.map(visible) };
  return { x, y: smooth(raw, smoothing).map(visible), raw: raw.map(visible) };
}

/**
 * Mean, lowest and highest over runs, on the union of their positions; runs that have ended are left out. Where there
 * are more positions than a chart can show, neighbours are put together without losing their extremes.
 */
function summarize(
  lines: readonly DrawnLine[],
): Omit<DrawnLine, 'raw'> & { readonly low: (number | null)[]; readonly high: (number | null)[] } {
  const union = [...new Set(lines.flatMap(({ x }) => x))].sort((left, right) => left - right);
  const columns = union.map((at) =>
    lines.map(({ x, y }) => interpolate(x, y, at)).filter((value) => value !== undefined),
  );
  const width = Math.ceil(union.length / gridPoints);
  const bins = Array.from({ length: Math.ceil(union.length / width) }, (_value, bin) => {
    const values = columns.slice(bin * width, (bin + 1) * width);
    return {
      at: union[Math.min(union.length - 1, bin * width + Math.floor(width / 2))] ?? 0,
      means: values.filter((column) => column.length > 0).map(average),
      all: values.flat(),
    };
  });
  return {
    x: bins.map(({ at }) => at),
    y: bins.map(({ means }) => (means.length === 0 ? null : average(means))),
    low: bins.map(({ all }) => (all.length === 0 ? null : Math.min(...all))),
    high: bins.map(({ all }) => (all.length === 0 ? null : Math.max(...all))),
  };
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** A sentence for people who cannot see the chart. */
export function describeLines(title: string, lines: readonly ChartLine[], format: (value: number) => string): string {
  const parts = lines.map(({ name, x, y, runCount }) => {
    const values = y.filter((value) => value !== null);
    const [first] = values;
    const last = values.at(-1);
    if (first === undefined || last === undefined) return `${name}: no values`;
    const runs = runCount > 1 ? `, mean of ${runCount} runs` : '';
    return `${name}${runs}: ${x.length} points from ${format(first)} to ${format(last)}, lowest ${format(Math.min(...values))}, highest ${format(Math.max(...values))}`;
  });
  return `${title}. ${parts.join('; ')}.`;
}
