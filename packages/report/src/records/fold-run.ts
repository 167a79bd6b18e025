import type {
  CheckRecord,
  ConfusionMatrixRecord,
  EndRecord,
  EvaluationRecord,
  GraphRecord,
  HistogramRecord,
  ImagesRecord,
  MemoryRecord,
  MetricRecord,
  PhasesRecord,
  RunHeader,
  TableRecord,
  TextsRecord,
  WarningRecord,
} from './metric-record.js';
import type { RunRecord, Series } from './run-record.js';

/** A series that grows while records arrive. */
interface GrowingSeries {
  steps: number[];
  values: number[];
  originalLength: number;
  nonFinite: number;
}

/** Puts the records of one run together, one after the other. */
export class RunFold {
  readonly #header: RunHeader;
  readonly #series = new Map<string, GrowingSeries>();
  #clock: { steps: number[]; times: number[] } = { steps: [], times: [] };
  #evaluations: EvaluationRecord[] = [];
  readonly #histograms = new Map<string, HistogramRecord>();
  readonly #confusionMatrices = new Map<string, ConfusionMatrixRecord>();
  readonly #images = new Map<string, ImagesRecord>();
  readonly #texts = new Map<string, TextsRecord>();
  readonly #graphs = new Map<string, GraphRecord>();
  readonly #checks = new Map<string, CheckRecord>();
  readonly #tables = new Map<string, TableRecord>();
  #phases: PhasesRecord | undefined;
  /** Phases of the parts of the run before it was resumed. */
  readonly #earlierPhases: PhasesRecord[] = [];
  #memory: MemoryRecord | undefined;
  #warnings: WarningRecord[] = [];
  readonly #resumedAt: number[] = [];
  #end: EndRecord | undefined;

  constructor(header: RunHeader) {
    this.#header = header;
  }

