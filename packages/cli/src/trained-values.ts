import { CheckpointError, modelSpecs, PREFIX, type Model } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import type { RunFolder } from './run-folder.js';

/**
 * Parameters and variables of a model from the newest (or a named) checkpoint.
 *
 * @throws CheckpointError that lists the tensors by which the checkpoint belongs to another model.
 */
export async function trainedValues(
  folder: RunFolder,
  model: Model,
  checkpointName?: string,
): Promise<{ readonly name: string; readonly values: Readonly<Record<string, TensorData>> }> {
  const { name, checkpoint } = await folder.newestCheckpoint(checkpointName);
  const stored = new Map<string, TensorData>();
  for (const [key, value] of Object.entries(checkpoint.tensors))
    for (const prefix of [PREFIX.param, PREFIX.variable])
      if (key.startsWith(prefix)) stored.set(key.slice(prefix.length), value);
  const { params, variables } = modelSpecs(model);
  const declared = new Map<string, string>();
  for (const { name: key, dataType, shape } of Object.values(params)) declared.set(key, tensorText(dataType, shape));
  for (const [key, { initial }] of Object.entries(variables))
    declared.set(key, tensorText(initial.dataType, initial.dims));

  const problems: string[] = [];
  for (const [key, expected] of declared) {
    const value = stored.get(key);
    if (value === undefined) problems.push(`it lacks "${key}" ${expected}`);
    else if (tensorText(value.dataType, value.dims) !== expected)
      problems.push(`"${key}" is ${tensorText(value.dataType, value.dims)}, the model has ${expected}`);
  }
  for (const [key, { dataType, dims }] of stored)
    if (!declared.has(key)) problems.push(`it has "${key}" ${tensorText(dataType, dims)}, which the model does not`);
  if (problems.length > 0)
    throw new CheckpointError(
      `The checkpoint ${name} in "${folder.path}" belongs to another model: ${problems.join('; ')}.`,
      {
        hint: 'Give the configuration that it was written with, or none: then the one in the checkpoint is used.',
        details: { problems },
      },
    );
  return { name, values: Object.fromEntries(stored) };
}

const tensorText = (dataType: string, dims: readonly number[]): string => `${dataType}[${dims.join(', ')}]`;
