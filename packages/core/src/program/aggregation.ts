import { concat, dimText, isStaticShape, shapeText, stack, type DataType, type Dim, type Tensor } from '@updraft/graph';
import type { Aggregator, Combined, Source } from '../contracts/aggregator.js';
import type { StateSpec, StateSpecs, SymbolicState } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { NoiseDistribution } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import { flattenTree, mapValues, type NamedValues } from '../tree.js';
import { isStateSpec } from './step-program.js';

/** Shape and element type of one of the values to combine. */
export interface ValueSpec {
  readonly dataType: DataType;
  readonly shape: readonly Dim[];
}

/** A source as `aggregate` takes it. */
export interface AggregationSource {
  /** Its role; default: its position. */
  readonly id?: string;
  readonly values: NamedValues<Tensor>;
  /** A number from 0 or a float32 scalar; default 1. */
  readonly weight?: number | Tensor;
  readonly extras?: NamedValues<Tensor>;
}

/** Where scalars, noise and metrics of the aggregator go: the context of an objective, an update rule or a generation step. */
export interface AggregationHost {
  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor;
  noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor;
  metric?(name: string, value: Tensor): void;
}

export interface AggregateOptions<S extends StateSpecs = StateSpecs> {
  /** State as declared with {@link initAggregator}, kept by whoever aggregates; needed where the aggregator has any. */
  readonly state?: SymbolicState<S>;
  /** Position of the source of the one who combines. */
  readonly own?: number;
  /** Values that the result replaces. */
  readonly current?: NamedValues<Tensor>;
  /** How many sources exist; default: those given. */
  readonly population?: number | Tensor;
  /** Put before the names of scalars, noise and metrics, where one program aggregates several times. */
  readonly prefix?: string;
}

const roundNumber = (round: number): number => round;

/** State that an aggregator declares for values of these shapes. */
export function initAggregator<S extends StateSpecs>(aggregator: Aggregator<S>, values: NamedValues<ValueSpec>): S {
  const state = (shape: readonly number[], initial = 0, dataType: StateSpec['dataType'] = 'float32'): StateSpec => ({
    kind: 'state',
    shape,
    dataType,
    initial,
  });
  const declared = aggregator.init?.({
    shapes: mapValues(values, ({ shape }) => shape),
    state: (shape, initial) => state(shape, initial),
    likeValues: (initial) =>
      mapValues(values, ({ shape, dataType }, name) => {
        if (!isStaticShape(shape))
          throw new CoreError('aggregator', `The value "${name}" has the symbolic shape ${shapeText(shape)}.`, {
            hint: 'State needs fixed sizes: aggregate values of fixed shape, or keep none per value.',
          });
        return state(shape, initial, dataType);
      }),
  });
  return declared ?? ({} as S);
}

/**
 * Build an aggregator into a graph: `aggregate(mean(), [{ values: { logits: a } }, { values: { logits: b } }], context)`.
 * What `federate` and `merge` run is built by this function too. Values of all sources have the same names, shapes and
 * element types; the result has them as well.
 *
 * @param host Context of the objective, rule or generation step that this happens in.
 * @throws CoreError for sources that do not fit together, weights below 0, missing state, or a result of another form.
 */
export function aggregate<S extends StateSpecs>(
  aggregator: Aggregator<S>,
  sources: readonly AggregationSource[],
  host: AggregationHost,
  options: AggregateOptions<S> = {},
): Combined<S> {
  const { prefix = '', own } = options;
  const built = checkSources(sources);
  const [first] = built as [Source, ...Source[]];
  const { graph } = first.weight;
  const scalar = (value: number | Tensor): Tensor => (typeof value === 'number' ? graph.constant(value) : value);
  if (own !== undefined && built[own] === undefined)
    throw new CoreError('aggregator', `The own source is number ${own} of ${built.length}.`, {
      hint: `Give a position from 0 to ${built.length - 1}.`,
    });
  const combined = aggregator.combine(
    {
      state: options.state ?? statelessOnly(aggregator, first),
      get round() {
        return host.scalar(`${prefix}round`, roundNumber);
      },
      own: own === undefined ? undefined : built[own],
      current: options.current,
      get population() {
        return scalar(options.population ?? built.length);
      },
      scalar: (name, value) => host.scalar(prefix + name, value),
      noise: (name, shape, distribution) => host.noise(prefix + name, shape, distribution),
      metric: (name, value) => host.metric?.(prefix + name, value),
    },
    built,
  );
  checkResult(first.values, combined.values);
  return { ...combined, values: mapValues(first.values, (_, name) => combined.values[name] as Tensor) };
}

function statelessOnly<S extends StateSpecs>(aggregator: Aggregator<S>, { values }: Source): SymbolicState<S> {
  const declared = flattenTree<StateSpec>(initAggregator(aggregator, values), isStateSpec);
  if (declared.length > 0)
    throw new CoreError(
      'aggregator',
      `This aggregator keeps state (${declared.map(([path]) => path).join(', ')}), and none was given.`,
      { hint: 'Declare it with initAggregator() in your own init, and pass it as options.state.' },
    );
  return {} as SymbolicState<S>;
}

