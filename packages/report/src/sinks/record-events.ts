import type { MetricRecord, RunHeader } from '../records/metric-record.js';
import type { MetricsSink } from './metrics-sink.js';

/** The events of a training run, as far as they are recorded; every `TrainEvent` of `@updraft/core` is one. */
export type RecordedEvent =
  | { readonly type: 'run-start'; readonly step: number; readonly resumedFrom?: string | undefined }
  | { readonly type: 'compile'; readonly step: number; readonly milliseconds: number }
  | {
      readonly type: 'step';
      readonly step: number;
      readonly loss: number;
      readonly metrics: Readonly<Record<string, number>>;
      readonly scalars: Readonly<Record<string, number>>;
      readonly batchSize: number;
      /** The whole step, the run of the program and the wait for the batch. */
      readonly milliseconds: number;
      readonly runMilliseconds: number;
      readonly drawMilliseconds: number;
    }
  | {
      readonly type: 'checkpoint';
      readonly step: number;
      readonly milliseconds: number;
      readonly blockedMilliseconds?: number;
    }
  | {
      readonly type: 'evaluation';
      readonly step: number;
      readonly metrics: Readonly<Record<string, number>>;
      /** The mean over all examples, where it is not among the metrics. */
      readonly loss?: number;
      readonly milliseconds?: number;
      /** Counts [true class][predicted class]. */
      readonly confusion?: readonly (readonly number[])[] | undefined;
    }
  | { readonly type: 'warning'; readonly step: number; readonly message: string }
  | { readonly type: 'run-end'; readonly step: number; readonly reason: string };

export interface RecordEventsOptions {
  readonly sink: MetricsSink;
  /** Written when the run starts; a sink that goes on with a run keeps the header that it has. */
  readonly header: RunHeader;
  /** What evaluations are called. Default `test`. */
  readonly evaluationName?: string;
  /** Names of the classes of a confusion matrix. Default: their numbers. */
  readonly classNames?: readonly string[];
  /** Record the figures of every n-th step only, and those of the first. Default 1. */
  readonly recordEvery?: number;
  /**
   * The sink is flushed after every step that this divides: give the steps between checkpoints, so that the metrics
   * of a step are safe before its checkpoint is. Default: only at checkpoints and at the end.
   */
  readonly flushEvery?: number;
  /** Milliseconds since the Unix epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Passes the events of a run through and records them on the way: `for await (const event of recordEvents(train(…), …))`.
 * At the end, whatever it is, the time per phase and the reason are recorded and the sink is flushed, not closed.
 */
export async function* recordEvents<Event extends { readonly type: string }>(
  events: AsyncIterable<Event>,
  options: RecordEventsOptions,
): AsyncGenerator<Event, void, void> {
  const { sink, header, flushEvery = 0, now = Date.now } = options;
  const recorder = new EventRecorder(options, now);
  let end: Pick<Extract<MetricRecord, { kind: 'end' }>, 'reason' | 'message'> = { reason: 'aborted' };
  sink.write(header);
  try {
    for await (const event of events) {
      if (isRecorded(event)) {
        for (const record of recorder.records(event)) sink.write(record);
        if (event.type === 'run-end') end = { reason: event.reason === 'aborted' ? 'aborted' : 'completed' };
        if (event.type === 'checkpoint' || (event.type === 'step' && flushEvery > 0 && event.step % flushEvery === 0))
          await sink.flush();
      }
      yield event;
    }
  } catch (error) {
    end = { reason: 'failed', message: error instanceof Error ? error.message : String(error) };
    throw error;
  } finally {
    sink.write(recorder.phases());
    sink.write({ kind: 'end', step: recorder.step, time: now(), ...end });
    await sink.flush();
  }
}

const recordedTypes: ReadonlySet<string> = new Set<RecordedEvent['type']>([
  'run-start',
  'compile',
  'step',
  'checkpoint',
  'evaluation',
  'warning',
  'run-end',
]);

/** Events of other kinds pass without a record. */
function isRecorded(event: { readonly type: string }): event is RecordedEvent {
  return recordedTypes.has(event.type);
}

/** Turns events into records and adds up where the time went. */
class EventRecorder {
  step = 0;
  readonly #evaluationName: string;
  readonly #classNames: readonly string[];
  readonly #recordEvery: number;
  readonly #now: () => number;
  /** Milliseconds that the step which is going on has spent on compiling. */
  #compiling = 0;
  readonly #phases = new Map<string, { seconds: number; count: number }>();

  constructor(options: RecordEventsOptions, now: () => number) {
    this.#evaluationName = options.evaluationName ?? 'test';
    this.#classNames = options.classNames ?? [];
    this.#recordEvery = options.recordEvery ?? 1;
    this.#now = now;
  }

  records(event: RecordedEvent): MetricRecord[] {
    this.step = Math.max(this.step, event.step);
    const time = this.#now();
    switch (event.type) {
      case 'step': {
        const { step, loss, metrics, scalars, batchSize, milliseconds, runMilliseconds, drawMilliseconds } = event;
        this.#add('run step', runMilliseconds);
        this.#add('wait for batch', drawMilliseconds);
        // A step that had to compile first says nothing about throughput, and its compiling is a phase of its own.
        const stepMilliseconds = milliseconds - this.#compiling;
        this.#compiling = 0;
        this.#add('other host work', Math.max(0, stepMilliseconds - runMilliseconds - drawMilliseconds));
        if (step !== 1 && step % this.#recordEvery !== 0) return [];
        const perSecond = stepMilliseconds > 0 ? 1000 / stepMilliseconds : 0;
        const throughput = { 'throughput/steps': perSecond, 'throughput/examples': perSecond * batchSize };
        return [{ kind: 'scalars', step, time, values: { ...scalars, ...metrics, loss, ...throughput } }];
      }
      case 'evaluation': {
        const { step, loss, metrics, milliseconds, confusion: counts } = event;
        if (milliseconds !== undefined) this.#add('evaluate', milliseconds);
        const common = { step, time, name: this.#evaluationName };
        const records: MetricRecord[] = [
          { kind: 'evaluation', ...common, metrics: loss === undefined ? metrics : { ...metrics, loss } },
        ];
        if (counts !== undefined) {
          const labels = counts.map((_row, index) => this.#classNames[index] ?? String(index));
          records.push({ kind: 'confusionMatrix', ...common, labels, counts });
        }
        return records;
      }
      case 'compile':
        this.#add('compile', event.milliseconds);
        this.#compiling += event.milliseconds;
        return [];
      case 'checkpoint':
        // Training goes on while a checkpoint is written: only the wait counts.
        this.#add('checkpoint', event.blockedMilliseconds ?? event.milliseconds);
        return [];
      case 'warning':
        return [{ kind: 'warning', step: event.step, message: event.message }];
      case 'run-start':
      case 'run-end':
        return [];
    }
  }

  phases(): MetricRecord {
    return {
      kind: 'phases',
      phases: [...this.#phases].map(([name, { seconds, count }]) => ({ name, seconds, count })),
    };
  }

  #add(name: string, milliseconds: number): void {
    const phase = this.#phases.get(name) ?? { seconds: 0, count: 0 };
    phase.seconds += milliseconds / 1000;
    phase.count += 1;
    this.#phases.set(name, phase);
  }
}
