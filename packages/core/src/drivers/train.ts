import type { Backend, ResidentState } from '@updraft/backend';
import type { TensorData } from '@updraft/graph';
import type { CheckpointStore, PluginRecord } from '../checkpoint/index.js';
import type { Reward } from '../contracts/reward.js';
import type { JsonValue, Sampler } from '../contracts/sampler.js';
import type { StateSpecs, UpdateRule } from '../contracts/update-rule.js';
import { CoreError, NonFiniteError } from '../errors.js';
import type { TrainEvent } from '../events/index.js';
import { defaultLinearAlgebra } from '../linear-algebra/index.js';
import type { Model } from '../module/module.js';
import { modelSpecs, type ModelSpecs } from '../program/model-specs.js';
import { PREFIX } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import type { NamedValues } from '../tree.js';
import { BatchQueue, equalSizes, type DrawnBatch } from './batch-queue.js';
import { evaluate, type EvaluationOptions, type EvaluationResult } from './evaluate.js';
import { EventRun } from './event-run.js';
import { FeedBuilder } from './feeds.js';
import { initContext, initialParameters, initialResidents } from './initial-state.js';
import { under } from './named-tensors.js';
import { StepPrograms, type CompiledStep } from './program-cache.js';
import { CheckpointWriter } from './checkpoint-writer.js';
import { checkpointOf, pluginRecords, restoreCheckpoint } from './training-checkpoint.js';

/** A training pipeline and how long to run it. */
export interface TrainOptions {
  readonly model: Model;
  readonly sampler: Sampler;
  readonly reward: Reward;
  readonly updateRule: UpdateRule;
  readonly backend: Backend;
  /** Steps to take in total; fewer when the sampler ends. A resumed run continues up to this number. */
  readonly steps: number;
  /** Seeds parameters, sampling and noise. Default 0. */
  readonly seed?: number;
  /** Start from these parameters or variables instead of drawing them. */
  readonly initial?: NamedValues<TensorData>;
  readonly evaluation?: EvaluationOptions & {
    /** Steps between evaluations; default: only at the end. */ readonly every?: number;
  };
  readonly checkpoints?: {
    readonly store: CheckpointStore;
    /** Steps between checkpoints. */
    readonly every: number;
    /** Continue from the newest valid checkpoint of the store, where there is one; else earlier ones are set aside. Default true. */
    readonly resume?: boolean;
  };
  /**
   * Most steps in one call of the device; default `auto`: 16 on CUDA, where outputs return to the host and the state would
   * travel at every step, else 1. A chunk ends early where something happens between two steps: a checkpoint, an
   * evaluation, a visit of the rule to the host, another phase, another batch size. It has one step where the sampler
   * observes. What is computed and reported does not depend on it; an abort waits for the chunk to end.
   */
  readonly chunk?: number | 'auto';
  /** Report gradient and update norms at every n-th step (0: never). Default 0. */
  readonly monitorEvery?: number;
  /** What a NaN or infinite loss does: stop with an error (default), or go on with a warning. */
  readonly onNonFinite?: 'stop' | 'continue';
  /** Kept in checkpoints and events: what the run was configured with. */
  readonly config?: JsonValue;
  readonly signal?: AbortSignal;
}

/** What training leaves behind. */
export interface TrainResult {
  readonly steps: number;
  readonly params: Readonly<Record<string, TensorData>>;
  readonly variables: Readonly<Record<string, TensorData>>;
  /** State of the update rule, by path. */
  readonly state: Readonly<Record<string, TensorData>>;
  readonly loss: number;
  readonly evaluation: EvaluationResult | undefined;
  /** Why the run ended. */
  readonly reason: 'steps' | 'sampler-ended' | 'aborted';
}

/** Steps per call where outputs return to the host. */
const HOST_CHUNK = 16;

/** Element types without one array element per tensor element, or without a fixed size: their steps cannot be laid side by side. */
const UNSTACKABLE: ReadonlySet<string> = new Set(['string', 'int4', 'uint4']);

