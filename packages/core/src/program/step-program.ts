import { add, Graph, labelled, mul, reduceSum, sqrt, sub, Tensor, type Dim } from '@updraft/graph';
import type { Reward } from '../contracts/reward.js';
import type { StateSpec, StateSpecs, SymbolicState, UpdateRule } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { InputSpec, Model } from '../module/module.js';
import { flattenTree, mapTree, type NamedValues, type Tree } from '../tree.js';
import type { ModelSpecs } from './model-specs.js';
import { buildObjective } from './objective.js';
import { checkReplacement, publish } from './publish.js';
import { PREFIX, Tracer, type NoiseInput, type ScalarInput } from './tracer.js';
import { StepContext } from './update-context.js';

export const isStateSpec = (value: Tree<StateSpec>): value is StateSpec =>
  (value as { kind?: unknown }).kind === 'state' && 'dataType' in value;
export const isTensor = (value: Tree<Tensor>): value is Tensor => value instanceof Tensor;

/** Everything that decides what a step program computes. */
export interface StepProgramSource {
  readonly model: Model;
  readonly specs: ModelSpecs;
  readonly reward: Reward;
  readonly updateRule: UpdateRule;
  readonly state: StateSpecs;
  readonly columns: Readonly<Record<string, InputSpec>>;
  readonly phase: string;
  /** Also report gradient and update norms per parameter. */
  readonly monitored: boolean;
  /** Also return the per-example values of the objective (for samplers that observe). */
  readonly perExample: boolean;
}

/** A fused step: one graph from parameters, state, batch, scalars and noise to new parameters, state and metrics. */
export interface StepProgram {
  readonly graph: Graph;
  readonly phase: string;
  /** State inputs and the outputs that replace them after the step. */
  readonly updates: ReadonlyMap<string, string>;
  /** State inputs that the step reads (replaced or not). */
  readonly reads: readonly string[];
  readonly scalars: readonly ScalarInput[];
  readonly noises: readonly (NoiseInput & { readonly input: string; readonly shape: readonly Dim[] })[];
  readonly batch: readonly string[];
  /** Output names of metrics and per-example values, by their public names. */
  readonly metrics: ReadonlyMap<string, string>;
  readonly perExample: ReadonlyMap<string, string>;
}

const norm = (value: Tensor): Tensor => sqrt(reduceSum(mul(value, value), undefined, { keepDims: false }));

/** Build the step program of one phase. */
export function buildStepProgram(source: StepProgramSource): StepProgram {
  const graph = new Graph('train_step');
  const tracer = new Tracer(graph);
  for (const spec of Object.values(source.specs.params)) tracer.parameter(spec);

  const stateInputs = new Map<string, Tensor>();
  const state = mapTree<StateSpec, Tensor>(source.state, isStateSpec, (spec, path) => {
    const input = graph.input(PREFIX.state + path, spec.dataType, spec.shape);
    stateInputs.set(path, input);
    return input;
  }) as SymbolicState<StateSpecs>;

  const metrics = new Map<string, Tensor>();
  const addMetric = (name: string, value: Tensor): void => {
    if (metrics.has(name))
      throw new CoreError('metric', `Two metrics are named "${name}".`, { hint: 'Rename one of them.' });
    metrics.set(name, value);
  };
  const context = new StepContext({
    tracer,
    specs: source.specs.params,
    state,
    phase: source.phase,
    objective: (params) => labelled('objective', () => buildObjective({ ...source, training: true }, tracer, params)),
    metric: addMetric,
  });
  const update = labelled('update', () => source.updateRule.update(context));
  const objective = context.objective;
  addMetric('loss', objective.loss);
  for (const [name, value] of Object.entries(objective.metrics ?? {})) addMetric(name, value);
  if (source.monitored)
    labelled('monitor', () => {
      addNorms(context, update.params ?? {}, addMetric);
    });

  const updates = new Map<string, string>();
  const replace = (input: Tensor, value: Tensor): void => {
    if (value === input) return;
    updates.set(input.name, publish(graph, value, PREFIX.next + input.name));
  };
  for (const [name, value] of Object.entries(update.params ?? {})) {
    const traced = tracer.params.get(name);
    if (traced === undefined)
      throw new CoreError(
        'update-rule',
        `The update rule returned a parameter "${name}" that the model does not have.`,
      );
    checkReplacement(traced.tensor, value, `parameter "${name}"`);
    replace(traced.tensor, value);
  }
  for (const [path, value] of flattenTree<Tensor>(update.state ?? {}, isTensor)) {
    const input = stateInputs.get(path);
    if (input === undefined)
      throw new CoreError('update-rule', `The update rule returned a state "${path}" that init did not declare.`, {
        hint: `Declared: ${[...stateInputs.keys()].join(', ') || 'none'}.`,
      });
    checkReplacement(input, value, `state "${path}"`);
    replace(input, value);
  }
  for (const [name, value] of tracer.assignments) {
    const variable = tracer.variables.get(name);
    if (variable === undefined)
      throw new CoreError('module', `A module assigned the variable "${name}" without declaring it.`);
    checkReplacement(variable.tensor, value, `variable "${name}"`);
    replace(variable.tensor, value);
  }
  const publishAll = (values: Iterable<[string, Tensor]>, prefix: string): Map<string, string> =>
    new Map([...values].map(([name, value]) => [name, publish(graph, value, prefix + name)]));
  const metricNames = publishAll(metrics, PREFIX.metric);
  const exampleNames = publishAll(
    source.perExample ? Object.entries(objective.perExample ?? {}) : [],
    PREFIX.perExample,
  );
  return {
    graph,
    phase: source.phase,
    updates,
    reads: [...tracer.params.values(), ...tracer.variables.values()]
      .map(({ tensor }) => tensor.name)
      .concat([...stateInputs.values()].map((tensor) => tensor.name)),
    scalars: [...tracer.scalars.values()],
    noises: [...tracer.noises.values()].map((noise) => ({
      ...noise,
      input: noise.tensor.name,
      shape: noise.tensor.shape,
    })),
    batch: [...tracer.batch.keys()],
    metrics: metricNames,
    perExample: exampleNames,
  };
}

/** Norms of gradients and updates, per parameter and in total. */
function addNorms(
  context: StepContext,
  next: NamedValues<Tensor>,
  addMetric: (name: string, value: Tensor) => void,
): void {
  const total = (parts: readonly Tensor[]): Tensor =>
    sqrt(parts.map((part) => mul(part, part)).reduce((a, b) => add(a, b)));
  const gradientNorms: Tensor[] = [];
  const updateNorms: Tensor[] = [];
  for (const [name, param] of Object.entries(context.params)) {
    if (context.differentiated) {
      const gradientNorm = norm(context.grads[name] as Tensor);
      gradientNorms.push(gradientNorm);
      addMetric(`gradientNorm/${name}`, gradientNorm);
    }
    const after = next[name];
    if (after !== undefined) {
      const updateNorm = norm(sub(after, param));
      updateNorms.push(updateNorm);
      addMetric(`updateNorm/${name}`, updateNorm);
    }
  }
  if (gradientNorms.length > 0) addMetric('gradientNorm', total(gradientNorms));
  if (updateNorms.length > 0) addMetric('updateNorm', total(updateNorms));
}
