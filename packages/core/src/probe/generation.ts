import type { TensorData } from '@updraft/graph';
import type { GenerationSampler } from '../contracts/generation-sampler.js';
import type { JsonValue } from '../contracts/sampler.js';
import { generate, type GenerationModel } from '../drivers/generate.js';
import { initialParameters } from '../drivers/initial-state.js';
import { parseOptions } from '../options/index.js';
import { modelSpecs } from '../program/model-specs.js';
import { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { probeError, resolveModel, type ProbeContext, type ProbeResult } from './context.js';
import { generationInput } from './inputs.js';
import { parameterSpecs } from './models.js';
import { readTensor, readTensors, tensorsJson } from './values.js';

/** A described model with its values; those that are not given are drawn. */
async function modelOf(
  description: { readonly type: string; readonly [key: string]: unknown },
  name: string,
  seed: number,
  context: ProbeContext,
): Promise<GenerationModel> {
  const { params = {}, inputs = {}, ...rest } = description;
  const values = readTensors(params as NamedValues<unknown>, `models.${name}.params`);
  const columns = readTensors(inputs as NamedValues<unknown>, `models.${name}.inputs`);
  const { model } = await resolveModel(
    rest as { type: string },
    { params: values, columns, spec: parameterSpecs(values) },
    context,
  );
  const specs = modelSpecs(model);
  return {
    model,
    values: {
      ...initialParameters(specs, RandomStream.fromSeed(seed).split('parameters'), values),
      ...mapValues(specs.variables, ({ initial }, variable) => values[variable] ?? initial),
    },
  };
}

/**
 * Run a sampler that works step by step in `generate`, and tell its state and outputs after every step.
 *
 * @throws OptionsError, CoreError naming what of the input does not fit.
 */
export async function probeGeneration(
  sampler: GenerationSampler,
  input: unknown,
  context: ProbeContext,
): Promise<ProbeResult> {
  const given = parseOptions(generationInput, input, 'The input');
  const models: Record<string, GenerationModel> = {};
  for (const [name, description] of Object.entries(given.models))
    models[name] = await modelOf(description, name, given.seed, context);
  const noise = mapValues(given.noise ?? {}, (value, name): TensorData | TensorData[] => {
    const path = `noise.${name}`;
    // What is drawn once is a tensor with a type, what is drawn at every step a list: nested lists could be either.
    if (Array.isArray(value))
      return (value as unknown[]).map((each, index) => readTensor(each, `${path}.${index}`, given).value);
    return readTensor(value, path, given).value;
  });
  const run = generate({
    models,
    sampler,
    backend: context.backend,
    inputs: readTensors(given.inputs, 'inputs', given),
    seed: given.seed,
    noise,
    record: 'all',
    ...(given.steps === undefined ? {} : { maximumSteps: given.steps }),
  });
  const result = await run.result();
  const steps: JsonValue[] = Array.from({ length: result.steps }, (_, index) => {
    const row: Record<'outputs' | 'state' | 'noise', Record<string, TensorData>> = {
      outputs: {},
      state: {},
      noise: {},
    };
    for (const [name, values] of Object.entries(result.trajectory)) {
      const value = values[index];
      if (value === undefined) continue;
      const [prefix, ...rest] = name.split('/');
      if ((prefix === 'state' || prefix === 'noise') && rest.length > 0) row[prefix][rest.join('/')] = value;
      else row.outputs[name] = value;
    }
    return { step: index + 1, ...mapValues(row, tensorsJson) };
  });
  if (steps.length === 0) throw probeError('The generation took no step.');
  return {
    steps,
    final: { outputs: tensorsJson(result.outputs), state: tensorsJson(result.state) },
    reason: result.reason,
  };
}