/** The most steps that a pipeline may take in one call. */
function chunkLimit({ chunk = 'auto', backend, sampler }: TrainOptions): number {
  if (chunk !== 'auto' && (!Number.isSafeInteger(chunk) || chunk < 1))
    throw new CoreError('options', `chunk is ${chunk}.`, { hint: 'Give a positive integer, or "auto".' });
  const single =
    waitsForStep(sampler) || Object.values(sampler.columns).some(({ dataType }) => UNSTACKABLE.has(dataType));
  if (single) return 1;
  return chunk === 'auto' ? (backend.device === 'cuda' ? HOST_CHUNK : 1) : chunk;
}

/** Whether the next batch depends on the step before: such a sampler is not drawn from ahead of time. */
const waitsForStep = ({ observe, followsModel }: Sampler): boolean => observe !== undefined || followsModel === true;

/** One training run: everything between the first event and the last. */
class Training {
  readonly specs: ModelSpecs;
  readonly stateSpecs: StateSpecs;
  readonly random: RandomStream;
  readonly programs: StepPrograms;
  readonly feeds: FeedBuilder;
  readonly checkpoints: CheckpointWriter | undefined;
  readonly plugins: readonly PluginRecord[];
  /** Most steps in one call. */
  readonly chunk: number;
  /** Metrics of the newest evaluation. */
  evaluated: Readonly<Record<string, number>> | undefined;
  residents!: ResidentState;
  step = 0;
  loss = Number.NaN;
  samplerState: JsonValue = null;

  constructor(readonly options: TrainOptions) {
    if (!Number.isSafeInteger(options.steps) || options.steps < 1)
      throw new CoreError('options', `steps is ${options.steps}.`, { hint: 'Give a positive integer.' });
    this.chunk = chunkLimit(options);
    this.random = RandomStream.fromSeed(options.seed ?? 0);
    this.plugins = pluginRecords([options.updateRule, options.reward, options.sampler]);
    this.checkpoints =
      options.checkpoints === undefined
        ? undefined
        : new CheckpointWriter(options.checkpoints.store, options.checkpoints.resume === false);
    this.specs = modelSpecs(options.model);
    this.stateSpecs = options.updateRule.init(initContext(this.specs.params));
    this.programs = new StepPrograms(options.backend, {
      model: options.model,
      specs: this.specs,
      reward: options.reward,
      updateRule: options.updateRule,
      state: this.stateSpecs,
      columns: options.sampler.columns,
      perExample: options.sampler.observe !== undefined,
    });
    this.feeds = new FeedBuilder(this.random.split('noise'));
  }

  async start(): Promise<void> {
    const { options } = this;
    const params = initialParameters(this.specs, this.random.split('parameters'), options.initial);
    const variables = Object.fromEntries(
      Object.entries(options.initial ?? {}).filter(([name]) => this.specs.variables[name] !== undefined),
    );
    let residents = initialResidents(this.specs, this.stateSpecs, params, variables);
    this.samplerState = options.sampler.state();
    if (options.checkpoints !== undefined && options.checkpoints.resume !== false) {
      const restored = await restoreCheckpoint(options.checkpoints.store, residents, options.seed ?? 0, this.plugins);
      if (restored !== undefined) {
        residents = { ...restored.tensors };
        options.sampler.restore(restored.samplerState);
        this.samplerState = restored.samplerState;
        this.step = restored.step;
        this.loss = restored.loss;
        if (this.checkpoints !== undefined) this.checkpoints.last = restored.name;
      }
    }
    this.residents = await options.backend.createState(residents);
  }

  phase(step: number): string {
    return this.options.updateRule.phase?.(step) ?? 'step';
  }

  monitored(step: number): boolean {
    const every = this.options.monitorEvery ?? 0;
    return every > 0 && (step === 1 || step % every === 0);
  }

  evaluatesAt(step: number): boolean {
    const every = this.options.evaluation?.every;
    return every !== undefined && step % every === 0 && step < this.options.steps;
  }

