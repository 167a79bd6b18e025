import { shapeText, type TensorData } from '@updraft/graph';
import type { Aggregator } from '../contracts/aggregator.js';
import type { JsonValue } from '../contracts/sampler.js';
import { AggregationPrograms, type HostSource } from '../drivers/aggregation-programs.js';
import { stateValues } from '../drivers/initial-state.js';
import { under } from '../drivers/named-tensors.js';
import { parseOptions } from '../options/index.js';
import { initAggregator, type ValueSpec } from '../program/aggregation.js';
import { SOURCE } from '../program/aggregation-program.js';
import { PREFIX } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { probeError, type ProbeContext, type ProbeResult } from './context.js';
import { GivenNoiseBackend, readNoise } from './given-noise.js';
import { aggregatorInput } from './inputs.js';
import { numbersJson, readTensors, tensorsJson, withType } from './values.js';

type Input = ReturnType<typeof readInput>;
const readInput = (input: unknown) => parseOptions(aggregatorInput, input, 'The input');

interface NamedSource extends HostSource {
  readonly id: string;
}

const specsOf = (values: NamedValues<TensorData>): Record<string, ValueSpec> =>
  mapValues(values, ({ dataType, dims }) => ({ dataType, shape: dims }));

/** Sources of one round, alike in names, shapes and types, the own one first. */
function readRound(given: Input, round: Input['rounds'], index: number, path: string): NamedSource[] {
  const list = round?.[index] ?? [];
  if (list.length === 0) throw probeError(`"${path}" has no sources.`, 'Give at least one.');
  const sources = list.map(({ id, weight, values, extras }, position): NamedSource => ({
    id: id ?? String(position),
    weight,
    values: readTensors(values, `${path}.${position}.values`, given),
    extras: readTensors(extras, `${path}.${position}.extras`, given),
  }));
  const [first] = sources as [NamedSource, ...NamedSource[]];
  sources.forEach((source, position) => {
    for (const key of ['values', 'extras'] as const) {
      const names = new Set([...Object.keys(first[key]), ...Object.keys(source[key])]);
      for (const name of names) {
        const [one, like] = [source[key][name], first[key][name]];
        if (one === undefined || like?.dataType !== one.dataType || like.dims.join() !== one.dims.join())
          throw probeError(
            `"${path}.${position}.${key}.${name}" is ${one === undefined ? 'missing' : `${one.dataType}${shapeText(one.dims)}`}; the first source has ${like === undefined ? 'none' : `${like.dataType}${shapeText(like.dims)}`}.`,
            'Sources of an aggregator have the same names, shapes and element types.',
          );
      }
    }
  });
  if (given.own === undefined) return sources;
  const own = sources.findIndex(({ id }, position) => (typeof given.own === 'string' ? id : position) === given.own);
  if (own < 0)
    throw probeError(`"own" names no source of "${path}".`, `There are: ${sources.map(({ id }) => id).join(', ')}.`);
  return [sources[own] as NamedSource, ...sources.filter((_, position) => position !== own)];
}

/**
 * Combine sources round by round with the programs of `federate` and `merge`, and tell result and state after each.
 *
 * @throws OptionsError, CoreError naming what of the input does not fit.
 */
export async function probeAggregator(
  aggregator: Aggregator,
  input: unknown,
  context: ProbeContext,
): Promise<ProbeResult> {
  const given = readInput(input);
  if ((given.sources === undefined) === (given.rounds === undefined))
    throw probeError(
      given.rounds === undefined ? 'The input has no sources.' : 'The input has both "sources" and "rounds".',
      'Give "sources" for one round, or "rounds" for several.',
    );
  const lists = given.rounds ?? [given.sources ?? []];
  const rounds = lists.map((_, index) =>
    readRound(given, lists, index, given.rounds === undefined ? 'sources' : `rounds.${index}`),
  );
  const [[first]] = rounds as [[NamedSource]];
  const values = specsOf(first.values);
  const current = given.current === undefined ? undefined : readTensors(given.current, 'current', given);
  if (current !== undefined && JSON.stringify(specsOf(current)) !== JSON.stringify(values))
    throw probeError('"current" has other names or shapes than the values of the sources.');
  const backend = new GivenNoiseBackend(context.backend, readNoise(given.noise));
  const specs = initAggregator(aggregator, values);
  const state = stateValues(specs, SOURCE.aggregatorState);
  for (const [path, value] of Object.entries(readTensors(given.state, 'state', given))) {
    const declared = state[SOURCE.aggregatorState + path];
    if (declared?.dims.join() !== value.dims.join())
      throw probeError(
        `"state.${path}" is no state of the aggregator with the shape [${value.dims.join(', ')}].`,
        `It has: ${
          Object.entries(state)
            .map(([name, { dims }]) => `${name.slice(SOURCE.aggregatorState.length)}[${dims.join(', ')}]`)
            .join(', ') || 'none'
        }.`,
      );
    state[SOURCE.aggregatorState + path] = withType(value, declared.dataType as 'float32');
  }
  const residents = await backend.createState({
    ...state,
    ...Object.fromEntries(Object.entries(current ?? {}).map(([name, value]) => [PREFIX.param + name, value])),
  });
  // One set of programs for each list of roles; the state is shared.
  const programs = new Map<string, AggregationPrograms>();
  const rows: JsonValue[] = [];
  try {
    for (const [index, sources] of rounds.entries()) {
      const ids = sources.map(({ id }) => id);
      const key = JSON.stringify(ids);
      let own = programs.get(key);
      if (own === undefined) {
        own = new AggregationPrograms(
          backend,
          {
            aggregator,
            state: specs,
            values,
            ids,
            own: given.own !== undefined,
            current: current !== undefined,
            deltas: false,
            population: given.population ?? sources.length,
          },
          RandomStream.fromSeed(given.seed).split('aggregator'),
        );
        programs.set(key, own);
      }
      const outcome = await own.run(residents, sources, specsOf(sources[0]?.extras ?? {}), index + 1);
      const tensors = await residents.read();
      const noise = backend.seen[index] ?? {};
      rows.push({
        round: index + 1,
        result: tensorsJson(current === undefined ? outcome.results : under(tensors, PREFIX.param)),
        state: tensorsJson(under(tensors, SOURCE.aggregatorState)),
        outputs: tensorsJson(outcome.outputs),
        metrics: numbersJson(outcome.metrics),
        ...(Object.keys(noise).length === 0 ? {} : { noise: tensorsJson(noise) }),
      });
    }
  } finally {
    for (const own of programs.values()) await own.dispose();
    await residents.dispose();
  }
  backend.checkUsed();
  return { rounds: rows, final: rows.at(-1) ?? null };
}
