import type { Backend, Program } from '@updraft/backend';
import {
  aggregate,
  fillNoise,
  flattenTree,
  initAggregator,
  isStateSpec,
  mapTree,
  RandomStream,
  Tracer,
  type Aggregator,
  type StateSpec,
  type StateSpecs,
  type SymbolicState,
} from '@updraft/core';
import { elementCount, emptyTensor, Graph, Tensor, writeElement, type TensorData } from '@updraft/graph';
import { ContractError } from '../errors.js';
import { copyAll, type Named } from '../kit/compare.js';

/** One source with its values on the host. */
export interface GivenSource {
  readonly id?: string;
  readonly values: Named;
  /** From 0. */
  readonly weight: number;
  readonly extras?: Named;
}

/** What an aggregator made of the sources of a round. */
export interface RoundResult {
  readonly values: Named;
  /** State after the round, by path. */
  readonly state: Named;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface AggregatorTraceSettings {
  readonly backend: Backend;
  readonly aggregator: Aggregator;
  /** Sources of each round. */
  readonly rounds: readonly (readonly GivenSource[])[];
  /** Position of the source of the one who combines. */
  readonly own?: number | undefined;
  /** Values that the result replaces. */
  readonly current?: Named | undefined;
  /** Number of the first round; default 1. */
  readonly firstRound?: number;
  /** State before the first round; default: as declared. */
  readonly state?: Named;
  readonly seed?: number;
}

interface Built {
  readonly tracer: Tracer;
  readonly graph: Graph;
  readonly program: Program;
}

function firstState(spec: StateSpec): TensorData {
  const { initial } = spec;
  if (typeof initial !== 'number') {
    if ('parameter' in initial)
      throw new ContractError('The state of an aggregator copies a parameter; it has none.', {
        hint: 'Start it with a number or a tensor.',
      });
    return initial;
  }
  const value = emptyTensor(spec.dataType, spec.shape);
  for (let index = 0; index < elementCount(spec.shape); index++) writeElement(value, index, initial);
  return value;
}

const isTensor = (value: unknown): value is Tensor => value instanceof Tensor;

async function build(settings: AggregatorTraceSettings, specs: StateSpecs, count: number): Promise<Built> {
  const { aggregator, rounds, own, current } = settings;
  const [first] = rounds.flat() as [GivenSource];
  const graph = new Graph('aggregate');
  const tracer = new Tracer(graph);
  const inputs = (values: Named, prefix: string): Record<string, Tensor> =>
    Object.fromEntries(
      Object.entries(values).map(([name, { dataType, dims }]) => [name, graph.input(prefix + name, dataType, dims)]),
    );
  const state = mapTree<StateSpec, Tensor>(specs, isStateSpec, ({ dataType, shape }, path) =>
    graph.input(`state/${path}`, dataType, shape),
  ) as SymbolicState<StateSpecs>;
  const before = new Map(flattenTree<Tensor>(state, isTensor));
  const sources = Array.from({ length: count }, (_, index) => ({
    values: inputs(first.values, `source${index}/`),
    weight: graph.input(`weight${index}`, 'float32', []),
    ...(first.extras === undefined ? {} : { extras: inputs(first.extras, `extra${index}/`) }),
  }));
  const publish = (value: Tensor, name: string): void => {
    graph.output(value.producer === undefined || graph.outputs.includes(value) ? value.identity() : value, name);
  };
  const metrics = new Map<string, Tensor>();
  const combined = aggregate(
    aggregator,
    sources,
    {
      scalar: (name, value) => tracer.scalar(name, value),
      noise: (name, shape, distribution = 'normal') => tracer.noise(name, shape, distribution),
      metric: (name, value) => metrics.set(name, value),
    },
    {
      state,
      ...(own === undefined ? {} : { own }),
      ...(current === undefined ? {} : { current: inputs(current, 'current/') }),
    },
  );
  for (const [name, value] of Object.entries(combined.values)) publish(value, `value/${name}`);
  for (const [name, value] of metrics) publish(value, `metric/${name}`);
  const after = new Map(flattenTree<Tensor>(combined.state ?? {}, isTensor));
  for (const [path, value] of after) {
    const old = before.get(path);
    if (old === undefined)
      throw new ContractError(`The aggregator returned a state "${path}" that init did not declare.`, {
        hint: `Declared: ${[...before.keys()].join(', ') || 'none'}.`,
      });
    if (value.dataType !== old.dataType || value.shape.join() !== old.shape.join())
      throw new ContractError(
        `The new state "${path}" is ${value.dataType}[${value.shape.join(', ')}], the old one ${old.dataType}[${old.shape.join(', ')}].`,
        { hint: 'State keeps its shape and element type.' },
      );
    publish(value, `next/${path}`);
  }
  return { tracer, graph, program: await settings.backend.compile(graph) };
}

/**
 * Run an aggregator round by round through `aggregate`, which is what drivers build with, and keep what it gives.
 *
 * @throws ContractError, CoreError for results and state that do not fit.
 */
export async function traceAggregator(settings: AggregatorTraceSettings): Promise<RoundResult[]> {
  const { aggregator, rounds, current, seed = 0, firstRound = 1 } = settings;
  const [first] = rounds.flat() as [GivenSource];
  const specs = initAggregator(
    aggregator,
    Object.fromEntries(
      Object.entries(first.values).map(([name, { dataType, dims }]) => [name, { dataType, shape: dims }]),
    ),
  );
  let state: Record<string, TensorData> = Object.fromEntries(
    flattenTree<StateSpec>(specs, isStateSpec).map(([path, spec]) => [
      path,
      settings.state?.[path] ?? firstState(spec),
    ]),
  );
  const built = new Map<number, Built>();
  const results: RoundResult[] = [];
  try {
    for (const [index, sources] of rounds.entries()) {
      const round = firstRound + index;
      let entry = built.get(sources.length);
      if (entry === undefined) built.set(sources.length, (entry = await build(settings, specs, sources.length)));
      const { tracer, program } = entry;
      const feeds: Record<string, TensorData> = {};
      const feed = (values: Named, prefix: string): void => {
        for (const [name, value] of Object.entries(values)) feeds[prefix + name] = value;
      };
      feed(state, 'state/');
      feed(current ?? {}, 'current/');
      sources.forEach(({ values, weight, extras }, at) => {
        feed(values, `source${at}/`);
        feed(extras ?? {}, `extra${at}/`);
        feeds[`weight${at}`] = { dataType: 'float32', dims: [], data: Float32Array.of(weight) };
      });
      for (const { tensor, at } of tracer.scalars.values())
        feeds[tensor.name] = { dataType: 'float32', dims: [], data: Float32Array.of(at(round)) };
      for (const { name, tensor, distribution } of tracer.noises.values()) {
        const value = emptyTensor('float32', tensor.shape.map(Number));
        fillNoise(
          value.data,
          distribution,
          RandomStream.fromSeed(seed).split('aggregator').split(name).split(String(round)),
        );
        feeds[tensor.name] = value;
      }
      const needed = new Set(program.inputs.map(({ name }) => name));
      const outputs = copyAll(
        await program.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => needed.has(name)))),
      );
      const under = (prefix: string): Record<string, TensorData> =>
        Object.fromEntries(
          Object.entries(outputs)
            .filter(([name]) => name.startsWith(prefix))
            .map(([name, value]) => [name.slice(prefix.length), value]),
        );
      state = { ...state, ...under('next/') };
      results.push({
        values: under('value/'),
        state: { ...state },
        metrics: Object.fromEntries(
          Object.entries(under('metric/')).map(([name, value]) => [name, Number(value.data[0])]),
        ),
      });
    }
  } finally {
    for (const { program } of built.values()) await program.dispose();
  }
  return results;
}
