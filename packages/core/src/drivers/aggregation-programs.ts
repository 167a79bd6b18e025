import type { Backend, Program, ResidentState } from '@updraft/backend';
import { tensor, type TensorData } from '@updraft/graph';
import type { NamedValues } from '../tree.js';
import {
  buildAggregationProgram,
  SOURCE,
  type AggregationProgram,
  type AggregationProgramSource,
} from '../program/aggregation-program.js';
import type { RandomStream } from '../random/index.js';
import { FeedBuilder } from './feeds.js';
import { copyTensor } from './named-tensors.js';

/** What one aggregation reported. */
export interface AggregationOutcome {
  /** The result, where it does not replace resident parameters. */
  readonly results: Readonly<Record<string, TensorData>>;
  readonly metrics: Readonly<Record<string, number>>;
  readonly outputs: Readonly<Record<string, TensorData>>;
}

/** A source on the host. */
export interface HostSource {
  readonly values: NamedValues<TensorData>;
  readonly extras: NamedValues<TensorData>;
  readonly weight: number;
}

interface Compiled {
  readonly source: AggregationProgram;
  readonly program: Program;
}

/** Aggregation programs, one for each number of sources and phase of the server rule. */
export class AggregationPrograms {
  readonly #compiled = new Map<string, Compiled>();
  readonly #feeds: FeedBuilder;

  constructor(
    readonly backend: Backend,
    readonly source: Omit<AggregationProgramSource, 'count' | 'extras'>,
    random: RandomStream,
  ) {
    this.#feeds = new FeedBuilder(random);
  }

  async #get(count: number, phase: string, extras: AggregationProgramSource['extras']): Promise<Compiled> {
    const key = `${count}|${phase}|${Object.keys(extras).join()}`;
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const { server } = this.source;
    const source = buildAggregationProgram({
      ...this.source,
      count,
      extras,
      server: server === undefined ? undefined : { ...server, phase },
    });
    const program = await this.backend.compile(source.graph, { resident: source.reads, updates: source.updates });
    const compiled = { source, program };
    this.#compiled.set(key, compiled);
    return compiled;
  }

  /** Combine sources on resident state; the round numbers schedules and noise. */
  async run(
    residents: ResidentState,
    sources: readonly HostSource[],
    extras: AggregationProgramSource['extras'],
    round: number,
  ): Promise<AggregationOutcome> {
    const phase = this.source.server?.rule.phase?.(round) ?? 'step';
    const { source, program } = await this.#get(sources.length, phase, extras);
    const feeds = this.#feeds.build(source, { columns: {}, size: 0 }, round, new Map());
    sources.forEach(({ values, weight, extras: sent }, index) => {
      for (const name of Object.keys(this.source.values)) feeds[SOURCE.value(index, name)] = values[name] as TensorData;
      for (const name of Object.keys(extras)) feeds[SOURCE.extra(index, name)] = sent[name] as TensorData;
      feeds[SOURCE.weight(index)] = tensor(weight, 'float32', []);
    });
    const fetched = await program.step(residents, feeds, [
      ...source.results.values(),
      ...source.metrics.values(),
      ...source.outputs.values(),
    ]);
    // The buffers behind fetched tensors are written again by the next run.
    const copies = (names: ReadonlyMap<string, string>): Record<string, TensorData> =>
      Object.fromEntries([...names].map(([name, output]) => [name, copyTensor(fetched[output] as TensorData)]));
    return {
      results: copies(source.results),
      metrics: Object.fromEntries(
        [...source.metrics].map(([name, output]) => [name, Number(fetched[output]?.data[0])]),
      ),
      outputs: copies(source.outputs),
    };
  }

  async dispose(): Promise<void> {
    const all = [...this.#compiled.values()];
    this.#compiled.clear();
    for (const { program } of all) await program.dispose();
  }
}