  savesAt(step: number): boolean {
    const every = this.options.checkpoints?.every;
    return every !== undefined && step % every === 0 && step < this.options.steps;
  }

  /** Feeds of a chunk, and the scalars of its steps. */
  feedsOf(
    { step: program, chunked }: CompiledStep,
    chunk: readonly DrawnBatch[],
  ): ReturnType<FeedBuilder['buildChunk']> {
    if (chunked) return this.feeds.buildChunk(program, chunk);
    const [{ batch, step, sizes }] = chunk as readonly [DrawnBatch];
    const feeds = this.feeds.build(program, batch, step, sizes);
    return { feeds, scalars: [this.feeds.scalars] };
  }

  /** Last step of the chunk that begins at a step, as far as numbers of steps decide it. */
  chunkEnd(first: number): number {
    const limit = Math.min(first + this.chunk - 1, this.options.steps);
    const pauses = (step: number): boolean =>
      this.evaluatesAt(step) || this.savesAt(step) || this.options.updateRule.needsHost?.(step) === true;
    const alike = (step: number): boolean =>
      this.phase(step) === this.phase(first) && this.monitored(step) === this.monitored(first);
    let last = first;
    while (last < limit && !pauses(last) && alike(last + 1)) last++;
    return last;
  }

  /** Copies of the parameters and variables as they are. */
  async values(): Promise<Record<string, TensorData>> {
    const names = Object.keys(this.specs.params).map((name) => PREFIX.param + name);
    const variables = Object.keys(this.specs.variables).map((name) => PREFIX.variable + name);
    const tensors = await this.residents.read([...names, ...variables]);
    return { ...under(tensors, PREFIX.param), ...under(tensors, PREFIX.variable) };
  }

  async result(reason: TrainResult['reason'], evaluation: EvaluationResult | undefined): Promise<TrainResult> {
    const tensors = await this.residents.read();
    return {
      steps: this.step,
      params: under(tensors, PREFIX.param),
      variables: under(tensors, PREFIX.variable),
      state: under(tensors, PREFIX.state),
      loss: this.loss,
      evaluation,
      reason,
    };
  }

  /** Begin to write a checkpoint of where the run stands. */
  async checkpoint(): Promise<void> {
    const { step, loss, samplerState, plugins, evaluated: metrics, options } = this;
    await this.checkpoints?.begin(step, async () => {
      const tensors = await this.residents.read();
      if (options.onNonFinite !== 'continue') this.#refuseNonFinite(tensors);
      const random = this.random.state();
      return checkpointOf({
        step,
        seed: options.seed ?? 0,
        random,
        loss,
        samplerState,
        config: options.config ?? null,
        metrics,
        plugins,
        tensors,
      });
    });
  }

  /** A step may break parameters with a loss that was still finite: what cannot be continued from is not kept. */
  #refuseNonFinite(tensors: Readonly<Record<string, TensorData>>): void {
    for (const name of Object.keys(this.specs.params)) {
      const { dataType, data } = tensors[PREFIX.param + name] as TensorData;
      if (dataType !== 'float32' && dataType !== 'float64') continue;
      const values = data as Float32Array;
      for (let index = 0; index < values.length; index++)
        if (!Number.isFinite(values[index]))
          throw nonFiniteError(this, `The parameter "${name}" holds ${values[index]} after step ${this.step}`, name);
    }
  }
}

