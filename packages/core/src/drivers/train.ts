import type { Backend, ResidentState } from '@updraft/backend';
import type { TensorData } from '@updraft/graph';
import type { CheckpointStore, PluginRecord } from '../checkpoint/index.js';
import type { Reward } from '../contracts/reward.js';
import type { Batch, JsonValue, Sampler } from '../contracts/sampler.js';
import type { StateSpecs, UpdateRule } from '../contracts/update-rule.js';
import { CoreError, NonFiniteError } from '../errors.js';
import type { TrainEvent } from '../events/index.js';
import { defaultLinearAlgebra } from '../linear-algebra/index.js';
import type { Model } from '../module/module.js';
import { modelSpecs, type ModelSpecs } from '../program/model-specs.js';
import { PREFIX } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import type { NamedValues } from '../tree.js';
import { evaluate, type EvaluationOptions, type EvaluationResult } from './evaluate.js';
import { FeedBuilder } from './feeds.js';
import { initContext, initialParameters, initialResidents } from './initial-state.js';
import { bindSizes } from './noise.js';
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

interface DrawnBatch {
  readonly batch: Batch;
  /** State of the sampler right after the draw, for checkpoints at this step. */
  readonly samplerState: JsonValue;
}

/** One training run: everything between the first event and the last. */
class Training {
  readonly specs: ModelSpecs;
  readonly stateSpecs: StateSpecs;
  readonly random: RandomStream;
  readonly programs: StepPrograms;
  readonly feeds: FeedBuilder;
  readonly checkpoints: CheckpointWriter | undefined;
  readonly plugins: readonly PluginRecord[];
  /** Metrics of the newest evaluation. */
  evaluated: Readonly<Record<string, number>> | undefined;
  residents!: ResidentState;
  step = 0;
  loss = Number.NaN;
  samplerState: JsonValue = null;

  constructor(readonly options: TrainOptions) {
    if (!Number.isSafeInteger(options.steps) || options.steps < 1)
      throw new CoreError('options', `steps is ${options.steps}.`, { hint: 'Give a positive integer.' });
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

  async draw(step: number): Promise<DrawnBatch | undefined> {
    const { sampler, signal } = this.options;
    const batch = await sampler.draw({
      step,
      random: this.random.split('sampler').split(String(step)),
      ...(signal === undefined ? {} : { signal }),
    });
    return batch === undefined ? undefined : { batch, samplerState: sampler.state() };
  }

  phase(step: number): string {
    return this.options.updateRule.phase?.(step) ?? 'step';
  }

  monitored(step: number): boolean {
    const every = this.options.monitorEvery ?? 0;
    return every > 0 && (step === 1 || step % every === 0);
  }

  async result(reason: TrainResult['reason'], evaluation: EvaluationResult | undefined): Promise<TrainResult> {
    const tensors = await this.residents.read();
    const under = (prefix: string): Record<string, TensorData> =>
      Object.fromEntries(
        Object.entries(tensors)
          .filter(([name]) => name.startsWith(prefix))
          .map(([name, value]) => [name.slice(prefix.length), value]),
      );
    return {
      steps: this.step,
      params: under(PREFIX.param),
      variables: under(PREFIX.variable),
      state: under(PREFIX.state),
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
  // A sampler that learns from feedback must see it before it draws again.
  const ahead = sampler.observe === undefined;
  let next: Promise<DrawnBatch | undefined> | undefined;
  try {
    for (let step = firstStep; step <= options.steps; step++) {
      if (signal?.aborted === true) {
        reason = 'aborted';
        break;
      }
      const stepStart = performance.now();
      const drawn = await (next ?? training.draw(step));
      next = undefined;
      if (drawn === undefined) {
        reason = 'sampler-ended';
        break;
      }
      const drawMilliseconds = performance.now() - stepStart;
      const { batch } = drawn;
      const sizes = bindSizes(sampler.columns, batch.columns);
      const phase = training.phase(step);
      const monitored = training.monitored(step);
      const compiles = !training.programs.has(phase, monitored, sizes);
      const compiled = await training.programs.get(phase, monitored, sizes);
      if (compiles)
        yield {
          type: 'compile',
          step,
          phase,
          monitored,
          milliseconds: compiled.milliseconds,
          nodes: compiled.step.graph.nodes.length,
        };
      const feeds = training.feeds.build(compiled.step, batch, step, sizes);
      const runBegin = performance.now();
      const running = compiled.program.step(training.residents, feeds, outputNames(compiled));
      if (ahead && step < options.steps) {
        next = training.draw(step + 1);
        // Looked at when its turn comes; an early failure must not count as unhandled.
        next.catch(() => undefined);
      }
      const outputs = await running;
      const runMilliseconds = performance.now() - runBegin;
      training.step = step;
      training.samplerState = drawn.samplerState;
      const metrics = readMetrics(compiled, outputs);
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
        scalars: training.feeds.scalars,
        batchSize: batch.size,
        milliseconds: performance.now() - stepStart,
        runMilliseconds,
        drawMilliseconds,
      };
      const { checkpoints, evaluation } = options;
      if (checkpoints !== undefined && step % checkpoints.every === 0 && step < options.steps) {
        await training.checkpoint();
      }
      yield* training.checkpoints?.completed() ?? [];
      if (evaluation?.every !== undefined && step % evaluation.every === 0 && step < options.steps) {
        const result = await evaluateNow(training, evaluation);
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
    await next?.then(
      (drawn) => drawn?.batch.release?.(),
      () => undefined,
    );
    await training.programs.dispose();
    await training.residents.dispose();
  }
}

const outputNames = ({ step }: CompiledStep): readonly string[] => [
  ...step.metrics.values(),
  ...step.perExample.values(),
];

function readMetrics({ step }: CompiledStep, outputs: Readonly<Record<string, TensorData>>): Record<string, number> {
  const metrics: Record<string, number> = {};
  for (const [name, output] of step.metrics) metrics[name] = Number(outputs[output]?.data[0]);
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

/** A run in progress: iterate it for its events, or await `result()`; both may be done. */
export class TrainRun implements AsyncIterable<TrainEvent> {
  readonly #events: AsyncGenerator<TrainEvent, TrainResult, void>;
  #result: TrainResult | undefined;

  constructor(options: TrainOptions) {
    this.#events = runTraining(options);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TrainEvent> {
    try {
      for (;;) {
        const next = await this.#events.next();
        if (next.done === true) {
          this.#result = next.value ?? this.#result;
          return;
        }
        yield next.value;
      }
    } finally {
      // Leaving the loop early ends the run and frees its memory.
      if (this.#result === undefined) await this.#events.return(undefined as never);
    }
  }

  /** Run to the end and give the trained tensors. */
  async result(): Promise<TrainResult> {
    while (this.#result === undefined) {
      const next = await this.#events.next();
      if (next.done !== true) continue;
      if (next.value === undefined)
        throw new CoreError('run', 'The run was left before its end, so it has no result.', {
          hint: 'Iterate its events to the end, or await result() instead.',
        });
      this.#result = next.value;
    }
    return this.#result;
  }
}

/** Train a model: `for await (const event of train({...}))`, or `await train({...}).result()`. */
export const train = (options: TrainOptions): TrainRun => new TrainRun(options);
