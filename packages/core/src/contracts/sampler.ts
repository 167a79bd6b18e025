import type { TensorData } from '@updraft/graph';
import type { InputSpec } from '../module/module.js';
import type { RandomStream } from '../random/index.js';

/** JSON values, as sampler state and checkpoint manifests hold them. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** What a program consumes in one step: named tensors whose first axis is the batch. */
export interface Batch {
  readonly columns: Readonly<Record<string, TensorData>>;
  readonly size: number;
  /** Stable ids of the examples, where the source has them. */
  readonly ids?: readonly (number | string)[];
  /** Give buffers back to the sampler once the step that reads them is over. */
  readonly release?: () => void;
}

export interface DrawContext {
  /** The step that this batch is for, from 1. */
  readonly step: number;
  /** Stream of this sampler: the same seed gives the same draws. */
  readonly random: RandomStream;
  readonly signal?: AbortSignal;
  /**
   * Parameters and variables of the model as the step before left them, for a sampler that runs it (rollouts, pseudo-labels)
   * and says so with `followsModel`. Copies: read them once per draw.
   */
  readonly values?: () => Promise<Readonly<Record<string, TensorData>>>;
}

/** What happened with a batch. */
export interface Feedback {
  readonly step: number;
  readonly batch: Batch;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Per-example values that the reward exposes (`losses`, `scores`), by name. */
  readonly perExample: Readonly<Record<string, TensorData>>;
}

/** **What is drawn next.** State is serialisable and part of every checkpoint. */
export interface Sampler {
  /** Columns of every batch; the first dimension is the symbolic `batch`. */
  readonly columns: Readonly<Record<string, InputSpec>>;
  /** The next batch; undefined ends the run. */
  draw(context: DrawContext): Batch | undefined | Promise<Batch | undefined>;
  /** Learn from what happened. A sampler that has this is not drawn from ahead of time. */
  observe?(feedback: Feedback): void | Promise<void>;
  /** Draws with the parameters of the model as they are (`DrawContext.values`). Such a sampler is not drawn from ahead of time. */
  readonly followsModel?: boolean;
  state(): JsonValue;
  restore(state: JsonValue): void;
  /** Chances of the candidates in the next draw, where the sampler has such: they add up to 1. For people and `probe`. */
  probabilities?(): readonly number[];
  /** Batches in one pass over the source, where that has a meaning. */
  readonly batchesPerEpoch?: number;
}
