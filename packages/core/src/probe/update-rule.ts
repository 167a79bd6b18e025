import { Graph, type Tensor, type TensorData } from '@updraft/graph';
import type { Objective, Reward, SampledLoss } from '../contracts/reward.js';
import type { JsonValue, Sampler } from '../contracts/sampler.js';
import type { StateSpec, StateSpecs, UpdateContext, UpdateRule } from '../contracts/update-rule.js';
import { train } from '../drivers/train.js';
import { initialParameters, stateValues } from '../drivers/initial-state.js';
import type { InputSpec, Model } from '../module/module.js';
import type { ParameterSpec } from '../module/parameter.js';
import { parseOptions } from '../options/index.js';
import { modelSpecs } from '../program/model-specs.js';
import { buildObjective } from '../program/objective.js';
import { isStateSpec } from '../program/step-program.js';
import { Tracer } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { flattenTree, mapTree, mapValues, type NamedValues, type Tree } from '../tree.js';
import { probeError, resolveModel, type ProbeContext, type ProbeResult } from './context.js';
import { GivenNoiseBackend, readNoise } from './given-noise.js';
import { updateRuleInput } from './inputs.js';
import { inputSpecs, parameterSpecs, type ModelDescription } from './models.js';
import { settleTypes } from './settle-types.js';
import {
  numbersJson,
  ownCopy,
  readTensor,
  readTensors,
  singleJson,
  tensorsJson,
  withType,
  type ReadTensor,
} from './values.js';

type Input = ReturnType<typeof readInput>;
const readInput = (input: unknown) => parseOptions(updateRuleInput, input, 'The input');

/** What a rule is run on. */
export interface Task {
  readonly model: Model;
  readonly reward: Reward;
  readonly batches: readonly NamedValues<TensorData>[];
  readonly columns: NamedValues<InputSpec>;
  readonly initial: NamedValues<TensorData>;
  /** What the rule may not ask for, since it was not given. */
  readonly forbidden: ReadonlySet<string>;
}

const NEEDS: Readonly<Record<string, string>> = {
  loss: 'the loss at other parameters',
  hvp: 'Hessian-vector products',
  perSampleGrads: 'gradients of every example',
  tap: 'the inputs and output gradients of layers',
  sampledGrads: 'gradients with targets drawn from the model (which may be given as "sampledGradients")',
};

/** Columns of the gradients with drawn targets, beside those of the parameters' names. */
const SAMPLED = 'sampled/';

const total = (terms: readonly Tensor[]): Tensor => terms.reduce((sum, term) => sum.add(term));

/** Tensors of every step under the names of the parameters, with their shapes (behind a batch axis). */
function stepTensors(
  lists: readonly NamedValues<unknown>[],
  params: NamedValues<TensorData>,
  key: 'gradients' | 'perSampleGradients' | 'sampledGradients',
  options: { readonly allowNonFinite: boolean },
): NamedValues<TensorData>[] {
  return lists.map((list, index) => {
    const path = `${key}.${index}`;
    const extra = Object.keys(list).find((name) => params[name] === undefined);
    if (extra !== undefined)
      throw probeError(
        `"${path}.${extra}" is the gradient of no parameter.`,
        `Parameters: ${Object.keys(params).join(', ')}.`,
      );
    let size: number | undefined;
    return mapValues(params, ({ dataType, dims }, name) => {
      if (list[name] === undefined)
        throw probeError(`"${path}" lacks the gradient of "${name}".`, `Its shape is [${dims.join(', ')}].`);
      const { value } = readTensor(list[name], `${path}.${name}`, { ...options, dataType });
      const leading = key === 'perSampleGradients' ? [value.dims[0] ?? 0] : [];
      if (leading.length > 0) size ??= leading[0];
      if (value.dims.join() !== [...leading, ...dims].join() || (leading.length > 0 && leading[0] !== size))
        throw probeError(
          `"${path}.${name}" has shape [${value.dims.join(', ')}]; the parameter needs [${[...(leading.length > 0 ? [size ?? 'batch'] : []), ...dims].join(', ')}].`,
        );
      return value;
    });
  });
}

/**
 * A task whose gradient at any parameters is the given one: the loss is Σ⟨parameter, gradient⟩, with gradients as batch
 * columns. Rules read it through the step program like that of any model.
 */