const specText = ({ dataType, shape }: ValueSpec): string => `${dataType}${shapeText(shape)}`;

function checkSources(sources: readonly AggregationSource[]): Source[] {
  const [first] = sources;
  const [, lead] = Object.entries(first?.values ?? {})[0] ?? [];
  if (first === undefined || lead === undefined)
    throw new CoreError(
      'aggregator',
      first === undefined ? 'There is no source to aggregate.' : 'The sources are empty.',
      {
        hint: 'Give at least one source with at least one value.',
      },
    );
  const ids = new Set<string>();
  return sources.map(({ id, values, weight = 1, extras }, index) => {
    const name = id ?? String(index);
    if (ids.has(name))
      throw new CoreError('aggregator', `Two sources have the id "${name}".`, { hint: 'Give every source its own.' });
    ids.add(name);
    if (
      typeof weight === 'number'
        ? !(weight >= 0 && weight < Infinity)
        : weight.rank !== 0 || weight.dataType !== 'float32'
    )
      throw new CoreError(
        'aggregator',
        `The weight of the source "${name}" is ${typeof weight === 'number' ? weight : specText(weight)}.`,
        { hint: 'Weights are finite numbers from 0, or float32 scalars.' },
      );
    return {
      id: name,
      // In the order of the first source, so that vectors of several sources are laid out alike.
      values: alike(first.values, values, name, 'values'),
      weight: typeof weight === 'number' ? lead.graph.constant(weight) : weight,
      extras: alike(first.extras ?? {}, extras ?? {}, name, 'extras'),
    };
  });
}

function alike(
  first: NamedValues<Tensor>,
  values: NamedValues<Tensor>,
  source: string,
  what: string,
): Record<string, Tensor> {
  for (const name of Object.keys(values))
    if (first[name] === undefined)
      throw new CoreError(
        'aggregator',
        `The source "${source}" has "${name}" among its ${what}, which the first has not.`,
        {
          hint: `The first has: ${Object.keys(first).join(', ') || 'none'}.`,
        },
      );
  return mapValues(first, (expected, name) => {
    const value = values[name];
    const fits =
      value?.dataType === expected.dataType &&
      value.rank === expected.rank &&
      value.shape.every((dim, axis) => dimText(dim) === dimText(expected.shape[axis] as Dim));
    if (!fits)
      throw new CoreError(
        'aggregator',
        `"${name}" among the ${what} of the source "${source}" is ${value === undefined ? 'missing' : specText(value)}; the first source has ${specText(expected)}.`,
        { hint: 'Sources have the same names, shapes and element types.' },
      );
    return value;
  });
}

function checkResult(expected: NamedValues<Tensor>, values: NamedValues<Tensor>): void {
  for (const name of Object.keys(values))
    if (expected[name] === undefined)
      throw new CoreError('aggregator', `The aggregator returned "${name}", which no source has.`, {
        hint: 'Return what is no combined value under outputs.',
      });
  for (const [name, like] of Object.entries(expected)) {
    const value = values[name];
    const fits =
      value?.dataType === like.dataType &&
      value.rank === like.rank &&
      value.shape.every(
        (dim, axis) => typeof dim !== 'number' || typeof like.shape[axis] !== 'number' || dim === like.shape[axis],
      );
    if (!fits)
      throw new CoreError(
        'aggregator',
        `The aggregator returned ${value === undefined ? 'nothing' : specText(value)} for "${name}"; sources have ${specText(like)}.`,
        { hint: 'The result has the names, shapes and element types of a source.' },
      );
  }
}

/** Named values as one vector [d], in the order of their names: for joint norms and distances. One element type. */
export function valueVector(values: NamedValues<Tensor>): Tensor {
  const parts = Object.values(values).map((value) => value.reshape([-1]));
  return parts.length === 1 ? (parts[0] as Tensor) : concat(parts, 0);
}

/** The vectors of all sources, one below the other: [sources, d]. */
export const sourceMatrix = (sources: readonly Source[]): Tensor =>
  stack(sources.map(({ values }) => valueVector(values)));

/**
 * A vector [d] as named values again: the inverse of {@link valueVector}.
 *
 * @throws CoreError where a shape is symbolic.
 */
export function vectorValues(vector: Tensor, like: NamedValues<Tensor>): Record<string, Tensor> {
  let at = 0;
  return mapValues(like, ({ shape }, name) => {
    if (!isStaticShape(shape))
      throw new CoreError('aggregator', `The value "${name}" has the symbolic shape ${shapeText(shape)}.`, {
        hint: 'Vectors are made of values of fixed shape.',
      });
    const size = shape.reduce((product, dim) => product * dim, 1);
    const part = vector.slice([at], [at + size], [0]).reshape(shape);
    at += size;
    return part;
  });
}