  /** Takes any record but a header: a header belongs to the next run. */
  add(record: Exclude<MetricRecord, RunHeader>): void {
    switch (record.kind) {
      case 'scalars':
        for (const [name, value] of Object.entries(record.values)) this.#addPoint(name, record.step, value);
        this.#addTime(record.step, record.time);
        break;
      case 'series':
        this.#series.set(record.name, {
          steps: [...record.steps],
          values: [...record.values],
          originalLength: record.originalLength ?? record.steps.length,
          nonFinite: record.nonFinite ?? record.values.filter((value) => !Number.isFinite(value)).length,
        });
        break;
      case 'clock':
        this.#clock = { steps: [...record.steps], times: [...record.times] };
        break;
      case 'evaluation':
        this.#evaluations.push(record);
        break;
      case 'histogram':
        this.#histograms.set(record.name, record);
        break;
      case 'confusionMatrix':
        this.#confusionMatrices.set(record.name, record);
        break;
      case 'images':
        this.#images.set(record.name, record);
        break;
      case 'texts':
        this.#texts.set(record.name, record);
        break;
      case 'graph':
        this.#graphs.set(record.name, record);
        break;
      case 'check':
        this.#checks.set(record.name, record);
        break;
      case 'table':
        this.#tables.set(record.title, record);
        break;
      case 'phases':
        this.#phases = record;
        break;
      case 'memory':
        // A resumed run is another process, whose peak may be lower.
        this.#memory =
          this.#resumedAt.length > 0 && this.#memory !== undefined && this.#memory.peakBytes > record.peakBytes
            ? this.#memory
            : record;
        break;
      case 'warning':
        this.#warnings.push(record);
        break;
      case 'resumed':
        this.#dropAfter(record.step);
        if (this.#phases !== undefined) this.#earlierPhases.push(this.#phases);
        this.#phases = undefined;
        this.#resumedAt.push(record.step);
        break;
      case 'end':
        this.#end = record;
        break;
    }
  }

  /** The run so far. The result is not changed by records that are added later. */
  result(): RunRecord {
    const series = new Map<string, Series>();
    for (const [name, { steps, values, originalLength, nonFinite }] of this.#series) {
      series.set(name, { steps: [...steps], values: [...values], originalLength, nonFinite });
    }
    return {
      header: this.#header,
      series,
      clock: { steps: [...this.#clock.steps], times: [...this.#clock.times] },
      evaluations: [...this.#evaluations],
      histograms: [...this.#histograms.values()],
      confusionMatrices: [...this.#confusionMatrices.values()],
      images: [...this.#images.values()],
      texts: [...this.#texts.values()],
      phases: addPhases([...this.#earlierPhases, ...(this.#phases ? [this.#phases] : [])]),
      memory: this.#memory,
      graphs: [...this.#graphs.values()],
      warnings: [...this.#warnings],
      checks: [...this.#checks.values()],
      tables: [...this.#tables.values()],
      resumedAt: [...this.#resumedAt],
      end: this.#end,
    };
  }

  #addPoint(name: string, step: number, value: number): void {
    let series = this.#series.get(name);
    if (series === undefined) {
      series = { steps: [], values: [], originalLength: 0, nonFinite: 0 };
      this.#series.set(name, series);
    }
    const { steps, values } = series;
    // Charts need ascending steps. A second value for a step replaces the first one; a step from the past
    // (a source that counts again from zero without a resumed record) is put where it belongs.
    let at = steps.length;
    while (at > 0 && (steps[at - 1] ?? 0) > step) at -= 1;
    if (at > 0 && steps[at - 1] === step) {
      series.nonFinite += Number(!Number.isFinite(value)) - Number(!Number.isFinite(values[at - 1]));
      values[at - 1] = value;
      return;
    }
    steps.splice(at, 0, step);
    values.splice(at, 0, value);
    series.originalLength += 1;
    if (!Number.isFinite(value)) series.nonFinite += 1;
  }

  #addTime(step: number, time: number): void {
    const { steps, times } = this.#clock;
    if ((steps.at(-1) ?? -1) >= step) return;
    steps.push(step);
    times.push(time);
  }

  #dropAfter(step: number): void {
    for (const [name, series] of this.#series) {
      const length = series.steps.length;
      let kept = length;
      while (kept > 0 && (series.steps[kept - 1] ?? 0) > step) {
        kept -= 1;
        if (!Number.isFinite(series.values[kept])) series.nonFinite -= 1;
      }
      series.steps.length = kept;
      series.values.length = kept;
      series.originalLength -= length - kept;
      if (kept === 0) this.#series.delete(name);
    }
    const { steps, times } = this.#clock;
    while ((steps.at(-1) ?? 0) > step) {
      steps.pop();
      times.pop();
    }
    this.#evaluations = this.#evaluations.filter((record) => record.step <= step);
    this.#warnings = this.#warnings.filter((record) => (record.step ?? 0) <= step);
    for (const map of [this.#histograms, this.#confusionMatrices, this.#images, this.#texts]) {
      for (const [name, record] of map) if (record.step > step) map.delete(name);
    }
    this.#end = undefined;
  }
}

/** The sums over the parts of a run that was resumed. */
function addPhases(records: readonly PhasesRecord[]): PhasesRecord | undefined {
  const [first] = records;
  if (first === undefined || records.length === 1) return first;
  const sums = new Map<string, { name: string; seconds: number; count?: number }>();
  for (const { name, seconds, count } of records.flatMap(({ phases }) => phases)) {
    const sum = sums.get(name);
    const counts = [sum?.count, count].filter((one) => one !== undefined);
    sums.set(name, {
      name,
      seconds: (sum?.seconds ?? 0) + seconds,
      ...(counts.length > 0 ? { count: counts.reduce((left, right) => left + right) } : {}),
    });
  }
  return { kind: 'phases', phases: [...sums.values()] };
}

/** Splits records into runs, each started by its header. Records before the first header are dropped. */
export function foldRuns(records: Iterable<MetricRecord>): RunRecord[] {
  const folds: RunFold[] = [];
  for (const record of records) {
    if (record.kind === 'run') folds.push(new RunFold(record));
    else folds.at(-1)?.add(record);
  }
  return folds.map((fold) => fold.result());
}