function givenGradients(given: Input, spec: (name: string) => ParameterSpec, initial: NamedValues<TensorData>): Task {
  const perSample = given.perSampleGradients !== undefined;
  const key = perSample ? 'perSampleGradients' : 'gradients';
  const own = stepTensors(given[key] ?? [], initial, key, given);
  const [first] = own;
  if (first === undefined) throw probeError(`"${key}" is empty.`, 'Give the gradients of at least one step.');
  const drawn = stepTensors(given.sampledGradients ?? [], initial, 'sampledGradients', given);
  const withDrawn = drawn.length > 0;
  if (withDrawn && drawn.length !== 1 && drawn.length !== own.length)
    throw probeError(
      `There are ${own.length} "${key}" and ${drawn.length} "sampledGradients".`,
      'Give as many, or one.',
    );
  const batches = own.map((batch, index) => ({
    ...batch,
    ...Object.fromEntries(
      Object.entries(drawn[drawn.length === 1 ? 0 : index] ?? {}).map(([name, value]) => [SAMPLED + name, value]),
    ),
  }));
  const columns = mapValues(inputSpecs(batches[0] ?? first), (each, name) =>
    perSample && !name.startsWith(SAMPLED) ? { ...each, shape: ['batch', ...each.shape.slice(1)] } : each,
  );
  const model: Model = {
    name: 'given-gradients',
    inputs: {},
    build: (scope) => mapValues(initial, (_, name) => scope.provider.parameter(spec(name))),
  };
  const reward: Reward = {
    objective({ batch, forward }): Objective {
      const values = forward();
      const products = Object.entries(values).map(([name, value]) => value.mul(batch[name] as Tensor));
      const sampled = (): SampledLoss => ({
        loss: total(Object.entries(values).map(([name, value]) => value.mul(batch[SAMPLED + name] as Tensor).sum())),
        predictions: products[0]?.graph.constant(1) as Tensor,
      });
      const drawing = withDrawn ? { sampled } : {};
      if (!perSample) return { loss: total(products.map((product) => product.sum())), ...drawing };
      const losses = total(
        products.map((product) =>
          product.rank === 1 ? product : product.sum(product.shape.slice(1).map((_, axis) => axis + 1)),
        ),
      );
      return { loss: losses.mean(), perExample: { loss: losses }, ...drawing };
    },
  };
  const told = new Set([...(perSample ? ['perSampleGrads'] : []), ...(withDrawn ? ['sampledGrads'] : [])]);
  const forbidden = new Set(Object.keys(NEEDS).filter((need) => !told.has(need)));
  return { model, reward, batches, columns, initial, forbidden };
}

/** A task of a described model on given batches. */
export async function modelTask(
  given: Pick<Input, 'batches' | 'model' | 'reward' | 'allowNonFinite'>,
  spec: (name: string) => ParameterSpec,
  params: NamedValues<TensorData>,
  context: ProbeContext,
): Promise<Task> {
  const lists = given.batches ?? [{}];
  const read = lists.map((list, index) =>
    mapValues(list, (json, name): ReadTensor => readTensor(json, `batches.${index}.${name}`, given)),
  );
  const [first] = read;
  if (first === undefined) throw probeError('"batches" is empty.', 'Give at least one, or leave it out.');
  const description = given.model as ModelDescription;
  const facts = { params, columns: mapValues(first, ({ value }) => value), spec };
  const named = await resolveModel(description, facts, context);
  const reward = given.reward === undefined ? named.reward : rewardOf(given.reward, context);
  if (reward === undefined)
    throw probeError(
      `The model of type "${description.type}" has no loss of its own.`,
      'Name one, such as "reward": "cross-entropy", or write the loss as a formula.',
    );
  // Where the model wants integers that is known; what the reward wants is found by trying.
  const declared = mapValues(first, (one, name): ReadTensor => {
    const wanted = named.model.inputs[name]?.dataType;
    return wanted === undefined || wanted === one.value.dataType || one.typed
      ? one
      : { value: withType(one.value, wanted as 'int64'), typed: true };
  });
  const specs = modelSpecs(named.model);
  const { values } = settleTypes(declared, (columns) => {
    const tracer = new Tracer(new Graph('probe'));
    for (const each of Object.values(specs.params)) tracer.parameter(each);
    const model = retyped(named.model, columns);
    return buildObjective({ model, reward, columns: inputSpecs(columns), training: true }, tracer);
  });
  const batches = read.map((batch, index) =>
    mapValues(values, (like, name) => {
      const one = batch[name];
      if (one === undefined)
        throw probeError(
          `"batches.${index}" lacks the column "${name}" of the first batch.`,
          'All batches have the same columns.',
        );
      return one.typed || like.dataType === 'string' ? one.value : withType(one.value, like.dataType as 'float32');
    }),
  );
  const columns = columnsOf(batches);
  return {
    model: resized(retyped(named.model, values), values, columns),
    reward,
    batches,
    columns,
    initial: params,
    forbidden: new Set(),
  };
}

