import { Graph, labelled, type Dim, type Tensor } from '@updraft/graph';
import type { Aggregator } from '../contracts/aggregator.js';
import type {
  SampledGradients,
  StateSpec,
  StateSpecs,
  SymbolicState,
  Tap,
  UpdateContext,
  UpdateRule,
} from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { ParameterSpec } from '../module/parameter.js';
import type { NoiseDistribution } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import { flattenTree, mapTree, mapValues, type NamedValues } from '../tree.js';
import { aggregate, type ValueSpec } from './aggregation.js';
import { checkReplacement, publish } from './publish.js';
import { isStateSpec, isTensor } from './step-program.js';
import { PREFIX, Tracer, type NoiseInput, type ScalarInput } from './tracer.js';

/** Names of the inputs of an aggregation program, beside those of step programs. */
export const SOURCE = {
  value: (index: number, name: string): string => `source/${index}/${name}`,
  extra: (index: number, name: string): string => `extra/${index}/${name}`,
  weight: (index: number): string => `weight/${index}`,
  aggregatorState: `${PREFIX.state}aggregator/`,
  serverState: `${PREFIX.state}server/`,
  result: 'result/',
  output: 'output/',
} as const;

/** The rule of the server, which treats (current - combined) as a gradient. */
export interface ServerRule {
  readonly rule: UpdateRule;
  readonly state: StateSpecs;
  readonly specs: NamedValues<ParameterSpec>;
  readonly phase: string;
}

/** Everything that decides what one aggregation computes. */
export interface AggregationProgramSource {
  readonly aggregator: Aggregator;
  readonly state: StateSpecs;
  readonly values: NamedValues<ValueSpec>;
  readonly extras: NamedValues<ValueSpec>;
  readonly count: number;
  /** Roles of the sources; default: their positions. */
  readonly ids?: readonly string[] | undefined;
  /** Whether source 0 belongs to the one who combines. */
  readonly own: boolean;
  /** Whether the result replaces resident parameters; else it is an output. */
  readonly current: boolean;
  /** Whether values are differences from the current ones. */
  readonly deltas: boolean;
  readonly population: number;
  readonly server?: ServerRule | undefined;
}

/** One aggregation as a graph. */
export interface AggregationProgram {
  readonly graph: Graph;
  readonly updates: ReadonlyMap<string, string>;
  readonly reads: readonly string[];
  readonly scalars: readonly ScalarInput[];
  readonly noises: readonly (NoiseInput & { readonly input: string; readonly shape: readonly Dim[] })[];
  readonly batch: readonly string[];
  /** Output names by public name. */
  readonly results: ReadonlyMap<string, string>;
  readonly metrics: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
}

