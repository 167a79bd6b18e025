import { UpdraftError, type TensorData, type UpdraftErrorOptions } from '@updraft/graph';
import type { JsonValue } from '../contracts/sampler.js';
import type { RandomState } from '../random/index.js';

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
  /** Metrics of the newest evaluation before this step. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** The plugins that the run was composed of. */
  readonly plugins?: readonly PluginRecord[];
  /** Root of all random numbers of the run: with the step it fixes every later draw. */
  readonly random?: RandomState;
}

/** A plugin as a checkpoint names it. */
export interface PluginRecord {
  readonly contract: string;
  readonly name: string;
  readonly version?: string;
}

export interface Checkpoint {
  readonly manifest: CheckpointManifest;
  readonly tensors: Readonly<Record<string, TensorData>>;
}

/** Where checkpoints live. A checkpoint is there completely or not at all. */
export interface CheckpointStore {
  /** Write a checkpoint and return its name. */
  save(checkpoint: Checkpoint): Promise<string>;
  /** Names of complete checkpoints, oldest first. */
  list(): Promise<readonly string[]>;
  /** Read and verify one. @throws CheckpointError */
  load(name: string): Promise<Checkpoint>;
  /** A new run starts here: put the checkpoints of earlier ones where `list` does not see them. */
  setAside?(): Promise<void>;
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
  setAside(): Promise<void> {
    this.#checkpoints.clear();
    return Promise.resolve();
  }
  load(name: string): Promise<Checkpoint> {
    const found = this.#checkpoints.get(name);
    return found === undefined
      ? Promise.reject(new CheckpointError(`There is no checkpoint "${name}".`))
      : Promise.resolve(found);
  }
}