/** A model whose inputs have the element types of given columns. */
const retyped = (model: Model, columns: NamedValues<TensorData>): Model => ({
  name: model.name,
  inputs: mapValues(model.inputs, (each, name) => ({ ...each, dataType: columns[name]?.dataType ?? each.dataType })),
  build: (scope, inputs) => model.build(scope, inputs),
});

/** A model that was made for the sizes of the first batch takes those of all. */
const resized = (model: Model, first: NamedValues<TensorData>, columns: NamedValues<InputSpec>): Model => ({
  ...model,
  inputs: mapValues(model.inputs, (each, name) => ({
    ...each,
    shape: each.shape.map((size, axis) =>
      size === first[name]?.dims[axis] ? (columns[name]?.shape[axis] ?? size) : size,
    ),
  })),
});

/** Column specs of batches: sizes that differ between them are named. */
function columnsOf(batches: readonly NamedValues<TensorData>[]): Record<string, InputSpec> {
  return mapValues(batches[0] as NamedValues<TensorData>, ({ dataType, dims }, name) => ({
    dataType,
    shape: dims.map((size, axis) =>
      batches.every((batch) => batch[name]?.dims[axis] === size) ? size : axis === 0 ? 'batch' : `${name}.${axis}`,
    ),
  }));
}

/** A reward by name. */
export function rewardOf(
  given: string | { readonly name: string; readonly options?: unknown },
  { reward }: ProbeContext,
): Reward {
  const { name, options } = typeof given === 'string' ? { name: given, options: {} } : given;
  if (reward === undefined) throw probeError(`There is no reward "${name}" here.`);
  return reward(name, options ?? {});
}

/** Batches from a list, one a step; a single one serves every step, and all of them begin again where that is wished. */
export function listSampler(
  columns: NamedValues<InputSpec>,
  batches: readonly NamedValues<TensorData>[],
  { again = false }: { readonly again?: boolean } = {},
): Sampler {
  let position = 0;
  return {
    columns,
    draw() {
      const values = batches[again || batches.length === 1 ? position % batches.length : position];
      position++;
      return values === undefined
        ? undefined
        : { columns: values, size: Object.values(values).find(({ dims }) => dims.length > 0)?.dims[0] ?? 1 };
    },
    state: () => position,
    restore: (state) => {
      position = Number(state);
    },
  };
}

