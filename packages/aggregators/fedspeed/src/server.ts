import {
  CoreError,
  defineOptions,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  type Aggregator,
  type AggregatorInitContext,
  type Combined,
  type CombineContext,
  type Source,
  type StateSpec,
  type StateSpecs,
} from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { uploadName } from './upload.js';

const serverOptions = defineOptions({
  correctionMean: z
    .enum(['all', 'sampled'])
    .default('all')
    .describe(
      'Whose corrections are averaged: those of all clients (official code), or of those who take part (paper).',
    ),
});

interface ServerState extends StateSpecs {
  /** Mean of the corrections h of all clients, with `correctionMean: 'all'`. */
  readonly correction: Readonly<Record<string, StateSpec>>;
}

const sum = (terms: readonly Tensor[]): Tensor => terms.reduce((left, right) => left.add(right));
/** Terms are made smaller first, so that large ones do not overflow. */
const average = (terms: readonly Tensor[]): Tensor => sum(terms.map((term) => term.mul(1 / terms.length)));

/**
 * The server of FedSpeed (Sun et al. 2023): the mean of the models that arrive plus a mean of corrections, both without
 * weights. Clients keep their corrections h; of those of all clients the server keeps the mean, which moves by
 * Σ u / (number of clients) in a round, since h of a client moves by u when it takes part.
 *
 * Beside its model each source sends `displacement/…` (u) and `correction/…` (h) for every parameter, as
 * {@link fedSpeedLocal} does. Without `displacement/…`, u is the change of the model that the server sent.
 */
@plugin({
  name: 'fedspeed-server',
  contract: 'aggregator',
  options: serverOptions,
  summary: 'Server of FedSpeed: mean of the models plus the mean of the corrections of the clients.',
  paper:
    'Sun et al. 2023, FedSpeed: Larger Local Interval, Less Communication Round, and Higher Generalization Accuracy',
})
export class FedSpeedServer implements Aggregator<ServerState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof serverOptions>) {}

  init(context: AggregatorInitContext): ServerState {
    return { correction: this.options.correctionMean === 'all' ? context.likeValues() : {} };
  }

  combine(context: CombineContext<ServerState>, sources: readonly Source[]): Combined<ServerState> {
    const all = this.options.correctionMean === 'all';
    const [{ values: first }] = sources as [Source];
    const correction = mapValues(first, (value, name) =>
      all
        ? // h̄ ← h̄ + Σ u / number of clients.
          (context.state.correction[name] as Tensor).add(
            average(sources.map((source) => displacement(source, name, context)))
              .mul(sources.length)
              .div(context.population.cast(value.dataType)),
          )
        : average(sources.map((source) => sentCorrection(source, name))),
    );
    // 3. w ← mean of x + mean of h.
    const values = mapValues(first, (_, name) =>
      average(sources.map((source) => source.values[name] as Tensor)).add(correction[name] as Tensor),
    );
    return { values, state: { correction: all ? correction : {} } };
  }
}

function displacement({ id, values, extras }: Source, name: string, { current }: CombineContext<ServerState>): Tensor {
  const sent = extras?.[uploadName('displacement', name)];
  if (sent !== undefined) return sent;
  const before = current?.[name];
  if (before === undefined)
    throw new CoreError('aggregator', `It is not known how far the source "${id}" moved "${name}" in this round.`, {
      hint: 'Train clients with the update rule fedspeed, or give the values that the result replaces (current).',
    });
  return (values[name] as Tensor).sub(before);
}

function sentCorrection({ id, extras }: Source, name: string): Tensor {
  const sent = extras?.[uploadName('correction', name)];
  if (sent === undefined)
    throw new CoreError('aggregator', `The source "${id}" sent no "${uploadName('correction', name)}".`, {
      hint: "Train clients with the update rule fedspeed, or set correctionMean: 'all'.",
    });
  return sent;
}

/** The server of FedSpeed. */
export const fedSpeedServer = pluginFactory(FedSpeedServer, serverOptions);
