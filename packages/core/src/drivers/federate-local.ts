import type { Backend, Program, ResidentState } from '@updraft/backend';
import type { TensorData } from '@updraft/graph';
import type { ClientRule } from '../contracts/client-rule.js';
import type { Reward } from '../contracts/reward.js';
import type { Sampler } from '../contracts/sampler.js';
import type { StateSpecs } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import { defaultLinearAlgebra } from '../linear-algebra/index.js';
import type { Model } from '../module/module.js';
import type { ValueSpec } from '../program/aggregation.js';
import type { ModelSpecs } from '../program/model-specs.js';
import { buildRoundProgram, RECEIVED, type RoundProgram } from '../program/round-program.js';
import { PREFIX } from '../program/tracer.js';
import type { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { FeedBuilder } from './feeds.js';
import { initContext, initialResidents, stateValues } from './initial-state.js';
import { copyTensor, under } from './named-tensors.js';
import { bindSizes } from './noise.js';
import { StepPrograms } from './program-cache.js';

/** What one client does in a round. */
export interface LocalWork {
  readonly round: number;
  readonly sampler: Sampler;
  /** Parameters and variables to start from, under the names of residents. */
  readonly received: Readonly<Record<string, TensorData>>;
  /** State of the rule, under the names of residents; undefined for a fresh start. */
  readonly state: Readonly<Record<string, TensorData>> | undefined;
  readonly steps: number;
  /** Number that the rule counts for the first step of this round, from 1. */
  readonly firstStep: number;
  /** Batches that this client drew before. */
  readonly draws: number;
  /** Root of all random numbers of this client. */
  readonly random: RandomStream;
  readonly signal: AbortSignal | undefined;
}

/** What came of it. */
export interface LocalResult {
  readonly params: Readonly<Record<string, TensorData>>;
  readonly variables: Readonly<Record<string, TensorData>>;
  /** State of the rule under the names of residents. */
  readonly state: Readonly<Record<string, TensorData>>;
  readonly extras: Readonly<Record<string, TensorData>>;
  /** Steps taken: fewer than asked for when the sampler ended, the loss was not finite, or the signal came. */
  readonly steps: number;
  readonly examples: number;
  /** Means over the steps. */
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly aborted: boolean;
}

interface Boundary {
  readonly source: RoundProgram;
  readonly program: Program;
}

/**
 * Local training of all clients that share a rule, a reward and the form of their batches: one set of compiled programs
 * and one working copy of the model serve all of them, one after another.
 */
export class LocalTrainer {
  readonly stateSpecs: StateSpecs;
  readonly #programs: StepPrograms;
  readonly #boundaries = new Map<string, Promise<Boundary | undefined>>();
  #residents: ResidentState | undefined;

  constructor(
    readonly backend: Backend,
    readonly specs: ModelSpecs,
    readonly rule: ClientRule,
    model: Model,
    reward: Reward,
    sampler: Sampler,
  ) {
    this.stateSpecs = rule.init(initContext(specs.params));
    this.#programs = new StepPrograms(backend, {
      model,
      specs,
      reward,
      updateRule: rule,
      state: this.stateSpecs,
      columns: sampler.columns,
      perExample: sampler.observe !== undefined,
    });
  }

  /** State of the rule at a client that never took part. */
  initialState(params: NamedValues<TensorData>): Record<string, TensorData> {
    return stateValues(this.stateSpecs, PREFIX.state, params);
  }

  /** Form of what the rule sends beside the model. */
  async extras(): Promise<Record<string, ValueSpec>> {
    const boundary = await this.#boundary('roundEnd');
    return boundary === undefined
      ? {}
      : Object.fromEntries([...boundary.source.uploads].map(([name, { spec }]) => [name, spec]));
  }

  /** Train from the received model, and read back what came of it. */
  async train(work: LocalWork): Promise<LocalResult> {
    const { sampler, round, received, signal } = work;
    const params = under(received, PREFIX.param);
    const start = { ...received, ...(work.state ?? this.initialState(params)) };
    if (this.#residents === undefined)
      this.#residents = await this.backend.createState({ ...initialResidents(this.specs, {}, params), ...start });
    else await this.#residents.write(start);
    const residents = this.#residents;
    const random = work.random.split('round').split(String(round));
    const feeds = new FeedBuilder(random.split('noise'));
    await this.#runBoundary('roundStart', residents, params, round, random);
    const sums: Record<string, number> = {};
    let steps = 0;
    let examples = 0;
    let finite = true;
    while (steps < work.steps && finite && signal?.aborted !== true) {
      const draw = work.draws + steps + 1;
      const batch = await sampler.draw({
        step: draw,
        random: work.random.split('sampler').split(String(draw)),
        values: async () => {
          const now = await residents.read();
          return { ...under(now, PREFIX.param), ...under(now, PREFIX.variable) };
        },
        ...(signal === undefined ? {} : { signal }),
      });
      if (batch === undefined) break;
      const step = work.firstStep + steps;
      const sizes = bindSizes(sampler.columns, batch.columns);
      const phase = this.rule.phase?.(step) ?? 'step';
      const compiled = await this.#programs.get({ phase, monitored: false, sizes, chunked: false });
      const outputs = await compiled.program.step(residents, feeds.build(compiled.step, batch, step, sizes), [
        ...compiled.step.metrics.values(),
        ...compiled.step.perExample.values(),
      ]);
      const metrics = Object.fromEntries(
        [...compiled.step.metrics].map(([name, output]) => [name, Number(outputs[output]?.data[0])]),
      );
      for (const [name, value] of Object.entries(metrics)) sums[name] = (sums[name] ?? 0) + value;
      steps++;
      examples += batch.size;
      const loss = metrics['loss'] as number;
      finite = Number.isFinite(loss);
      await sampler.observe?.({
        step: draw,
        batch,
        loss,
        metrics,
        perExample: Object.fromEntries(
          [...compiled.step.perExample].map(([name, output]) => [name, outputs[output] as TensorData]),
        ),
      });
      batch.release?.();
      if (this.rule.needsHost?.(step) === true) await this.#host(residents, step, metrics, random);
    }
    const extras = await this.#runBoundary('roundEnd', residents, params, round, random);
    const now = await residents.read();
    const { loss = Number.NaN, ...metrics } = mapValues(sums, (sum) => sum / steps);
    return {
      params: under(now, PREFIX.param),
      variables: under(now, PREFIX.variable),
      state: Object.fromEntries(Object.entries(now).filter(([name]) => name.startsWith(PREFIX.state))),
      extras,
      steps,
      examples,
      loss,
      metrics,
      aborted: signal?.aborted === true && steps < work.steps,
    };
  }

  #boundary(name: 'roundStart' | 'roundEnd'): Promise<Boundary | undefined> {
    let known = this.#boundaries.get(name);
    if (known === undefined) {
      const compile = async (): Promise<Boundary | undefined> => {
        const source = buildRoundProgram(this.rule, name, this.specs.params, this.stateSpecs);
        if (source === undefined) return undefined;
        return {
          source,
          program: await this.backend.compile(source.graph, { resident: source.reads, updates: source.updates }),
        };
      };
      known = compile();
      this.#boundaries.set(name, known);
    }
    return known;
  }

  async #runBoundary(
    name: 'roundStart' | 'roundEnd',
    residents: ResidentState,
    received: NamedValues<TensorData>,
    round: number,
    random: RandomStream,
  ): Promise<Record<string, TensorData>> {
    const boundary = await this.#boundary(name);
    if (boundary === undefined) return {};
    const { source, program } = boundary;
    const feeds = new FeedBuilder(random.split(name)).build(source, { columns: {}, size: 0 }, round, new Map());
    for (const param of source.received) feeds[RECEIVED + param] = received[param] as TensorData;
    const uploads = [...source.uploads];
    const outputs = await program.step(
      residents,
      feeds,
      uploads.map(([, { output }]) => output),
    );
    return Object.fromEntries(
      uploads.map(([upload, { output }]) => [upload, copyTensor(outputs[output] as TensorData)]),
    );
  }

  async #host(
    residents: ResidentState,
    step: number,
    metrics: Readonly<Record<string, number>>,
    random: RandomStream,
  ): Promise<void> {
    const read = async (name: string): Promise<TensorData> => {
      const value = (await residents.read([name]))[name];
      if (value === undefined) throw new CoreError('update-rule', `There is no resident tensor "${name}".`);
      return value;
    };
    await this.rule.host?.({
      step,
      metrics,
      linearAlgebra: defaultLinearAlgebra,
      random: random.split('host').split(String(step)),
      readState: (path) => read(PREFIX.state + path),
      writeState: (path, value) => residents.write({ [PREFIX.state + path]: value }),
      readParam: (name) => read(PREFIX.param + name),
      writeParam: (name, value) => residents.write({ [PREFIX.param + name]: value }),
    });
  }

  async dispose(): Promise<void> {
    await this.#programs.dispose();
    for (const boundary of await Promise.allSettled(this.#boundaries.values()))
      if (boundary.status === 'fulfilled') await boundary.value?.program.dispose();
    await this.#residents?.dispose();
  }
}
