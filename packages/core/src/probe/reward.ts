import { gradients } from '@updraft/autodiff';
import { Graph, isFloat, type Tensor, type TensorData } from '@updraft/graph';
import type { Reward } from '../contracts/reward.js';
import type { JsonValue } from '../contracts/sampler.js';
import { FeedBuilder } from '../drivers/feeds.js';
import { initialParameters } from '../drivers/initial-state.js';
import type { Model } from '../module/module.js';
import { parseOptions } from '../options/index.js';
import { modelSpecs } from '../program/model-specs.js';
import { buildObjective } from '../program/objective.js';
import { publish } from '../program/publish.js';
import { PREFIX, Tracer } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { probeError, resolveModel, type ProbeContext, type ProbeResult } from './context.js';
import { GivenNoiseBackend, readNoise } from './given-noise.js';
import { rewardInput } from './inputs.js';
import { inputSpecs, parameterSpecs, type DescribedModel, type ModelDescription } from './models.js';
import { settleTypes } from './settle-types.js';
import {
  numberJson,
  numbersJson,
  readNumber,
  readTensor,
  readTensors,
  singleJson,
  tensorsJson,
  type ReadTensor,
} from './values.js';

type Input = ReturnType<typeof readInput>;
const readInput = (input: unknown) => parseOptions(rewardInput, input, 'The input');

/** Prefix of columns that are outputs of the model and not columns of the batch. */
const OUTPUT = 'output of the model/';

/** A model that gives back what it is fed: batch columns are its outputs. */
const passThrough = (values: NamedValues<TensorData>): Model => ({
  name: 'given-outputs',
  inputs: inputSpecs(values),
  build: (_, inputs) =>
    Object.fromEntries(
      Object.entries(inputs).map(([name, value]) => [
        name.startsWith(OUTPUT) ? name.slice(OUTPUT.length) : name,
        value,
      ]),
    ),
});

/** Everything that is fed, by the names of batch columns. */
function readColumns(given: Input): Record<string, ReadTensor> {
  const columns: Record<string, ReadTensor> = {};
  for (const [key, prefix] of [
    ['inputs', ''],
    ['batch', ''],
    ['outputs', OUTPUT],
  ] as const)
    for (const [name, json] of Object.entries(given[key])) {
      if (columns[name] !== undefined && prefix === '')
        throw probeError(`"${name}" is given twice, under "inputs" and "batch".`, 'Give it once.');
      columns[prefix + name] = readTensor(json, `${key}.${name}`, given);
    }
  return columns;
}