/** Build the program that combines `count` sources. */
export function buildAggregationProgram(source: AggregationProgramSource): AggregationProgram {
  const graph = new Graph('aggregate');
  const tracer = new Tracer(graph);
  const updates = new Map<string, string>();
  const reads: string[] = [];
  const replace = (input: Tensor, value: Tensor, what: string, contract: string): void => {
    checkReplacement(input, value, what, contract);
    if (value !== input) updates.set(input.name, publish(graph, value, PREFIX.next + input.name));
  };
  const inputs = (specs: NamedValues<ValueSpec>, place: (name: string) => string): Record<string, Tensor> =>
    mapValues(specs, ({ dataType, shape }, name) => graph.input(place(name), dataType, shape));
  const stateInputs = (specs: StateSpecs, prefix: string): SymbolicState<StateSpecs> =>
    mapTree<StateSpec, Tensor>(specs, isStateSpec, ({ dataType, shape }, path) =>
      graph.input(prefix + path, dataType, shape),
    ) as SymbolicState<StateSpecs>;
  const replaceState = (
    old: SymbolicState<StateSpecs>,
    next: SymbolicState<StateSpecs> | undefined,
    contract: string,
  ): void => {
    const declared = new Map(flattenTree<Tensor>(old, isTensor));
    for (const [path, value] of flattenTree<Tensor>(next ?? {}, isTensor)) {
      const input = declared.get(path);
      if (input === undefined)
        throw new CoreError(contract, `A state "${path}" was returned that init did not declare.`, {
          hint: `Declared: ${[...declared.keys()].join(', ') || 'none'}.`,
        });
      replace(input, value, `state "${path}"`, contract);
    }
    reads.push(...[...declared.values()].map(({ name }) => name));
  };
  const metrics = new Map<string, Tensor>();
  const metric = (name: string, value: Tensor): void => {
    if (metrics.has(name))
      throw new CoreError('metric', `Two metrics are named "${name}".`, { hint: 'Rename one of them.' });
    metrics.set(name, value);
  };

  const current = source.current ? inputs(source.values, (name) => PREFIX.param + name) : undefined;
  const sources = Array.from({ length: source.count }, (_, index) => ({
    id: source.ids?.[index] ?? String(index),
    values: inputs(source.values, (name) => SOURCE.value(index, name)),
    extras: inputs(source.extras, (name) => SOURCE.extra(index, name)),
    weight: graph.input(SOURCE.weight(index), 'float32', []),
  }));
  const state = stateInputs(source.state, SOURCE.aggregatorState);
  const combined = labelled('aggregate', () =>
    aggregate(
      source.aggregator,
      sources,
      {
        scalar: (name, value) => tracer.scalar(name, value),
        noise: (name, shape, distribution = 'normal') => tracer.noise(name, shape, distribution),
        metric,
      },
      {
        state,
        population: source.population,
        ...(source.own ? { own: 0 } : {}),
        ...(current === undefined ? {} : { current }),
      },
    ),
  );
  replaceState(state, combined.state, 'aggregator');

  const results = new Map<string, string>();
  if (current === undefined)
    for (const [name, value] of Object.entries(combined.values))
      results.set(name, publish(graph, value, SOURCE.result + name));
  else {
    let next = combined.values;
    if (source.deltas) next = mapValues(current, (value, name) => value.add(next[name] as Tensor));
    const { server } = source;
    if (server !== undefined) {
      const serverState = stateInputs(server.state, SOURCE.serverState);
      const update = labelled('server', () =>
        server.rule.update(new PseudoGradientContext({ tracer, current, next, server, state: serverState, metric })),
      );
      replaceState(serverState, update.state, 'update-rule');
      next = { ...current, ...update.params };
    }
    for (const [name, value] of Object.entries(next))
      replace(current[name] as Tensor, value, `parameter "${name}"`, 'aggregator');
    reads.push(...Object.values(current).map(({ name }) => name));
  }
  const publishAll = (values: Iterable<[string, Tensor]>, prefix: string): Map<string, string> =>
    new Map([...values].map(([name, value]) => [name, publish(graph, value, prefix + name)]));
  return {
    graph,
    updates,
    reads,
    scalars: [...tracer.scalars.values()],
    noises: [...tracer.noises.values()].map((noise) => ({
      ...noise,
      input: noise.tensor.name,
      shape: noise.tensor.shape,
    })),
    batch: [],
    results,
    metrics: publishAll(metrics, PREFIX.metric),
    outputs: publishAll(Object.entries(combined.outputs ?? {}), SOURCE.output),
  };
}

interface PseudoGradientSource {
  readonly tracer: Tracer;
  readonly current: NamedValues<Tensor>;
  readonly next: NamedValues<Tensor>;
  readonly server: ServerRule;
  readonly state: SymbolicState<StateSpecs>;
  readonly metric: (name: string, value: Tensor) => void;
}

/** What a server rule sees: the model of the round before, and (current - combined) as its gradient (Reddi et al. 2021). */
class PseudoGradientContext implements UpdateContext {
  #grads: NamedValues<Tensor> | undefined;
  constructor(readonly source: PseudoGradientSource) {}

  get params(): NamedValues<Tensor> {
    return this.source.current;
  }
  get proposed(): NamedValues<Tensor> {
    return this.params;
  }
  get specs(): NamedValues<ParameterSpec> {
    return this.source.server.specs;
  }
  get grads(): NamedValues<Tensor> {
    return (this.#grads ??= mapValues(this.params, (value, name) => value.sub(this.source.next[name] as Tensor)));
  }
  get state(): SymbolicState<StateSpecs> {
    return this.source.state;
  }
  get step(): Tensor {
    return this.scalar('step', stepNumber);
  }
  get phase(): string {
    return this.source.server.phase;
  }
  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor {
    return this.source.tracer.scalar(`server/${name}`, value);
  }
  noise(name: string, shape: readonly Dim[], distribution: NoiseDistribution = 'normal'): Tensor {
    return this.source.tracer.noise(`server/${name}`, shape, distribution);
  }
  metric(name: string, value: Tensor): void {
    this.source.metric(`server/${name}`, value);
  }
  loss(): Tensor {
    return this.#refuse('the loss');
  }
  gradsAt(): NamedValues<Tensor> {
    return this.#refuse('gradients at other parameters');
  }
  hvp(): NamedValues<Tensor> {
    return this.#refuse('Hessian-vector products');
  }
  sampledGrads(): SampledGradients {
    return this.#refuse('gradients with drawn targets');
  }
  perSampleGrads(): NamedValues<Tensor> {
    return this.#refuse('per-sample gradients');
  }
  tap(): readonly Tap[] {
    return this.#refuse('taps');
  }
  #refuse(what: string): never {
    throw new CoreError('update-rule', `A server rule cannot ask for ${what}: the server has no data.`, {
      hint: 'Use a rule of parameters and gradients alone, such as sgd, momentum or adam.',
    });
  }
}

const stepNumber = (step: number): number => step;
