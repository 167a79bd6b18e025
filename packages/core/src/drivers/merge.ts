import type { Backend } from '@updraft/backend';
import type { TensorData } from '@updraft/graph';
import type { Aggregator } from '../contracts/aggregator.js';
import { CoreError } from '../errors.js';
import { initAggregator } from '../program/aggregation.js';
import { SOURCE } from '../program/aggregation-program.js';
import { PREFIX } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { AggregationPrograms } from './aggregation-programs.js';
import { malformation, SourceError, specsOf } from './federate-sources.js';
import { stateValues } from './initial-state.js';

/** Checkpoints to merge and how. */
export interface MergeOptions {
  /** Values by name, alike in names, shapes and element types. Those of one name that are no floats must be equal. */
  readonly models: readonly NamedValues<TensorData>[];
  /** Roles of the models for the aggregator; default: their positions. */
  readonly ids?: readonly string[];
  /** Finite numbers from 0, one for each model. Default: all 1. */
  readonly weights?: readonly number[];
  readonly aggregator: Aggregator;
  readonly backend: Backend;
  /** The model that all of them started from, for aggregators that combine changes: `context.current`. */
  readonly base?: NamedValues<TensorData>;
  /** Seeds the noise of the aggregator. Default 0. */
  readonly seed?: number;
}

/** A merged model. */
export interface MergeResult {
  readonly values: Readonly<Record<string, TensorData>>;
  /** Scalars that the aggregator reported. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Tensors that the aggregator gives to look at. */
  readonly outputs: Readonly<Record<string, TensorData>>;
}

const isFloating = ({ dataType }: TensorData): boolean => dataType === 'float32' || dataType === 'float64';

/**
 * Merge models on the host: one round of an aggregator, without training. Only float32 and float64 tensors are combined.
 *
 * @throws SourceError for models that differ in names, shapes, types or in what is no float, or that hold NaN or infinity.
 */
export async function merge(options: MergeOptions): Promise<MergeResult> {
  const { models, aggregator, backend, base } = options;
  const weights = options.weights ?? models.map(() => 1);
  const ids = options.ids ?? models.map((_, index) => String(index));
  const minimum = Math.max(1, aggregator.policy?.minimum ?? 1);
  if (models.length < minimum)
    throw new SourceError(`${models.length} models are to be merged; the aggregator needs ${minimum}.`, {
      hint: 'Give more models.',
    });
  if (weights.length !== models.length || ids.length !== models.length)
    throw new CoreError(
      'options',
      `There are ${models.length} models, ${weights.length} weights and ${ids.length} ids.`,
      {
        hint: 'Give one of each for every model.',
      },
    );
  if (!weights.every((weight) => weight >= 0 && weight < Infinity) || !weights.some((weight) => weight > 0))
    throw new CoreError('options', `The weights are ${weights.join(', ')}.`, {
      hint: 'Give finite numbers from 0, not all of them 0.',
    });
  const first = models[0] as NamedValues<TensorData>;
  const specs = specsOf(first);
  const everything = base === undefined ? models : [...models, base];
  everything.forEach((model, index) => {
    const id = index < models.length ? `model "${ids[index] ?? ''}"` : 'base';
    const problem = malformation(model, specs, 'values') ?? unequalFixed(first, model);
    if (problem !== undefined)
      throw new SourceError(`The ${id} cannot be merged: ${problem}.`, {
        hint: 'Merge checkpoints of one model.',
        details: { source: id },
      });
  });
  const floats = (values: NamedValues<TensorData>): Record<string, TensorData> =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => isFloating(value)));
  const values = specsOf(floats(first));
  const state = initAggregator(aggregator, values);
  const residents = await backend.createState({
    ...stateValues(state, SOURCE.aggregatorState),
    ...(base === undefined
      ? {}
      : Object.fromEntries(Object.entries(floats(base)).map(([name, value]) => [PREFIX.param + name, value]))),
  });
  const programs = new AggregationPrograms(
    backend,
    {
      aggregator,
      state,
      values,
      ids,
      own: false,
      current: base !== undefined,
      deltas: false,
      population: models.length,
    },
    RandomStream.fromSeed(options.seed ?? 0).split('aggregator'),
  );
  try {
    const outcome = await programs.run(
      residents,
      models.map((model, index) => ({ values: model, extras: {}, weight: weights[index] as number })),
      {},
      1,
    );
    const merged =
      base === undefined
        ? outcome.results
        : await residents.read(Object.keys(values).map((name) => PREFIX.param + name));
    return {
      values: mapValues(first, (value, name) =>
        isFloating(value) ? (merged[base === undefined ? name : PREFIX.param + name] as TensorData) : value,
      ),
      metrics: outcome.metrics,
      outputs: outcome.outputs,
    };
  } finally {
    await programs.dispose();
    await residents.dispose();
  }
}

/** What cannot be combined has to be the same in all models. */
function unequalFixed(first: NamedValues<TensorData>, model: NamedValues<TensorData>): string | undefined {
  for (const [name, value] of Object.entries(first)) {
    if (isFloating(value)) continue;
    const other = model[name] as TensorData;
    for (let index = 0; index < value.data.length; index++)
      if (value.data[index] !== other.data[index])
        return `"${name}" (${value.dataType}) differs from that of the first at index ${index}, and is no float`;
  }
  return undefined;
}
