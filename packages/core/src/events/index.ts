import type { JsonValue } from '../contracts/sampler.js';

export interface RunStartEvent {
  readonly type: 'run-start';
  readonly device: string;
  /** What the backend chose and why. */
  readonly description: string;
  /** Step that the run continues after; 0 for a fresh one. */
  readonly step: number;
  readonly steps: number;
  readonly seed: number;
  /** Number of trainable scalars. */
  readonly parameters: number;
  readonly resumedFrom: string | undefined;
  readonly config: JsonValue;
}
export interface CompileEvent {
  readonly type: 'compile';
  readonly step: number;
  readonly phase: string;
  readonly monitored: boolean;
  readonly milliseconds: number;
  readonly nodes: number;
}
export interface StepEvent {
  readonly type: 'step';
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Scheduled scalars of this step (learning rate, …). */
  readonly scalars: Readonly<Record<string, number>>;
  readonly batchSize: number;
  readonly milliseconds: number;
  /** Time inside the program. */
  readonly runMilliseconds: number;
  /** Time spent waiting for the batch. */
  readonly drawMilliseconds: number;
}
export interface EvaluationEvent {
  readonly type: 'evaluation';
  readonly step: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
  readonly milliseconds: number;
  readonly confusion: readonly (readonly number[])[] | undefined;
}
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly step: number;
  readonly name: string;
  /** From the copy of the tensors to the complete checkpoint; training goes on meanwhile. */
  readonly milliseconds: number;
  /** How long training waited for it. */
  readonly blockedMilliseconds: number;
}
export interface WarningEvent {
  readonly type: 'warning';
  readonly step: number;
  readonly message: string;
}
export interface RunEndEvent {
  readonly type: 'run-end';
  readonly step: number;
  readonly reason: 'steps' | 'sampler-ended' | 'aborted';
  readonly loss: number;
  readonly milliseconds: number;
}

/** What a training run tells while it goes. */
export type TrainEvent =
  RunStartEvent | CompileEvent | StepEvent | EvaluationEvent | CheckpointEvent | WarningEvent | RunEndEvent;

/** Receives the events of a run: files, reports, progress. */
export interface EventSink {
  write(event: TrainEvent): void | Promise<void>;
  close?(): void | Promise<void>;
}
