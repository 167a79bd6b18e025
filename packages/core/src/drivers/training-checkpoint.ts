import type { TensorData } from '@updraft/graph';
import { CHECKPOINT_FORMAT, CheckpointError, type Checkpoint, type CheckpointStore } from '../checkpoint/index.js';
import type { JsonValue } from '../contracts/sampler.js';

export interface TrainingSnapshot {
  readonly step: number;
  readonly seed: number;
  readonly loss: number;
  readonly samplerState: JsonValue;
  readonly config: JsonValue;
  /** Everything resident: parameters, variables, rule state. */
  readonly tensors: Readonly<Record<string, TensorData>>;
}

export const saveCheckpoint = (store: CheckpointStore, snapshot: TrainingSnapshot): Promise<string> =>
  store.save({
    manifest: {
      format: CHECKPOINT_FORMAT,
      step: snapshot.step,
      seed: snapshot.seed,
      loss: Number.isFinite(snapshot.loss) ? snapshot.loss : null,
      config: snapshot.config,
      samplerState: snapshot.samplerState,
      createdAt: new Date().toISOString(),
    },
    tensors: snapshot.tensors,
  });

/** The newest checkpoint that verifies; damaged ones are passed over. */
export async function newestCheckpoint(store: CheckpointStore): Promise<{ name: string; checkpoint: Checkpoint } | undefined> {
  const names = [...(await store.list())].reverse();
  let damage: unknown;
  for (const name of names) {
    try {
      return { name, checkpoint: await store.load(name) };
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      damage = error;
    }
  }
  if (damage !== undefined) throw damage;
  return undefined;
}

/** Tensors and position to continue from, checked against what the pipeline expects. */
export async function restoreCheckpoint(
  store: CheckpointStore,
  expected: Readonly<Record<string, TensorData>>,
  seed: number,
): Promise<
  | {
      readonly name: string;
      readonly step: number;
      readonly loss: number;
      readonly samplerState: JsonValue;
      readonly tensors: Readonly<Record<string, TensorData>>;
    }
  | undefined
> {
  const newest = await newestCheckpoint(store);
  if (newest === undefined) return undefined;
  const { name, checkpoint } = newest;
  const { manifest, tensors } = checkpoint;
  const problems: string[] = [];
  for (const [key, value] of Object.entries(expected)) {
    const stored = tensors[key];
    if (stored === undefined) problems.push(`it lacks ${key}`);
    else if (stored.dataType !== value.dataType || stored.dims.join() !== value.dims.join())
      problems.push(`${key} is ${stored.dataType}[${stored.dims.join(', ')}], expected is ${value.dataType}[${value.dims.join(', ')}]`);
  }
  for (const key of Object.keys(tensors)) if (expected[key] === undefined) problems.push(`it has ${key}, which this pipeline does not use`);
  if (manifest.seed !== seed) problems.push(`its seed is ${manifest.seed}, not ${seed}`);
  if (problems.length > 0)
    throw new CheckpointError(`The checkpoint "${name}" belongs to another pipeline: ${problems.join('; ')}.`, {
      hint: 'Use another folder, start with resume: false, or give the model and rule that it was written with.',
      details: { problems },
    });
  return { name, step: manifest.step, loss: manifest.loss ?? Number.NaN, samplerState: manifest.samplerState, tensors };
}