/** The context of a rule that may not ask for what was not given. */
const guarded = (context: UpdateContext, forbidden: ReadonlySet<string>): UpdateContext =>
  new Proxy(context, {
    get(target, key): unknown {
      if (typeof key === 'string' && forbidden.has(key))
        return () => {
          throw probeError(
            `The update rule asks for ${NEEDS[key] ?? key}, which gradients alone do not tell.`,
            'Give a "model" and "batches" instead of "gradients"; `--schema` shows how.',
          );
        };
      // The receiver is the context itself, whose fields are private.
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });

interface Seen {
  readonly params: Record<string, TensorData>;
  readonly state: Record<string, TensorData>;
}

/** The rule with a visit of the host after each step, when it is looked at; its own visits come first. */
function watched(
  rule: UpdateRule,
  task: Task,
  given: NamedValues<TensorData>,
  seen: Seen[],
): UpdateRule & { readonly declared: () => StateSpecs } {
  let params: readonly string[] = [];
  let paths: readonly string[] = [];
  let started: StateSpecs = {};
  return {
    declared: () => started,
    init(context) {
      params = Object.keys(context.params);
      const specs = rule.init(context);
      const declared = new Map(flattenTree<StateSpec>(specs, isStateSpec));
      paths = [...declared.keys()];
      for (const [path, value] of Object.entries(given)) {
        const spec = declared.get(path);
        if (spec === undefined)
          throw probeError(`The update rule has no state "${path}".`, `It has: ${paths.join(', ') || 'none'}.`);
        if (value.dims.join() !== spec.shape.join())
          throw probeError(
            `"state.${path}" has shape [${value.dims.join(', ')}]; the rule declares [${spec.shape.join(', ')}].`,
          );
      }
      started = mapTree<StateSpec, StateSpec>(specs as Tree<StateSpec>, isStateSpec, (spec, path) =>
        given[path] === undefined ? spec : { ...spec, initial: withType(given[path], spec.dataType as 'float32') },
      ) as StateSpecs;
      return started;
    },
    update: (context) => rule.update(guarded(context, task.forbidden)),
    ...(rule.phase === undefined ? {} : { phase: (step: number) => rule.phase?.(step) ?? 'step' }),
    needsHost: () => true,
    async host(context) {
      if (rule.needsHost?.(context.step) === true) await rule.host?.(context);
      const now: Seen = { params: {}, state: {} };
      for (const name of params) now.params[name] = ownCopy(await context.readParam(name));
      for (const path of paths) now.state[path] = ownCopy(await context.readState(path));
      seen.push(now);
    },
  };
}

/**
 * Run an update rule on given gradients, or on a described model and batches, and tell parameters and state after every
 * step. It runs in `train`, like any other training.
 *
 * @param input See `updraft probe <plugin> --schema`.
 * @throws OptionsError, CoreError naming what of the input does not fit, with its path.
 */
export async function probeUpdateRule(rule: UpdateRule, input: unknown, context: ProbeContext): Promise<ProbeResult> {
  const given = readInput(input);
  const sources = (['gradients', 'perSampleGradients', 'model'] as const).filter((key) => given[key] !== undefined);
  if (sources.length !== 1)
    throw probeError(
      sources.length === 0 ? 'The input has no gradients.' : `The input has both "${sources.join('" and "')}".`,
      'Give "gradients", or "perSampleGradients", or a "model" with "batches".',
    );
  if (given.sampledGradients !== undefined && given.model !== undefined)
    throw probeError('"sampledGradients" go with "gradients": a model draws its own.', 'Leave them out.');
  const params = readTensors(given.params, 'params', given);
  if (given.model === undefined && Object.keys(params).length === 0)
    throw probeError('"params" is empty.', 'Give the first values of the parameters by name.');
  for (const key of ['roles', 'layers'] as const)
    for (const name of Object.keys(given[key]))
      if (params[name] === undefined) throw probeError(`"${key}.${name}" is about no given parameter.`);
  const spec = parameterSpecs(params, given.roles, given.layers);
  const task =
    given.model === undefined ? givenGradients(given, spec, params) : await modelTask(given, spec, params, context);
  const steps = given.steps ?? task.batches.length;
  if (task.batches.length !== 1 && task.batches.length < steps)
    throw probeError(
      `${steps} steps were asked for, with ${task.model.name === 'given-gradients' ? 'gradients' : 'batches'} for ${task.batches.length}.`,
      'Give as many as steps, or a single one for all of them.',
    );
  const backend = new GivenNoiseBackend(context.backend, readNoise(given.noise));
  const seen: Seen[] = [];
  const state = readTensors(given.state, 'state', given);
  const updateRule = watched(rule, task, state, seen);
  const sampler = listSampler(task.columns, task.batches);
  const rows: Record<string, JsonValue>[] = [];
  const run = train({
    model: task.model,
    sampler,
    reward: task.reward,
    updateRule,
    backend,
    steps,
    seed: given.seed,
    initial: task.initial,
    onNonFinite: 'continue',
    chunk: 1,
  });
  for await (const event of run) {
    if (event.type !== 'step') continue;
    const { step } = event;
    const { loss, ...metrics } = event.metrics;
    const noise = backend.seen[step - 1] ?? {};
    rows.push({
      step,
      phase: rule.phase?.(step) ?? 'step',
      // The surrogate of given gradients has no loss that means anything.
      ...(given.model === undefined ? {} : { loss: singleJson(loss as number) }),
      metrics: numbersJson(metrics),
      scalars: numbersJson(event.scalars),
      ...(Object.keys(noise).length === 0 ? {} : { noise: tensorsJson(noise) }),
      params: tensorsJson(seen[step - 1]?.params ?? {}),
      state: tensorsJson(seen[step - 1]?.state ?? {}),
    });
  }
  backend.checkUsed();
  const result = await run.result();
  return {
    initial: initialJson(task, updateRule.declared(), given.seed),
    steps: rows,
    final: {
      params: tensorsJson(result.params),
      state: tensorsJson(result.state),
      ...(Object.keys(result.variables).length === 0 ? {} : { variables: tensorsJson(result.variables) }),
    },
  };
}

/** Parameters and state before the first step, as `train` makes them. */
function initialJson(task: Task, state: StateSpecs, seed: number): JsonValue {
  const specs = modelSpecs(task.model);
  const params = initialParameters(specs, RandomStream.fromSeed(seed).split('parameters'), task.initial);
  return { params: tensorsJson(params), state: tensorsJson(stateValues(state, '', params)) };
}
