import { join } from 'node:path';
import { createBackend } from '@updraft/backend';
import { CheckpointError, evaluate, exportModel, PREFIX } from '@updraft/core';
import { FileCheckpointStore } from '@updraft/core/node';
import type { TensorData } from '@updraft/graph';
import { writeFile } from 'node:fs/promises';
import type { Config } from '../config.js';
import { buildPipeline } from '../pipeline.js';

/** Parameters and variables of the newest (or a named) checkpoint of a run. */
async function checkpointValues(
  config: Config,
  name?: string,
): Promise<{ name: string; values: Record<string, TensorData> }> {
  const store = new FileCheckpointStore(join(config.output, 'checkpoints'));
  const chosen = name ?? (await store.list()).at(-1);
  if (chosen === undefined)
    throw new CheckpointError(`There is no checkpoint in "${config.output}".`, {
      hint: 'Run "updraft train" with this configuration first.',
    });
  const { tensors } = await store.load(chosen);
  const values = Object.fromEntries(
    Object.entries(tensors).flatMap(([key, value]) =>
      [PREFIX.param, PREFIX.variable].flatMap((prefix) =>
        key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [],
      ),
    ),
  ) as Record<string, TensorData>;
  return { name: chosen, values };
}

/** Measure a checkpoint on the test set. */
export async function evaluateCommand(
  config: Config,
  options: { readonly checkpoint?: string; readonly json: boolean },
): Promise<void> {
  const pipeline = await buildPipeline(config);
  const { name, values } = await checkpointValues(config, options.checkpoint);
  const backend = await createBackend({ device: config.device });
  try {
    const result = await evaluate({
      model: pipeline.model,
      reward: pipeline.reward,
      backend,
      residents: values,
      sampler: pipeline.evaluationSampler,
      seed: config.seed,
    });
    if (options.json) process.stdout.write(`${JSON.stringify({ checkpoint: name, ...result })}\n`);
    else {
      const metrics = Object.entries({ loss: result.loss, ...result.metrics }).map(
        ([key, value]) => `${key} ${value.toFixed(4)}`,
      );
      process.stdout.write(`${name} on ${backend.device}: ${metrics.join(', ')} over ${result.examples} examples\n`);
    }
  } finally {
    await backend.dispose();
  }
}

/** Write a checkpoint as a plain ONNX inference model. */
export async function exportCommand(
  config: Config,
  options: { readonly checkpoint?: string; readonly to: string },
): Promise<void> {
  const pipeline = await buildPipeline(config);
  const { name, values } = await checkpointValues(config, options.checkpoint);
  const bytes = exportModel(pipeline.model, { values, metadata: { 'updraft.config': JSON.stringify(config) } });
  await writeFile(options.to, bytes, { flush: true });
  process.stdout.write(`${name} → ${options.to} (${(bytes.length / 1024).toFixed(0)} KiB)\n`);
}
