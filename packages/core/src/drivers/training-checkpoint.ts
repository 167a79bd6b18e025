import type { TensorData } from '@updraft/graph';
import {
  CHECKPOINT_FORMAT,
  CheckpointError,
  type Checkpoint,
  type CheckpointStore,
  type PluginRecord,
} from '../checkpoint/index.js';
import type { JsonValue } from '../contracts/sampler.js';
import { pluginMetadata } from '../plugins/metadata.js';
import type { RandomState } from '../random/index.js';

export interface TrainingSnapshot {
  readonly step: number;
  readonly seed: number;
  readonly random: RandomState;
  readonly loss: number;
  readonly samplerState: JsonValue;
  readonly config: JsonValue;
  /** Of the newest evaluation. */
  readonly metrics?: Readonly<Record<string, number>> | undefined;
  readonly plugins: readonly PluginRecord[];
  /** Everything resident: parameters, variables, rule state. */
  readonly tensors: Readonly<Record<string, TensorData>>;
}

/** A snapshot as a checkpoint; later changes of the sampler do not reach it. */
export const checkpointOf = (snapshot: TrainingSnapshot): Checkpoint => ({
  manifest: {
    format: CHECKPOINT_FORMAT,
    step: snapshot.step,
    seed: snapshot.seed,
    random: snapshot.random,
    loss: Number.isFinite(snapshot.loss) ? snapshot.loss : null,
    ...(snapshot.metrics === undefined ? {} : { metrics: snapshot.metrics }),
    plugins: snapshot.plugins,
    config: snapshot.config,
    samplerState: structuredClone(snapshot.samplerState),
    createdAt: new Date().toISOString(),
  },
  tensors: snapshot.tensors,
});

/** The plugins among the parts of a pipeline, as manifests name them. */
export const pluginRecords = (parts: readonly object[]): PluginRecord[] =>
  parts.flatMap((part) => {
    const metadata = pluginMetadata(part.constructor);
    if (metadata === undefined) return [];
    const { contract, name, version } = metadata;
    return [{ contract, name, ...(version === undefined ? {} : { version }) }];
  });

/** The newest checkpoint that verifies; damaged ones are passed over. */
export async function newestCheckpoint(
  store: CheckpointStore,
): Promise<{ name: string; checkpoint: Checkpoint } | undefined> {
  const names = [...(await store.list())].reverse();
  let damage: CheckpointError | undefined;
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
  plugins: readonly PluginRecord[] = [],
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
      problems.push(
        `${key} is ${stored.dataType}[${stored.dims.join(', ')}], expected is ${value.dataType}[${value.dims.join(', ')}]`,
      );
  }
  for (const key of Object.keys(tensors))
    if (expected[key] === undefined) problems.push(`it has ${key}, which this pipeline does not use`);
  if (manifest.seed !== seed) problems.push(`its seed is ${manifest.seed}, not ${seed}`);
  // Two rules may keep state of the same names and shapes and mean other things by it.
  const ruleOf = (records: readonly PluginRecord[] = []): string | undefined =>
    records.find(({ contract }) => contract === 'update-rule')?.name;
  const [stored, own] = [ruleOf(manifest.plugins), ruleOf(plugins)];
  if (stored !== undefined && own !== undefined && stored !== own)
    problems.push(`its update rule is "${stored}", not "${own}"`);
  if (problems.length > 0)
    throw new CheckpointError(`The checkpoint "${name}" belongs to another pipeline: ${problems.join('; ')}.`, {
      hint: 'Use another folder, start with resume: false, or give the model and rule that it was written with.',
      details: { problems },
    });
  return { name, step: manifest.step, loss: manifest.loss ?? Number.NaN, samplerState: manifest.samplerState, tensors };
}