/** What the objective gives for given columns. */
async function objectiveJson(reward: Reward, given: Input, context: ProbeContext): Promise<ProbeResult> {
  const columns = readColumns(given);
  const params = readTensors(given.params, 'params', given);
  const plain = mapValues(columns, ({ value }) => value);
  const described: DescribedModel | undefined =
    given.model === undefined
      ? undefined
      : await resolveModel(
          given.model as ModelDescription,
          { params, columns: plain, spec: parameterSpecs(params) },
          context,
        );
  const { values, built } = settleTypes(columns, (typed) => {
    const tracer = new Tracer(new Graph('probe'));
    const outputs = described?.model ?? passThrough(givenOutputs(typed, given));
    const model: Model = {
      name: outputs.name,
      inputs: mapValues(outputs.inputs, (spec, name) => ({
        ...spec,
        dataType: typed[name]?.dataType ?? spec.dataType,
      })),
      build: (scope, inputs) => outputs.build(scope, inputs),
    };
    for (const spec of Object.values(modelSpecs(model).params)) tracer.parameter(spec);
    const objective = buildObjective({ model, reward, columns: inputSpecs(typed), training: given.training }, tracer);
    return { tracer, model, objective };
  });
  const { tracer, model, objective } = built;
  const { graph } = tracer;
  const outputs = new Map<
    string,
    [kind: 'loss' | 'metrics' | 'perExample' | 'outputs' | 'gradients' | 'parameterGradients', name: string]
  >();
  const show = (
    kind: 'loss' | 'metrics' | 'perExample' | 'outputs' | 'gradients' | 'parameterGradients',
    name: string,
    value: Tensor,
  ): void => {
    outputs.set(publish(graph, value, `${kind}/${name}`), [kind, name]);
  };
  // Gradients first: what is published gets another name.
  const leaves = [
    ...[...tracer.batch].map(([name, tensor]) => ['gradients', name.replace(OUTPUT, ''), tensor] as const),
    ...[...tracer.params].map(([name, { tensor }]) => ['parameterGradients', name, tensor] as const),
  ].filter(([, , tensor]) => isFloat(tensor.dataType));
  const found = gradients(
    objective.loss,
    leaves.map(([, , tensor]) => tensor),
  );
  leaves.forEach(([kind, name], index) => {
    show(kind, name, found[index] as Tensor);
  });
  show('loss', 'loss', objective.loss);
  for (const [name, value] of Object.entries(objective.metrics ?? {})) show('metrics', name, value);
  for (const [name, value] of Object.entries(objective.perExample ?? {})) show('perExample', name, value);
  for (const [name, value] of Object.entries(objective.outputs ?? {})) show('outputs', name, value);

  const random = RandomStream.fromSeed(given.seed);
  const backend = new GivenNoiseBackend(context.backend, readNoise(given.noise));
  const program = await backend.compile(graph);
  try {
    const feeds = new FeedBuilder(random.split('noise')).build(
      {
        batch: [...tracer.batch.keys()],
        scalars: [...tracer.scalars.values()],
        noises: [...tracer.noises.values()].map((noise) => ({
          ...noise,
          input: noise.tensor.name,
          shape: noise.tensor.shape,
        })),
      },
      { columns: values, size: 1 },
      given.step,
      new Map(),
    );
    const specs = modelSpecs(model);
    for (const [name, value] of Object.entries(initialParameters(specs, random.split('parameters'), params)))
      feeds[PREFIX.param + name] = value;
    for (const [name, { initial }] of Object.entries(specs.variables)) feeds[PREFIX.variable + name] = initial;
    const needed = new Set(program.inputs.map(({ name }) => name));
    const results = await program.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => needed.has(name))));
    backend.checkUsed();
    const groups: Record<string, Record<string, TensorData>> = { metrics: {}, perExample: {}, gradients: {} };
    for (const [output, [kind, name]] of outputs) (groups[kind] ??= {})[name] = results[output] as TensorData;
    const { loss, metrics = {}, ...tensors } = groups;
    return {
      loss: singleJson(Number(loss?.['loss']?.data[0])),
      metrics: numbersJson(mapValues(metrics, ({ data }) => Number(data[0]))),
      ...mapValues(tensors, tensorsJson),
    };
  } finally {
    await program.dispose();
  }
}

/** Columns that the model gives back as its outputs. */
function givenOutputs(columns: NamedValues<TensorData>, given: Input): NamedValues<TensorData> {
  return Object.fromEntries(
    Object.entries(columns).filter(([name]) => name.startsWith(OUTPUT) || given.inputs[name] !== undefined),
  );
}

/**
 * Evaluate a reward: scores and advantages on the host, and the objective with the gradients of its loss with respect to
 * every float input (and to the parameters of a model, where one is described).
 *
 * @throws OptionsError, CoreError naming what of the input does not fit.
 */
export async function probeReward(reward: Reward, input: unknown, context: ProbeContext): Promise<ProbeResult> {
  const given = readInput(input);
  const result: Record<string, JsonValue> = {};
  let scores = given.scores?.map((score, index) => readNumber(score, `scores.${index}`, given));
  if (given.items !== undefined) {
    if (reward.score === undefined) throw probeError('This reward scores no items.', 'Leave "items" out.');
    scores = [...(await reward.score(given.items))];
    result['scores'] = scores.map(numberJson);
  }
  if (scores !== undefined && reward.advantages !== undefined)
    result['advantages'] = reward.advantages(scores, given.groups, given.items).map(numberJson);
  else if (given.scores !== undefined)
    throw probeError('This reward makes no advantages of scores.', 'Leave "scores" out.');
  const fed = [given.inputs, given.batch, given.outputs].some((part) => Object.keys(part).length > 0);
  if (fed || given.model !== undefined) {
    if (reward.objective === undefined)
      throw probeError('This reward has no objective.', 'It judges on the host: give "items" or "scores".');
    Object.assign(result, await objectiveJson(reward, given, context));
  }
  if (Object.keys(result).length === 0)
    throw probeError(
      'The input has nothing to evaluate.',
      `Give ${[
        ...(reward.objective === undefined ? [] : ['"inputs"']),
        ...(reward.score === undefined ? [] : ['"items"']),
        ...(reward.advantages === undefined ? [] : ['"scores"']),
      ].join(' or ')}.`,
    );
  return result;
}
