import type { ResidentState } from '@updraft/backend';
import { emptyTensor, type TensorData } from '@updraft/graph';
import { CheckpointError } from '../checkpoint/index.js';
import type { SourcePolicy } from '../contracts/aggregator.js';
import type { JsonValue } from '../contracts/sampler.js';
import { CoreError } from '../errors.js';
import type { AggregationReport, FederateEvent } from '../events/index.js';
import { initAggregator, type ValueSpec } from '../program/aggregation.js';
import { SOURCE } from '../program/aggregation-program.js';
import { modelSpecs, type ModelSpecs } from '../program/model-specs.js';
import { PREFIX } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { countFromRatio } from '../ratio.js';
import { mapValues, type NamedValues } from '../tree.js';
import { AggregationPrograms } from './aggregation-programs.js';
import { CheckpointWriter } from './checkpoint-writer.js';
import { evaluate, type EvaluationResult } from './evaluate.js';
import type { ClientResult, FederatedClient, FederateOptions, FederateResult } from './federate.js';
import { LocalTrainer } from './federate-local.js';
import { checkOptions } from './federate-options.js';
import {
  DEFAULT_POLICY,
  screenSources,
  specsOf,
  type ClientUpload,
  type ExpectedSources,
  type SourceReport,
} from './federate-sources.js';
import { initContext, initialParameters, initialResidents, stateValues } from './initial-state.js';
import { under, withPrefix } from './named-tensors.js';
import { checkpointOf, pluginRecords, restoreCheckpoint } from './training-checkpoint.js';

type Tensors = Readonly<Record<string, TensorData>>;

/** What a client keeps between rounds. Replaced, never changed, so that a round can be undone. */
interface Memory {
  /** Steps that its rule counted. */
  readonly steps: number;
  readonly draws: number;
  /** State of its rule under the names of residents; empty where it starts anew. */
  readonly rule: Tensors;
  /** Its own parameters (with peers) and variables (with peers, or kept local) under the names of residents. */
  readonly model: Tensors;
  /** State of its own aggregator under the names of residents, with peers. */
  readonly aggregator: Tensors;
}

interface Client extends FederatedClient {
  readonly trainer: LocalTrainer | undefined;
  memory: Memory;
}

/** Where in a checkpoint the tensors of a client are. */
const GROUPS = ['rule', 'model', 'aggregator'] as const;
const groupPrefix = (id: string, group: (typeof GROUPS)[number]): string => `client/${id}/${group}/`;

class Federation {
  readonly specs: ModelSpecs;
  readonly random: RandomStream;
  readonly participation: RandomStream;
  readonly peers: boolean;
  readonly deltas: boolean;
  readonly keep: boolean;
  readonly meanVariables: boolean;
  readonly policy: SourcePolicy;
  readonly clients: readonly Client[];
  readonly trainers: readonly LocalTrainer[];
  readonly programs: AggregationPrograms;
  readonly checkpoints: CheckpointWriter | undefined;
  readonly plugins: ReturnType<typeof pluginRecords>;
  readonly valueSpecs: Readonly<Record<string, ValueSpec>>;
  readonly variableSpecs: Readonly<Record<string, ValueSpec>>;
  extras: Readonly<Record<string, ValueSpec>> = {};
  /** Model of the server and state of aggregator and server rule; with peers, the place where each of them aggregates. */
  residents!: ResidentState;
  round = 0;
  loss = Number.NaN;
  evaluated: Readonly<Record<string, number>> | undefined;
  readonly #first: Tensors;

