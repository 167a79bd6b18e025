import type { TensorData } from '@updraft/graph';
import type { JsonValue } from '../contracts/sampler.js';
import type { SourceReport } from '../drivers/federate-sources.js';

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
  /** Whose model was evaluated, where every peer has its own. */
  readonly client?: string;
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

/** Local work of one client in a round of federated training. */
export interface ClientEvent {
  readonly type: 'client';
  /** The round, from 1. */
  readonly step: number;
  readonly client: string;
  /** Local steps taken. */
  readonly localSteps: number;
  readonly examples: number;
  /** Means over the local steps. */
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly milliseconds: number;
}
/** One result of an aggregator: the server's, or that of a peer. */
export interface AggregationReport {
  /** Whose result; undefined on a server. */
  readonly peer: string | undefined;
  /** Sources that were combined, in order. Empty where there were too few, so that nothing was combined. */
  readonly sources: readonly string[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly outputs: Readonly<Record<string, TensorData>>;
  /** What was wrong with sources. */
  readonly reports: readonly SourceReport[];
}
export interface RoundEvent {
  readonly type: 'round';
  readonly step: number;
  readonly steps: number;
  /** Clients that were asked to take part, in the order of the clients. */
  readonly participants: readonly string[];
  /** Mean over the clients that trained, by their weights. */
  readonly loss: number;
  readonly aggregations: readonly AggregationReport[];
  readonly milliseconds: number;
}

/** What federated training tells while it goes; `step` counts rounds. */
export type FederateEvent =
  RunStartEvent | ClientEvent | RoundEvent | EvaluationEvent | CheckpointEvent | WarningEvent | RunEndEvent;

export interface GenerationStartEvent {
  readonly type: 'generation-start';
  readonly device: string;
  readonly steps: number;
  readonly seed: number;
}
export interface GenerationStepEvent {
  readonly type: 'generation-step';
  readonly step: number;
  readonly steps: number;
  /** What the sampler shows of this step. */
  readonly outputs: Readonly<Record<string, TensorData>>;
  readonly milliseconds: number;
}
export interface GenerationEndEvent {
  readonly type: 'generation-end';
  readonly step: number;
  /** All steps were taken, everything is finished, the sampler stopped, or the signal came. */
  readonly reason: 'steps' | 'finished' | 'stopped' | 'aborted';
  readonly milliseconds: number;
}
/** What a generation tells while it goes. */
export type GenerateEvent = GenerationStartEvent | CompileEvent | GenerationStepEvent | GenerationEndEvent;

/** What a training run tells while it goes. */
export type TrainEvent =
  RunStartEvent | CompileEvent | StepEvent | EvaluationEvent | CheckpointEvent | WarningEvent | RunEndEvent;

/** Receives the events of a run: files, reports, progress. */
export interface EventSink {
  write(event: TrainEvent): void | Promise<void>;
  close?(): void | Promise<void>;
}
