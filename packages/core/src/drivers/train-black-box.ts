import type { Backend, Program } from '@updraft/backend';
import { Graph, UpdraftError, type Tensor, type TensorData } from '@updraft/graph';
import type { StateSpec, StateSpecs, SymbolicState, UpdateRule } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { ParameterSpec } from '../module/parameter.js';
import { checkReplacement, publish } from '../program/publish.js';
import { isStateSpec, isTensor } from '../program/step-program.js';
import { PREFIX, Tracer } from '../program/tracer.js';
import { StepContext } from '../program/update-context.js';
import { RandomStream } from '../random/index.js';
import { flattenTree, mapTree, mapValues, type NamedValues } from '../tree.js';
import { EventRun } from './event-run.js';
import { FeedBuilder } from './feeds.js';
import { initContext, stateValues } from './initial-state.js';
import { copyTensor, under } from './named-tensors.js';

/** What is minimised, and how. */
export interface BlackBoxOptions {
  /** First values of the parameters. */
  readonly params: NamedValues<TensorData>;
  /**
   * The loss at these parameters: it may ask a service. All losses of one step are asked for at once where they do not
   * depend on each other, and must be of one batch. Tensors are the callee's own.
   */
  readonly lossAt: (params: NamedValues<TensorData>, step: number) => number | Promise<number>;
  /** A rule that reads losses and no gradients. */
  readonly updateRule: UpdateRule;
  readonly backend: Backend;
  readonly steps: number;
  /** Seeds the noise of the rule. Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** A step: its losses in the order in which the rule asked for them, and their mean. */
export interface BlackBoxStepEvent {
  readonly type: 'step';
  readonly step: number;
  readonly loss: number;
  readonly losses: readonly number[];
  readonly metrics: Readonly<Record<string, number>>;
}

export interface BlackBoxResult {
  readonly params: Readonly<Record<string, TensorData>>;
  readonly state: Readonly<Record<string, TensorData>>;
}

const ANSWER = 'answer/';
const ask = (index: number, name: string): string => `ask/${index}/${name}`;

/**
 * Train parameters whose loss is known to a callback alone, such as that of a model behind a service. The rule is the one
 * that `train` takes: it is run up to the parameters at which it wants losses, and from their values on.
 *
 * @throws CoreError for a loss that is not finite, and for a rule that wants gradients or visits the host.
 */
export const trainBlackBox = (options: BlackBoxOptions): EventRun<BlackBoxStepEvent, BlackBoxResult> =>
  new EventRun(run(options));

async function* run(options: BlackBoxOptions): AsyncGenerator<BlackBoxStepEvent, BlackBoxResult, void> {
  const { updateRule, backend, steps, seed = 0, signal } = options;
  const specs = mapValues(options.params, ({ dims, dataType, data }, name): ParameterSpec => ({
    name,
    shape: dims,
    dataType,
    role: 'weight',
    layer: '',
    initialize: () => data as Float32Array,
  }));
  const state = updateRule.init(initContext(specs));
  const feeds = new FeedBuilder(RandomStream.fromSeed(seed).split('noise'));
  const current: Record<string, TensorData> = {
    ...Object.fromEntries(Object.entries(options.params).map(([name, value]) => [PREFIX.param + name, value])),
    ...stateValues(state, PREFIX.state, options.params),
  };
  const halves = new Map<string, Compiled>();
  try {
    for (let step = 1; step <= steps; step++) {
      signal?.throwIfAborted();
      if (updateRule.needsHost?.(step) === true)
        throw new CoreError(
          'update-rule',
          `The rule wants to visit the host after step ${step}, which it cannot here.`,
          {
            hint: 'Take a rule without a `host` method.',
          },
        );
      const phase = updateRule.phase?.(step) ?? 'step';
      let compiled = halves.get(phase);
      if (compiled === undefined)
        halves.set(phase, (compiled = await compile(backend, build(updateRule, specs, state, phase))));
      const { built, program } = compiled;
      const inputs = new Set(program.inputs.map(({ name }) => name));
      const host = feeds.build(
        { batch: [], scalars: built.scalars, noises: built.noises },
        { columns: {}, size: 1 },
        step,
        new Map(),
      );
      const losses = new Array<number>(built.rounds.length).fill(0);
      const evaluate = (fetch: readonly string[]): ReturnType<Program['run']> => {
        const answers = Object.fromEntries(losses.map((loss, index) => [ANSWER + String(index), scalarOf(loss)]));
        const all = Object.entries({ ...current, ...host, ...answers }).filter(([name]) => inputs.has(name));
        return program.run(Object.fromEntries(all), fetch);
      };
      for (let round = 0; round <= Math.max(-1, ...built.rounds); round++) {
        const asked = built.rounds.flatMap((each, index) => (each === round ? [index] : []));
        const points = await evaluate(asked.flatMap((index) => Object.keys(specs).map((name) => ask(index, name))));
        const found = await Promise.all(
          asked.map(async (index) =>
            options.lossAt(
              mapValues(specs, (_, name) => copyTensor(points[ask(index, name)] as TensorData)),
              step,
            ),
          ),
        );
        found.forEach((loss, at) => {
          if (!Number.isFinite(loss))
            throw new CoreError('loss', `The black box gives the loss ${loss} at step ${step}.`, {
              hint: 'Take smaller perturbations or steps, or look at what the callback computes.',
            });
          losses[asked[at] as number] = loss;
        });
      }
      const after = await evaluate([...built.next.values(), ...built.metrics.values()]);
      for (const [input, output] of built.next) current[input] = copyTensor(after[output] as TensorData);
      const metrics = mapValues(Object.fromEntries(built.metrics), (output) => Number(after[output]?.data[0]));
      const loss = losses.reduce((sum, value) => sum + value, 0) / Math.max(1, losses.length);
      yield { type: 'step', step, loss, losses, metrics };
    }
  } finally {
    for (const { program } of halves.values()) await program.dispose();
  }
  return { params: under(current, PREFIX.param), state: under(current, PREFIX.state) };
}

const scalarOf = (value: number): TensorData => ({ dataType: 'float32', dims: [], data: Float32Array.of(value) });

interface Built {
  readonly graph: Graph;
  /** For each loss that is asked for: how many rounds of answers it needs. */
  readonly rounds: readonly number[];
  /** Outputs that replace parameters and state, by input; outputs of metrics by name. */
  readonly next: ReadonlyMap<string, string>;
  readonly metrics: ReadonlyMap<string, string>;
  readonly scalars: Parameters<FeedBuilder['build']>[0]['scalars'];
  readonly noises: Parameters<FeedBuilder['build']>[0]['noises'];
}
interface Compiled {
  readonly built: Built;
  readonly program: Program;
}

const compile = async (backend: Backend, built: Built): Promise<Compiled> => ({
  built,
  program: await backend.compile(built.graph),
});

/** One phase as a graph in which losses are inputs, and the parameters at which they are wanted outputs. */
function build(rule: UpdateRule, specs: NamedValues<ParameterSpec>, declared: StateSpecs, phase: string): Built {
  const graph = new Graph('black_box');
  const tracer = new Tracer(graph);
  for (const spec of Object.values(specs)) tracer.parameter(spec);
  const inputs = new Map<string, Tensor>();
  const state = mapTree<StateSpec, Tensor>(declared, isStateSpec, (spec, path) => {
    const input = graph.input(PREFIX.state + path, spec.dataType, spec.shape);
    inputs.set(path, input);
    return input;
  }) as SymbolicState<StateSpecs>;
  const answers: Tensor[] = [];
  const points: NamedValues<Tensor>[] = [];
  const metrics = new Map<string, Tensor>();
  const context = new StepContext({
    tracer,
    specs,
    state,
    phase,
    objective(params) {
      points.push({ ...tracer.parameters(), ...params });
      const answer = graph.input(ANSWER + String(answers.length), 'float32', []);
      answers.push(answer);
      return { loss: answer };
    },
    metric: (name, value) => void metrics.set(name, value),
  });
  let update: ReturnType<UpdateRule['update']>;
  try {
    update = rule.update(context);
  } catch (error) {
    if (!(error instanceof UpdraftError) || answers.length === 0) throw error;
    throw new CoreError('update-rule', `The rule wants more of the black box than losses: ${error.message}`, {
      hint: 'Take a rule that estimates gradients from losses.',
      cause: error,
    });
  }
  const next = new Map<string, string>();
  const replace = (input: Tensor, value: Tensor, what: string): void => {
    checkReplacement(input, value, what);
    if (value !== input) next.set(input.name, publish(graph, value, PREFIX.next + input.name));
  };
  for (const [name, value] of Object.entries(update.params ?? {}))
    replace(tracer.params.get(name)?.tensor as Tensor, value, `parameter "${name}"`);
  for (const [path, value] of flattenTree<Tensor>(update.state ?? {}, isTensor))
    replace(inputs.get(path) as Tensor, value, `state "${path}"`);
  const rounds: number[] = [];
  points.forEach((point, index) => {
    const known = needed(Object.values(point), answers);
    rounds.push(1 + Math.max(-1, ...known.map((earlier) => rounds[earlier] as number)));
    for (const [name, value] of Object.entries(point)) publish(graph, value, ask(index, name));
  });
  return {
    graph,
    rounds,
    next,
    metrics: new Map([...metrics].map(([name, value]) => [name, publish(graph, value, PREFIX.metric + name)])),
    scalars: [...tracer.scalars.values()],
    noises: [...tracer.noises.values()].map((noise) => ({
      ...noise,
      input: noise.tensor.name,
      shape: noise.tensor.shape,
    })),
  };
}

/** Which answers values are computed from. */
function needed(values: readonly Tensor[], answers: readonly Tensor[]): number[] {
  const seen = new Set<Tensor>();
  const open = [...values];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    open.push(...(value.producer?.inputs.filter((input) => input !== undefined) ?? []));
  }
  return answers.flatMap((answer, index) => (seen.has(answer) ? [index] : []));
}
