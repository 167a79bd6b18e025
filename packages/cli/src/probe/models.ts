import {
  defineModel,
  graphModel,
  type DescribedModel,
  type Layer,
  type ModelDescription,
  type ModelFacts,
} from '@updraft/core';
import { loadModel, type Tensor } from '@updraft/graph';
import { sequential } from '@updraft/nn';
import { readFile } from 'node:fs/promises';
import { findEntry, makeEntry } from '../catalogue/entry.js';
import { MODELS } from '../catalogue/models.js';
import { CliError, fileError } from '../errors.js';
import type { InstalledPlugins } from '../plugin-discovery.js';
import { exportNamed } from './target.js';

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function textOf(description: ModelDescription, key: string): string | undefined {
  const value = description[key];
  if (value === undefined || typeof value === 'string') return value;
  throw new CliError(`"model.${key}" is no text.`);
}

async function onnxModel(description: ModelDescription, facts: ModelFacts): Promise<DescribedModel> {
  const file = textOf(description, 'file');
  if (file === undefined) throw new CliError('A model of type "onnx" needs the path of its "file".');
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw fileError(`The model "${file}" cannot be read`, error);
  }
  return graphModel(loadModel(bytes).graph, facts, textOf(description, 'loss'));
}

/** `"relu"`, or `{ "dense": { "units": 3 } }`: an export of `@updraft/nn` with its options. */
function layer(plugins: InstalledPlugins, json: unknown, path: string): Layer {
  const [name, options] =
    typeof json === 'string' ? [json, undefined] : isObject(json) ? (Object.entries(json)[0] ?? []) : [];
  if (name === undefined)
    throw new CliError(`"${path}" is no layer.`, { hint: 'Write "relu", or { "dense": { "units": 3 } }.' });
  const found = exportNamed(plugins, '@updraft/nn', name);
  return options === undefined ? (found as Layer) : (found as (given: unknown) => Layer)(options);
}

function layersModel(
  plugins: InstalledPlugins,
  description: ModelDescription,
  { columns }: ModelFacts,
): DescribedModel {
  const { layers } = description;
  if (!Array.isArray(layers)) throw new CliError('A model of type "layers" needs a list of "layers".');
  const input = textOf(description, 'input') ?? Object.keys(columns)[0];
  const column = input === undefined ? undefined : columns[input];
  if (input === undefined || column === undefined)
    throw new CliError(`The batch has no column "${input ?? ''}" for the layers.`, {
      hint: `It has: ${Object.keys(columns).join(', ') || 'none'}.`,
    });
  const output = textOf(description, 'output') ?? 'output';
  const all = sequential(...(layers as unknown[]).map((json, index) => layer(plugins, json, `model.layers.${index}`)));
  return {
    model: defineModel({
      name: 'layers',
      inputs: { [input]: { dataType: column.dataType, shape: column.dims } },
      build: (scope, inputs) => ({ [output]: all(scope, inputs[input] as Tensor) }),
    }),
  };
}

/** Models that need files or packages: ONNX files, lists of layers, reference models. @throws CliError */
export const probeModels =
  (plugins: InstalledPlugins) =>
  (description: ModelDescription, facts: ModelFacts): Promise<DescribedModel> => {
    const { type, ...options } = description;
    if (type === 'onnx') return onnxModel(description, facts);
    if (type === 'layers') return Promise.resolve(layersModel(plugins, description, facts));
    const known = findEntry('model', { ...EXTRA, ...MODELS }, type);
    const [column, value] = Object.entries(facts.columns).find(([, { dataType }]) => dataType === 'float32') ?? [];
    // What the batch tells need not be said again.
    const told = { column, input: value?.dims.slice(1) };
    const inferred = Object.entries(told).filter(([key, each]) => each !== undefined && key in known.options.shape);
    return Promise.resolve({
      model: makeEntry('model', MODELS, { name: type, options: { ...Object.fromEntries(inferred), ...options } }),
    });
  };

/** Types of models that are no entries, so that an unknown one is answered with them as well. */
const EXTRA = Object.fromEntries(
  ['expression', 'quadratic', 'linear', 'onnx', 'layers'].map((type) => [type, MODELS['mlp']]),
) as typeof MODELS;
