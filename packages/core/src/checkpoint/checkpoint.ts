import { UpdraftError, type TensorData, type UpdraftErrorOptions } from '@updraft/graph';
import type { JsonValue } from '../contracts/sampler.js';

/** A checkpoint is damaged, or belongs to another model or version. */
export class CheckpointError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('checkpoint', message, options);
  }
}

export const CHECKPOINT_FORMAT = 1;

/** What a checkpoint says about itself, as JSON beside its tensors. */
export interface CheckpointManifest {
  readonly format: number;
  readonly step: number;
  readonly seed: number;
  readonly loss: number | null;
  readonly config: JsonValue;
  readonly samplerState: JsonValue;
  readonly createdAt: string;
}

export interface Checkpoint {
  readonly manifest: CheckpointManifest;
  readonly tensors: Readonly<Record<string, TensorData>>;
}

/** Which checkpoints stay when a new one is written. */
export interface KeepPolicy {
  /** Newest ones to keep; default 3. */
  readonly last?: number;
  /** Also keep every checkpoint whose step is a multiple of this. */
  readonly every?: number;
}

/** Where checkpoints live. A checkpoint is there completely or not at all. */
export interface CheckpointStore {
  /** Write a checkpoint and return its name. */
  save(checkpoint: Checkpoint): Promise<string>;
  /** Names of complete checkpoints, oldest first. */
  list(): Promise<readonly string[]>;
  /** Read and verify one. @throws CheckpointError */
  load(name: string): Promise<Checkpoint>;
}

/** Name of the checkpoint of a step; sorts by step. */
export const checkpointName = (step: number): string => `step-${String(step).padStart(9, '0')}`;

/** Checkpoints in memory, for tests and pages without storage. */
export class MemoryCheckpointStore implements CheckpointStore {
  readonly #checkpoints = new Map<string, Checkpoint>();

  save(checkpoint: Checkpoint): Promise<string> {
    const name = checkpointName(checkpoint.manifest.step);
    this.#checkpoints.set(name, checkpoint);
    return Promise.resolve(name);
  }
  list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#checkpoints.keys()].sort());
  }
  load(name: string): Promise<Checkpoint> {
    const found = this.#checkpoints.get(name);
    return found === undefined
      ? Promise.reject(new CheckpointError(`There is no checkpoint "${name}".`))
      : Promise.resolve(found);
  }
}
