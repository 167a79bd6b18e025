import { Graph, type Tensor, type TensorData } from '@updraft/graph';
import type { JsonValue } from '../contracts/sampler.js';
import { initialParameters } from '../drivers/initial-state.js';
import { Scope } from '../module/scope.js';
import { parseOptions } from '../options/index.js';
import { PREFIX, Tracer } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { readArgument } from './arguments.js';
import { probeError, type ProbeContext, type ProbeResult } from './context.js';
import { evaluateGraph, namedTensors } from './evaluate-graph.js';
import { readNoise } from './given-noise.js';
import { moduleInput } from './inputs.js';
import { inputSpecs } from './models.js';
import { settleTypes } from './settle-types.js';
import { readTensor, readTensors, tensorsJson } from './values.js';

type Build = (scope: Scope, inputs: Readonly<Record<string, Tensor>>) => unknown;

const hasBuild = (value: unknown): value is { readonly build: Build } =>
  typeof value === 'object' && value !== null && 'build' in value && typeof value.build === 'function';

/**
 * What builds the module: a model, or a layer. A layer of one input takes `(scope, input)`; one of several takes them in
 * their order, or as a record where it declares two parameters.
 */
function builder(made: unknown, inputs: readonly string[]): Build {
  if (hasBuild(made)) return (scope, tensors) => made.build(scope, tensors);
  if (typeof made !== 'function')
    throw probeError('The export makes neither a layer nor a model.', 'A layer is a function of a scope and tensors.');
  const layer = made as (scope: Scope, ...rest: unknown[]) => unknown;
  const asRecord = inputs.length !== 1 && layer.length === 2;
  return (scope, tensors) => (asRecord ? layer(scope, tensors) : layer(scope, ...inputs.map((name) => tensors[name])));
}

/**
 * Evaluate a layer or model: outputs, and the gradients of a weighted sum of them.
 *
 * @param exported A layer, a model, or what makes one of `arguments`.
 * @param lookup Other exports of the package, which arguments may name.
 * @throws OptionsError, CoreError naming what of the input does not fit.
 */
export async function probeModule(
  exported: unknown,
  input: unknown,
  context: ProbeContext,
  lookup?: (name: string) => unknown,
): Promise<ProbeResult> {
  const given = parseOptions(moduleInput, input, 'The input');
  const items = given.options === undefined ? given.arguments : [given.options, ...given.arguments];
  // What takes a scope and a tensor is a layer already; what makes one takes options or nothing.
  const ready = typeof exported !== 'function' || (items.length === 0 && exported.length >= 2);
  const made: unknown = ready
    ? exported
    : (exported as (...list: unknown[]) => unknown)(
        ...items.map((item, index) => readArgument(item, `arguments.${index}`, { ...given, lookup })),
      );
  const build = builder(made, Object.keys(given.inputs));
  const columns = mapValues(given.inputs, (json, name) => readTensor(json, `inputs.${name}`, given));
  const { values, built } = settleTypes(columns, (typed) => {
    const tracer = new Tracer(new Graph('probe'));
    const inputs = mapValues(inputSpecs(typed), (spec, name) => tracer.column(name, spec));
    const outputs = Object.fromEntries(namedTensors(build(new Scope(tracer, given.training), inputs)));
    if (Object.keys(outputs).length === 0) throw probeError('The module has no output that is a tensor.');
    return { tracer, inputs, outputs };
  });
  const { tracer, inputs, outputs } = built;
  const specs = {
    params: Object.fromEntries([...tracer.params].map(([name, { spec }]) => [name, spec])),
    variables: Object.fromEntries([...tracer.variables].map(([name, { spec }]) => [name, spec])),
  };
  const weights = initialParameters(
    specs,
    RandomStream.fromSeed(given.seed).split('parameters'),
    knownOnly(readTensors(given.weights, 'weights', given), specs.params, 'weights'),
  );
  const variables = {
    ...mapValues(specs.variables, ({ initial }) => initial),
    ...knownOnly(readTensors(given.variables, 'variables', given), specs.variables, 'variables'),
  };
  const assigned = Object.fromEntries([...tracer.assignments].map(([name, value]) => [`${NEXT}${name}`, value]));
  const found = await evaluateGraph(
    {
      tracer,
      feeds: Object.fromEntries([
        ...Object.entries(values).map(([name, value]) => [PREFIX.batch + name, value]),
        ...Object.entries(weights).map(([name, value]) => [PREFIX.param + name, value]),
        ...Object.entries(variables).map(([name, value]) => [PREFIX.variable + name, value]),
      ]) as NamedValues<TensorData>,
      outputs: { ...outputs, ...assigned },
      leaves: {
        gradients: inputs,
        weightGradients: mapValues(specs.params, (_, name) => tracer.params.get(name)?.tensor as Tensor),
      },
      outputGradients: given.outputGradients,
      read: given,
      seed: given.seed,
      noise: readNoise(given.noise),
    },
    context,
  );
  const next = Object.fromEntries(
    Object.entries(found.outputs).flatMap(([name, value]) =>
      name.startsWith(NEXT) ? [[name.slice(NEXT.length), value]] : [],
    ),
  ) as NamedValues<TensorData>;
  const plain = Object.fromEntries(Object.entries(found.outputs).filter(([name]) => !name.startsWith(NEXT)));
  return {
    outputs: tensorsJson(plain),
    ...(mapValues(found.gradients ?? {}, tensorsJson) as Record<string, JsonValue>),
    weights: tensorsJson(weights),
    ...(Object.keys(variables).length === 0 ? {} : { variables: tensorsJson({ ...variables, ...next }) }),
  };
}

/** Marks values that variables take, among the outputs. */
const NEXT = 'value of the variable ';

function knownOnly<T extends TensorData>(
  values: NamedValues<T>,
  known: NamedValues<unknown>,
  what: string,
): NamedValues<T> {
  const extra = Object.keys(values).find((name) => known[name] === undefined);
  if (extra !== undefined)
    throw probeError(
      `The module has none of the ${what} "${extra}".`,
      `It has: ${Object.keys(known).join(', ') || 'none'}.`,
    );
  return values;
}