/** Run a training pipeline; yields typed events and returns the trained tensors. Cancel with the AbortSignal. */
async function* runTraining(options: TrainOptions): AsyncGenerator<TrainEvent, TrainResult, void> {
  const training = new Training(options);
  const { sampler, updateRule, signal } = options;
  const runStart = performance.now();
  await training.start();
  const firstStep = training.step + 1;
  yield {
    type: 'run-start',
    device: options.backend.device,
    description: options.backend.description,
    step: training.step,
    steps: options.steps,
    seed: options.seed ?? 0,
    parameters: Object.values(training.specs.params).reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    ),
    resumedFrom: training.checkpoints?.last,
    config: options.config ?? null,
  };
  let reason: TrainResult['reason'] = 'steps';
  const ahead = waitsForStep(sampler) ? 0 : training.chunk;
  const queue = new BatchQueue(sampler, training.random.split('sampler'), firstStep, options.steps, {
    ...(signal === undefined ? {} : { signal }),
    values: () => training.values(),
  });
  try {
    while (training.step < options.steps) {
      if (signal?.aborted === true) {
        reason = 'aborted';
        break;
      }
      const begin = performance.now();
      const first = training.step + 1;
      const chunk = await takeChunk(queue, training.chunkEnd(first) - training.step);
      const [drawn] = chunk;
      if (drawn === undefined) {
        reason = 'sampler-ended';
        break;
      }
      const drawMilliseconds = performance.now() - begin;
      const alike = { phase: training.phase(first), monitored: training.monitored(first), sizes: drawn.sizes };
      // A last step alone does not need a program of its own where one of many is there.
      const chunked = chunk.length > 1 || training.programs.has({ ...alike, chunked: true });
      const variant = { ...alike, chunked };
      const compiles = !training.programs.has(variant);
      const compiled = await training.programs.get(variant);
      if (compiles)
        yield {
          type: 'compile',
          step: first,
          phase: variant.phase,
          monitored: variant.monitored,
          milliseconds: compiled.milliseconds,
          nodes: compiled.step.graph.nodes.length,
        };
      const { feeds, scalars } = training.feedsOf(compiled, chunk);
      const runBegin = performance.now();
      const running = compiled.program.step(training.residents, feeds, outputNames(compiled));
      queue.ahead(ahead);
      const outputs = await running;
      const runMilliseconds = performance.now() - runBegin;
      const together = performance.now() - begin;
      for (const [index, { step, batch, samplerState }] of chunk.entries()) {
        const stepBegin = performance.now();
        training.step = step;
        training.samplerState = samplerState;
        const metrics = readMetrics(compiled, outputs, index);
        training.loss = metrics['loss'] as number;
        await checkFinite(training, metrics);
        if (sampler.observe !== undefined) {
          await sampler.observe({
            step,
            batch,
            loss: training.loss,
            metrics,
            perExample: readExamples(compiled, outputs),
          });
          training.samplerState = sampler.state();
        }
        batch.release?.();
        if (updateRule.needsHost?.(step) === true) await runHost(training, metrics);
        if (!Number.isFinite(training.loss))
          yield { type: 'warning', step, message: `The loss is ${training.loss} at step ${step}.` };
        yield {
          type: 'step',
          step,
          steps: options.steps,
          loss: training.loss,
          metrics,
          scalars: scalars[index] as Readonly<Record<string, number>>,
          batchSize: batch.size,
          milliseconds: together / chunk.length + performance.now() - stepBegin,
          runMilliseconds: runMilliseconds / chunk.length,
          drawMilliseconds: drawMilliseconds / chunk.length,
        };
      }
      const { step } = training;
      if (training.savesAt(step)) await training.checkpoint();
      yield* training.checkpoints?.completed() ?? [];
      if (options.evaluation !== undefined && training.evaluatesAt(step)) {
        const result = await evaluateNow(training, options.evaluation);
        yield { type: 'evaluation', step, ...result };
      }
    }
    let evaluated: EvaluationResult | undefined;
    if (options.evaluation !== undefined && reason !== 'aborted') {
      evaluated = await evaluateNow(training, options.evaluation);
      yield { type: 'evaluation', step: training.step, ...evaluated };
    }
    if (options.checkpoints !== undefined && training.step >= firstStep) {
      await training.checkpoint();
      await training.checkpoints?.settle();
      yield* training.checkpoints?.completed() ?? [];
    }
    const result = await training.result(reason, evaluated);
    yield {
      type: 'run-end',
      step: training.step,
      reason,
      loss: training.loss,
      milliseconds: performance.now() - runStart,
    };
    return result;
  } finally {
    await training.checkpoints?.settle();
    await queue.dispose();
    await training.programs.dispose();
    await training.residents.dispose();
  }
}