  constructor(readonly options: FederateOptions) {
    checkOptions(options);
    const seed = options.seed ?? 0;
    this.random = RandomStream.fromSeed(seed);
    this.participation = RandomStream.fromSeed(options.participation?.seed ?? seed).split('participation');
    this.peers = options.topology === 'peers';
    this.deltas = options.exchange === 'deltas';
    this.keep = (options.clientState ?? options.updateRule.clientState) === 'keep';
    this.meanVariables = options.variables !== 'local';
    this.policy = { ...DEFAULT_POLICY, ...options.aggregator.policy, ...options.policy };
    this.plugins = pluginRecords([
      options.updateRule,
      ...(options.serverRule === undefined ? [] : [options.serverRule]),
      options.aggregator,
      options.reward,
    ]);
    this.checkpoints =
      options.checkpoints === undefined
        ? undefined
        : new CheckpointWriter(options.checkpoints.store, options.checkpoints.resume === false);
    this.specs = modelSpecs(options.model);
    const params = initialParameters(this.specs, this.random.split('parameters'), options.initial);
    const variables = mapValues(this.specs.variables, ({ initial }, name) => options.initial?.[name] ?? initial);
    this.valueSpecs = specsOf(params);
    this.variableSpecs = specsOf(variables);
    const aggregatorState = initAggregator(options.aggregator, this.valueSpecs);
    const server =
      options.serverRule === undefined
        ? undefined
        : {
            rule: options.serverRule,
            state: options.serverRule.init(initContext(this.specs.params)),
            specs: this.specs.params,
            phase: 'step',
          };
    this.programs = new AggregationPrograms(
      options.backend,
      {
        aggregator: options.aggregator,
        state: aggregatorState,
        values: this.valueSpecs,
        own: this.peers,
        current: true,
        deltas: this.deltas,
        population: options.clients.length,
        server,
      },
      this.random.split('aggregator'),
    );
    this.#first = {
      ...initialResidents(this.specs, {}, params, variables),
      ...stateValues(aggregatorState, SOURCE.aggregatorState),
      ...stateValues(server?.state ?? {}, SOURCE.serverState, params),
    };
    const trainers = new Map<string, LocalTrainer>();
    const numbers = new Map<object, number>();
    const numberOf = (part: object): number => {
      const known = numbers.get(part) ?? numbers.size;
      numbers.set(part, known);
      return known;
    };
    this.clients = options.clients.map((client) => {
      const { sampler, updateRule: rule = options.updateRule, reward = options.reward } = client;
      let trainer: LocalTrainer | undefined;
      if (sampler !== undefined) {
        const key = JSON.stringify([numberOf(rule), numberOf(reward), sampler.columns, sampler.observe !== undefined]);
        trainer =
          trainers.get(key) ?? new LocalTrainer(options.backend, this.specs, rule, options.model, reward, sampler);
        trainers.set(key, trainer);
      }
      const model = this.peers
        ? { ...withPrefix(params, PREFIX.param), ...withPrefix(variables, PREFIX.variable) }
        : this.meanVariables
          ? {}
          : withPrefix(variables, PREFIX.variable);
      return {
        ...client,
        trainer,
        memory: {
          steps: 0,
          draws: 0,
          rule: this.keep && trainer !== undefined ? trainer.initialState(params) : {},
          model,
          aggregator: this.peers ? stateValues(aggregatorState, SOURCE.aggregatorState) : {},
        },
      };
    });
    this.trainers = [...trainers.values()];
  }

  /** Everything that a checkpoint holds, from the tensors of the server. */
  #tensors(server: Tensors): Record<string, TensorData> {
    const tensors: Record<string, TensorData> = this.peers ? {} : { ...server };
    for (const { id, memory } of this.clients)
      for (const group of GROUPS) Object.assign(tensors, withPrefix(memory[group], groupPrefix(id, group)));
    return tensors;
  }

  async start(): Promise<void> {
    const { options } = this;
    let server = this.#first;
    if (options.checkpoints !== undefined && options.checkpoints.resume !== false) {
      const restored = await restoreCheckpoint(
        options.checkpoints.store,
        this.#tensors(server),
        options.seed ?? 0,
        this.plugins,
      );
      if (restored !== undefined) {
        if (!this.peers) server = mapValues(server, (_, name) => restored.tensors[name] as TensorData);
        this.#restoreClients(restored.name, restored.tensors, restored.samplerState);
        this.round = restored.step;
        this.loss = restored.loss;
        if (this.checkpoints !== undefined) this.checkpoints.last = restored.name;
      }
    }
    this.residents = await options.backend.createState(server);
    // Sources of one aggregate are alike, so that rules that send something must all send the same.
    const forms = await Promise.all(this.trainers.map((trainer) => trainer.extras()));
    const [first = {}] = forms;
    for (const form of forms)
      if (JSON.stringify(form) !== JSON.stringify(first))
        throw new CoreError('pipeline', 'The rules of the clients send different things beside the model.', {
          hint: `One sends ${Object.keys(first).join(', ') || 'nothing'}, another ${Object.keys(form).join(', ') || 'nothing'}: give all clients rules of one method.`,
        });
    this.extras = first;
  }

  #restoreClients(name: string, tensors: Tensors, position: JsonValue): void {
    const stored = (position as { readonly clients?: Readonly<Record<string, unknown>> } | null)?.clients;
    for (const client of this.clients) {
      const kept = stored?.[client.id] as { steps?: unknown; draws?: unknown; sampler?: JsonValue } | undefined;
      if (typeof kept?.steps !== 'number' || typeof kept.draws !== 'number')
        throw new CheckpointError(`The checkpoint "${name}" has no position of the client "${client.id}".`, {
          hint: 'Use another folder, start with resume: false, or give the clients that it was written with.',
        });
      const groups = Object.fromEntries(GROUPS.map((group) => [group, under(tensors, groupPrefix(client.id, group))]));
      client.memory = { ...client.memory, ...groups, steps: kept.steps, draws: kept.draws };
      client.sampler?.restore(kept.sampler ?? null);
    }
  }

  /** Begin to write a checkpoint of where the run stands. */
  async checkpoint(): Promise<void> {
    const { round, loss, plugins, evaluated: metrics, options } = this;
    await this.checkpoints?.begin(round, async () =>
      checkpointOf({
        step: round,
        seed: options.seed ?? 0,
        random: this.random.state(),
        loss,
        samplerState: {
          clients: Object.fromEntries(
            this.clients.map(({ id, memory: { steps, draws }, sampler }) => [
              id,
              { steps, draws, sampler: sampler?.state() ?? null },
            ]),
          ),
        },
        config: options.config ?? null,
        metrics,
        plugins,
        tensors: this.#tensors(await this.residents.read()),
      }),
    );
  }

  /** Who takes part in a round, in the order of the clients. */
  participants(round: number): readonly Client[] {
    const { participation } = this.options;
    if (participation === undefined) return this.clients;
    const total = this.clients.length;
    const count =
      'count' in participation ? participation.count : Math.max(1, countFromRatio(participation.fraction, total));
    const drawn = new Set(this.participation.split(String(round)).permutation(total).slice(0, count));
    return this.clients.filter((_, index) => drawn.has(index));
  }

  async server(): Promise<Tensors> {
    return this.residents.read(Object.keys(this.#first));
  }

  localSteps({ id, sampler }: Client): number {
    const { localEpochs, localSteps = 1 } = this.options;
    if (localEpochs === undefined) return localSteps;
    const { batchesPerEpoch } = sampler ?? {};
    if (batchesPerEpoch === undefined || batchesPerEpoch < 1)
      throw new CoreError(
        'pipeline',
        `The sampler of the client "${id}" does not know how many batches an epoch has.`,
        {
          hint: 'Give localSteps instead of localEpochs.',
        },
      );
    return localEpochs * batchesPerEpoch;
  }

  firstStep(round: number, { memory }: Client): number {
    const count = this.options.countSteps ?? (this.keep ? 'client' : 'round');
    if (count === 'round') return 1;
    return count === 'client' ? memory.steps + 1 : (round - 1) * (this.options.localSteps ?? 1) + 1;
  }

  expected(round: number, clients: readonly Client[]): ExpectedSources {
    return {
      round,
      known: new Set(this.clients.map(({ id }) => id)),
      expected: clients.map(({ id }) => id),
      values: this.valueSpecs,
      variables: this.meanVariables ? this.variableSpecs : {},
      extras: this.extras,
    };
  }

  async result(reason: FederateResult['reason'], evaluation: EvaluationResult | undefined): Promise<FederateResult> {
    const server = this.peers ? {} : await this.server();
    return {
      rounds: this.round,
      params: under(server, PREFIX.param),
      variables: under(server, PREFIX.variable),
      state: under(server, PREFIX.state),
      clients: Object.fromEntries(
        this.clients.map(({ id, memory }): [string, ClientResult] => [
          id,
          {
            params: under(memory.model, PREFIX.param),
            variables: under(memory.model, PREFIX.variable),
            state: under(memory.rule, PREFIX.state),
            steps: memory.steps,
          },
        ]),
      ),
      evaluation,
      reason,
    };
  }

  async dispose(): Promise<void> {
    await this.checkpoints?.settle();
    await this.programs.dispose();
    for (const trainer of this.trainers) await trainer.dispose();
    await (this.residents as ResidentState | undefined)?.dispose();
  }
}

const change = (before: NamedValues<TensorData>, after: NamedValues<TensorData>): Record<string, TensorData> =>
  mapValues(after, (value, name) => {
    const base = (before[name] as TensorData).data as Float32Array;
    const data = (value.data as Float32Array).map((number, index) => number - (base[index] as number));
    return { ...value, data };
  });

/** Weighted means of variables, in float64; what is no float comes from the first source. */
function meanVariables(sources: readonly ClientUpload[]): Record<string, TensorData> {
  const [first] = sources;
  if (first === undefined) return {};
  const total = sources.reduce((sum, { weight }) => sum + weight, 0);
  return mapValues(first.variables, (value, name) => {
    if (value.dataType !== 'float32' && value.dataType !== 'float64') return value;
    const mean = emptyTensor(value.dataType, value.dims);
    for (let index = 0; index < mean.data.length; index++) {
      let sum = 0;
      for (const { variables, weight } of sources)
        sum += weight * ((variables[name] as TensorData).data[index] as number);
      mean.data[index] = sum / total;
    }
    return mean;
  });
}

/** Why sources do not make an aggregate; undefined where they do. */
function tooFew(sources: readonly ClientUpload[], { minimum }: SourcePolicy): string | undefined {
  if (sources.length < minimum) return `${sources.length} of at least ${minimum} sources are there`;
  return sources.some(({ weight }) => weight > 0) ? undefined : 'no source has a weight above 0';
}

/** What local work led to: what is sent, and what the client will remember once the round is over. */
interface LocalOutcome {
  readonly client: Client;
  readonly upload: ClientUpload | undefined;
  readonly memory: Memory;
  /** Model that it received and, with peers, model after local work. */
  readonly received: Tensors;
  readonly trained: Tensors;
  readonly loss: number;
}

/** Local work of one client; undefined when the signal came meanwhile. */
async function work(
  federation: Federation,
  client: Client,
  round: number,
  server: Tensors,
): Promise<(LocalOutcome & { readonly event: FederateEvent | undefined }) | undefined> {
  const { options } = federation;
  const begin = performance.now();
  const { id, trainer, sampler, memory, weight = 1 } = client;
  const model = { ...server, ...memory.model };
  const received = Object.fromEntries(
    Object.entries(model).filter(([name]) => name.startsWith(PREFIX.param) || name.startsWith(PREFIX.variable)),
  );
  const upload = (params: Tensors, variables: Tensors, extras: Tensors, problem?: string): ClientUpload => ({
    client: id,
    version: round,
    values: federation.deltas ? change(under(received, PREFIX.param), params) : params,
    variables: federation.meanVariables ? variables : {},
    extras,
    weight,
    ...(problem === undefined ? {} : { problem }),
  });
  if (trainer === undefined || sampler === undefined) {
    const extras = mapValues(federation.extras, ({ dataType, shape }) =>
      emptyTensor(dataType, shape as readonly number[]),
    );
    const idle = upload(under(received, PREFIX.param), under(received, PREFIX.variable), extras);
    return { client, upload: idle, memory, received, trained: received, loss: Number.NaN, event: undefined };
  }
  const local = await trainer.train({
    round,
    sampler,
    received,
    state: federation.keep ? memory.rule : undefined,
    steps: federation.localSteps(client),
    firstStep: federation.firstStep(round, client),
    draws: memory.draws,
    random: federation.random.split('client').split(id),
    signal: options.signal,
  });
  if (local.aborted) return undefined;
  const counted = { ...memory, steps: memory.steps + local.steps, draws: memory.draws + local.steps };
  const trained = { ...withPrefix(local.params, PREFIX.param), ...withPrefix(local.variables, PREFIX.variable) };
  // A mean over steps is finite only where every step was.
  const problem =
    local.steps > 0 && !Number.isFinite(local.loss)
      ? `its loss is ${local.loss} after ${local.steps} local steps`
      : undefined;
  const sound = local.steps > 0 && problem === undefined;
  return {
    client,
    upload: local.steps === 0 ? undefined : upload(local.params, local.variables, local.extras, problem),
    // A client whose training failed goes on from what it had.
    memory: sound
      ? {
          ...counted,
          rule: federation.keep ? local.state : {},
          model: mapValues(memory.model, (value, name) => trained[name] ?? value),
        }
      : counted,
    received,
    trained,
    loss: local.loss,
    event: {
      type: 'client',
      step: round,
      client: id,
      localSteps: local.steps,
      examples: local.examples,
      loss: local.loss,
      metrics: local.metrics,
      milliseconds: performance.now() - begin,
    },
  };
}

/** What arrives: uploads after the transforms of their clients. */
function transmit(federation: Federation, round: number, outcomes: readonly LocalOutcome[]): readonly ClientUpload[] {
  const honest = outcomes.flatMap(({ client, upload }) =>
    client.transform === undefined && upload !== undefined ? [upload] : [],
  );
  return outcomes.flatMap(({ client, upload, received }) => {
    if (upload === undefined) return [];
    if (client.transform === undefined) return [upload];
    return (
      client.transform(upload, {
        round,
        received: under(received, PREFIX.param),
        honest,
        random: federation.random.split('transform').split(client.id).split(String(round)),
      }) ?? []
    );
  });
}

async function aggregateAtServer(
  federation: Federation,
  round: number,
  arrived: readonly ClientUpload[],
  participants: readonly Client[],
): Promise<AggregationReport> {
  const { policy, residents, programs, extras } = federation;
  const { accepted, reports } = screenSources(arrived, federation.expected(round, participants), policy);
  if (tooFew(accepted, policy) !== undefined)
    return { peer: undefined, sources: [], metrics: {}, outputs: {}, reports };
  const { metrics, outputs } = await programs.run(residents, accepted, extras, round);
  if (federation.meanVariables) await residents.write(withPrefix(meanVariables(accepted), PREFIX.variable));
  return { peer: undefined, sources: accepted.map(({ client }) => client), metrics, outputs, reports };
}

/** What one peer makes of what it receives; the memory that it has after that. */
async function aggregateAtPeer(
  federation: Federation,
  round: number,
  outcome: LocalOutcome,
  arrived: readonly ClientUpload[],
): Promise<{ readonly report: AggregationReport; readonly memory: Memory }> {
  const { policy, residents, programs, extras, options, random } = federation;
  const { client, memory, upload } = outcome;
  const peer = client.id;
  const others = arrived.filter((other) => other?.client !== peer);
  const received =
    options.receive?.({
      peer,
      round,
      uploads: others,
      random: random.split('receive').split(peer).split(String(round)),
    }) ?? others;
  // Its own model comes first, as it is, whatever it told the others.
  const { accepted, reports } = screenSources(
    upload === undefined ? received : [upload, ...received],
    federation.expected(round, [client]),
    policy,
  );
  if (accepted[0]?.client !== peer || tooFew(accepted, policy) !== undefined)
    return { report: { peer, sources: [], metrics: {}, outputs: {}, reports }, memory };
  await residents.write({
    ...withPrefix(under(outcome.received, PREFIX.param), PREFIX.param),
    ...memory.aggregator,
  });
  const { metrics, outputs } = await programs.run(residents, accepted, extras, round);
  const now = await residents.read();
  const variables = federation.meanVariables ? withPrefix(meanVariables(accepted), PREFIX.variable) : {};
  return {
    report: { peer, sources: accepted.map((source) => source.client), metrics, outputs, reports },
    memory: {
      ...memory,
      model: mapValues(
        memory.model,
        (value, name) => variables[name] ?? (name.startsWith(PREFIX.param) ? (now[name] as TensorData) : value),
      ),
      aggregator: mapValues(memory.aggregator, (_, name) => now[name] as TensorData),
    },
  };
}

const reportWarning = (step: number, report: SourceReport): FederateEvent => ({
  type: 'warning',
  step,
  message: `The source "${report.source}" is ${report.problem} in round ${step}: ${report.message}.`,
});

/** Run federated training; yields typed events. */
export async function* runFederation(options: FederateOptions): AsyncGenerator<FederateEvent, FederateResult, void> {
  const federation = new Federation(options);
  const { signal } = options;
  const runBegin = performance.now();
  try {
    await federation.start();
    const firstRound = federation.round + 1;
    yield {
      type: 'run-start',
      device: options.backend.device,
      description: options.backend.description,
      step: federation.round,
      steps: options.rounds,
      seed: options.seed ?? 0,
      parameters: Object.values(federation.specs.params).reduce(
        (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
        0,
      ),
      resumedFrom: federation.checkpoints?.last,
      config: options.config ?? null,
    };
    let reason: FederateResult['reason'] = 'steps';
    for (let round = firstRound; round <= options.rounds; round++) {
      if (signal?.aborted === true || !(yield* runRound(federation, round))) {
        reason = 'aborted';
        break;
      }
      const { checkpoints, evaluation } = options;
      if (checkpoints !== undefined && round % checkpoints.every === 0 && round < options.rounds)
        await federation.checkpoint();
      yield* federation.checkpoints?.completed() ?? [];
      if (evaluation?.every !== undefined && round % evaluation.every === 0 && round < options.rounds)
        yield* runEvaluation(federation);
    }
    let evaluated: EvaluationResult | undefined;
    if (options.evaluation !== undefined && reason !== 'aborted') evaluated = yield* runEvaluation(federation);
    if (options.checkpoints !== undefined && federation.round >= firstRound) {
      await federation.checkpoint();
      await federation.checkpoints?.settle();
      yield* federation.checkpoints?.completed() ?? [];
    }
    const result = await federation.result(reason, evaluated);
    yield {
      type: 'run-end',
      step: federation.round,
      reason,
      loss: federation.loss,
      milliseconds: performance.now() - runBegin,
    };
    return result;
  } finally {
    await federation.dispose();
  }
}

/** One round; false when the signal came and the round was undone. */
async function* runRound(federation: Federation, round: number): AsyncGenerator<FederateEvent, boolean, void> {
  const begin = performance.now();
  const participants = federation.participants(round);
  const positions = participants.map(({ sampler }) => structuredClone(sampler?.state()));
  const server = federation.peers ? {} : await federation.server();
  const outcomes: LocalOutcome[] = [];
  let over = false;
  try {
    for (const client of participants) {
      const outcome = await work(federation, client, round, server);
      if (outcome === undefined) return false;
      outcomes.push(outcome);
      if (outcome.event !== undefined) yield outcome.event;
    }
    const arrived = transmit(federation, round, outcomes);
    const aggregations: AggregationReport[] = [];
    const memories = new Map(outcomes.map(({ client, memory }) => [client, memory]));
    if (federation.peers)
      for (const outcome of outcomes) {
        if (outcome.client.trainer === undefined) continue;
        const { report, memory } = await aggregateAtPeer(federation, round, outcome, arrived);
        aggregations.push(report);
        memories.set(outcome.client, memory);
      }
    else aggregations.push(await aggregateAtServer(federation, round, arrived, participants));
    for (const [client, memory] of memories) client.memory = memory;
    federation.round = round;
    over = true;
    const trained = outcomes.filter(({ loss, client: { weight = 1 } }) => Number.isFinite(loss) && weight > 0);
    const total = trained.reduce((sum, { client: { weight = 1 } }) => sum + weight, 0);
    federation.loss = trained.reduce((sum, { loss, client: { weight = 1 } }) => sum + (weight / total) * loss, 0);
    if (trained.length === 0) federation.loss = Number.NaN;
    for (const { reports, peer, sources } of aggregations) {
      for (const report of reports) yield reportWarning(round, report);
      if (sources.length === 0)
        yield {
          type: 'warning',
          step: round,
          message: `Too few sources${peer === undefined ? '' : ` reached the peer "${peer}"`} in round ${round}: nothing was aggregated.`,
        };
    }
    yield {
      type: 'round',
      step: round,
      steps: federation.options.rounds,
      participants: participants.map(({ id }) => id),
      loss: federation.loss,
      aggregations,
      milliseconds: performance.now() - begin,
    };
    return true;
  } finally {
    // A round that did not end has not been: its draws are given back.
    if (!over)
      participants.forEach(({ sampler }, index) => {
        sampler?.restore(positions[index] as JsonValue);
      });
  }
}

async function* runEvaluation(federation: Federation): AsyncGenerator<FederateEvent, EvaluationResult, void> {
  const { options, round } = federation;
  const { peers, ...evaluation } = options.evaluation as NonNullable<FederateOptions['evaluation']>;
  const measure = (residents: ResidentState | Tensors): Promise<EvaluationResult> =>
    evaluate({
      ...evaluation,
      model: options.model,
      reward: evaluation.reward ?? options.reward,
      backend: options.backend,
      residents,
      seed: options.seed ?? 0,
    });
  if (!federation.peers) {
    const result = await measure(federation.residents);
    federation.evaluated = { loss: result.loss, ...result.metrics };
    yield { type: 'evaluation', step: round, ...result };
    return result;
  }
  const chosen = federation.clients.filter(({ id, transform }) => peers?.includes(id) ?? transform === undefined);
  const results: EvaluationResult[] = [];
  for (const { id, memory } of chosen) {
    const result = await measure({ ...under(memory.model, PREFIX.param), ...under(memory.model, PREFIX.variable) });
    results.push(result);
    yield { type: 'evaluation', step: round, client: id, ...result };
  }
  const mean = (of: (result: EvaluationResult) => number): number =>
    results.reduce((sum, result) => sum + of(result), 0) / results.length;
  const result: EvaluationResult = {
    loss: mean(({ loss }) => loss),
    metrics: mapValues(results[0]?.metrics ?? {}, (_, name) => mean(({ metrics }) => metrics[name] as number)),
    examples: results.reduce((sum, { examples }) => sum + examples, 0),
    milliseconds: results.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    confusion: undefined,
  };
  federation.evaluated = { loss: result.loss, ...result.metrics };
  return result;
}