/** Batches of one size for at most so many steps; none once the sampler has ended. */
async function takeChunk(queue: BatchQueue, count: number): Promise<DrawnBatch[]> {
  const chunk: DrawnBatch[] = [];
  while (chunk.length < count) {
    // What ends the chunk, an error too, is met again at the begin of the next one: the steps before it come first.
    const drawn = chunk.length === 0 ? await queue.peek() : await queue.peek().catch(() => undefined);
    if (drawn === undefined || (chunk[0] !== undefined && !equalSizes(chunk[0], drawn))) break;
    queue.take();
    chunk.push(drawn);
  }
  return chunk;
}

const outputNames = ({ step }: CompiledStep): readonly string[] => [
  ...step.metrics.values(),
  ...step.perExample.values(),
];

/** Metrics of one step of a chunk. */
function readMetrics(
  { step }: CompiledStep,
  outputs: Readonly<Record<string, TensorData>>,
  index: number,
): Record<string, number> {
  const metrics: Record<string, number> = {};
  for (const [name, output] of step.metrics) metrics[name] = Number(outputs[output]?.data[index]);
  return metrics;
}

const readExamples = (
  { step }: CompiledStep,
  outputs: Readonly<Record<string, TensorData>>,
): Record<string, TensorData> =>
  Object.fromEntries([...step.perExample].map(([name, output]) => [name, outputs[output] as TensorData]));

async function checkFinite(training: Training, metrics: Readonly<Record<string, number>>): Promise<void> {
  if (training.options.onNonFinite === 'continue' || Number.isFinite(training.loss)) return;
  const others = Object.entries(metrics)
    .filter(([name, value]) => name !== 'loss' && !Number.isFinite(value))
    .map(([name]) => name);
  // One may just be being written.
  await training.checkpoints?.settle();
  const also = others.length > 0 ? ` (so are ${others.slice(0, 5).join(', ')})` : '';
  throw nonFiniteError(training, `The loss is ${training.loss} at step ${training.step}${also}`, 'loss');
}

function nonFiniteError({ step, loss, checkpoints }: Training, what: string, tensor: string): NonFiniteError {
  const last = checkpoints?.last;
  return new NonFiniteError(`${what}.`, {
    hint: `Lower the learning rate, clip gradients, or check the data${last === undefined ? '' : `; the last good checkpoint is "${last}"`}.`,
    details: { step, loss, tensor, lastCheckpoint: last },
  });
}

async function runHost(training: Training, metrics: Readonly<Record<string, number>>): Promise<void> {
  const { residents, step } = training;
  const read = async (name: string): Promise<TensorData> => {
    const value = (await residents.read([name]))[name];
    if (value === undefined) throw new CoreError('update-rule', `There is no resident tensor "${name}".`);
    return value;
  };
  await training.options.updateRule.host?.({
    step,
    metrics,
    linearAlgebra: defaultLinearAlgebra,
    random: training.random.split('host').split(String(step)),
    readState: (path) => read(PREFIX.state + path),
    writeState: (path, value) => residents.write({ [PREFIX.state + path]: value }),
    readParam: (name) => read(PREFIX.param + name),
    writeParam: (name, value) => residents.write({ [PREFIX.param + name]: value }),
  });
}

async function evaluateNow(training: Training, evaluation: EvaluationOptions): Promise<EvaluationResult> {
  const result = await evaluate({
    ...evaluation,
    model: training.options.model,
    reward: evaluation.reward ?? training.options.reward,
    backend: training.options.backend,
    residents: training.residents,
    seed: training.options.seed ?? 0,
  });
  training.evaluated = { loss: result.loss, ...result.metrics };
  return result;
}

/** A training run in progress: iterate it for its events, or await `result()`; both may be done. */
export type TrainRun = EventRun<TrainEvent, TrainResult>;

/** Train a model: `for await (const event of train({...}))`, or `await train({...}).result()`. */
export const train = (options: TrainOptions): TrainRun => new EventRun(runTraining(options));
