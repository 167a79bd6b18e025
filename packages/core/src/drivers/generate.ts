import type { Backend, Program, ResidentState } from '@updraft/backend';
import { emptyTensor, type TensorData } from '@updraft/graph';
import type { GenerationSampler } from '../contracts/generation-sampler.js';
import type { StateSpecs } from '../contracts/update-rule.js';
import { CoreError, NonFiniteError } from '../errors.js';
import type { GenerateEvent } from '../events/index.js';
import type { Model } from '../module/module.js';
import type { NoiseDistribution } from '../module/scope.js';
import { buildGenerationProgram, INPUT, modelValue, type GenerationProgram } from '../program/generation-program.js';
import { modelSpecs, type ModelSpecs } from '../program/model-specs.js';
import { PREFIX } from '../program/tracer.js';
import { RandomStream } from '../random/index.js';
import { mapValues, type NamedValues } from '../tree.js';
import { EventRun } from './event-run.js';
import { specsOf } from './federate-sources.js';
import { FeedBuilder } from './feeds.js';
import { stateValues } from './initial-state.js';
import { copyTensor, under, withPrefix } from './named-tensors.js';
import { fillNoise } from './noise.js';

/** A model that generates, and its values. */
export interface GenerationModel {
  readonly model: Model;
  /** Parameters and variables by name: `{ ...result.params, ...result.variables }`. */
  readonly values: NamedValues<TensorData>;
}

/** What generates: models and a sampler. */
export interface GeneratorOptions {
  /** By the names that the sampler calls them. */
  readonly models: NamedValues<GenerationModel>;
  readonly sampler: GenerationSampler;
  readonly backend: Backend;
}

/** One generation. */
export interface GenerationRequest {
  /** Conditioning, by the names that the sampler reads. Its shapes decide those of the result. */
  readonly inputs?: NamedValues<TensorData>;
  /** Seeds all noise. Default 0. */
  readonly seed?: number;
  /** Noise to use instead of drawn one: a tensor for what `init` asks for, a list with one tensor a step for steps. */
  readonly noise?: NamedValues<TensorData | readonly TensorData[]>;
  /**
   * What to keep of every step: names of outputs, `state/<path>` after the step, `noise/<name>`; or everything. Default:
   * nothing.
   */
  readonly record?: 'all' | readonly string[];
  /** Fewer steps than the sampler would take. */
  readonly maximumSteps?: number;
  readonly signal?: AbortSignal;
}

/** What a generation leaves behind. */
export interface GenerateResult {
  readonly steps: number;
  /** Last state of the sampler, by path. */
  readonly state: Readonly<Record<string, TensorData>>;
  /** Outputs of the last step. */
  readonly outputs: Readonly<Record<string, TensorData>>;
  /** What was recorded: for each name one tensor a step. */
  readonly trajectory: Readonly<Record<string, readonly TensorData[]>>;
  readonly reason: 'steps' | 'finished' | 'stopped' | 'aborted';
}

/** A generation in progress: iterate it for its events, or await `result()`. */
export type GenerateRun = EventRun<GenerateEvent, GenerateResult>;

interface Compiled {
  readonly source: GenerationProgram;
  readonly program: Program;
  readonly milliseconds: number;
}

/** State and programs for requests of one form. */
interface Form {
  readonly key: string;
  readonly programs: Map<string, Compiled>;
  readonly residents: ResidentState;
}

/**
 * Generates again and again with compiled programs: requests of one form (names, shapes and types of inputs and state)
 * compile nothing after the first. One request at a time. Dispose it after use.
 */
export class Generator {
  readonly #specs: Readonly<Record<string, ModelSpecs>>;
  #values: Record<string, TensorData> = {};
  #form: Form | undefined;
  #busy = false;

  constructor(readonly options: GeneratorOptions) {
    this.#specs = mapValues(options.models, ({ model }) => modelSpecs(model));
    for (const [name, { values }] of Object.entries(options.models))
      this.#values = { ...this.#values, ...this.#check(name, values) };
  }

  /** Replace the values of a model: those of a policy that has learnt meanwhile. @throws CoreError for values of another model */
  async update(model: string, values: NamedValues<TensorData>): Promise<void> {
    this.#idle();
    const checked = this.#check(model, values);
    this.#values = { ...this.#values, ...checked };
    await this.#form?.residents.write(checked);
  }

  /** Generate once. The seed, the request and the values of the models decide the result. */
  generate(request: GenerationRequest = {}): GenerateRun {
    return new EventRun(this.#run(request));
  }

  async dispose(): Promise<void> {
    const form = this.#form;
    this.#form = undefined;
    for (const { program } of form?.programs.values() ?? []) await program.dispose();
    await form?.residents.dispose();
  }

  #idle(): void {
    if (this.#busy)
      throw new CoreError('generation', 'This generator is in the middle of a request.', {
        hint: 'Await it first, or make another Generator for what runs beside it.',
      });
  }

  /** Values of a model under the names of residents. */
  #check(model: string, values: NamedValues<TensorData>): Record<string, TensorData> {
    const specs = this.#specs[model];
    if (specs === undefined)
      throw new CoreError('generation', `There is no model "${model}".`, {
        hint: `There are: ${Object.keys(this.#specs).join(', ') || 'none'}.`,
      });
    const needed = [
      ...Object.values(specs.params).map(({ name, dataType, shape }) => ({ name, dataType, shape })),
      ...Object.values(specs.variables).map(({ name, initial }) => ({
        name,
        dataType: initial.dataType,
        shape: initial.dims,
      })),
    ];
    return Object.fromEntries(
      needed.map(({ name, dataType, shape }) => {
        const value = values[name];
        if (value?.dataType !== dataType || value.dims.join() !== shape.join())
          throw new CoreError(
            'generation',
            `The value "${name}" of the model "${model}" is ${value === undefined ? 'missing' : `${value.dataType}[${value.dims.join(', ')}]`}; ${dataType}[${shape.join(', ')}] is needed.`,
            { hint: 'Give the params and variables of a training result of this model.' },
          );
        return [modelValue(model, name), value];
      }),
    );
  }

  async #prepare(state: StateSpecs, initial: Readonly<Record<string, TensorData>>): Promise<Form> {
    const key = JSON.stringify(specsOf(initial));
    const residents = { ...this.#values, ...initial };
    if (this.#form?.key === key) await this.#form.residents.write(initial);
    else {
      await this.dispose();
      this.#form = { key, programs: new Map(), residents: await this.options.backend.createState(residents) };
    }
    return this.#form;
  }

  async #compiled(
    form: Form,
    state: StateSpecs,
    inputs: NamedValues<TensorData>,
    phase: string,
  ): Promise<[Compiled, boolean]> {
    const known = form.programs.get(phase);
    if (known !== undefined) return [known, false];
    const begin = performance.now();
    const { models, sampler, backend } = this.options;
    const source = buildGenerationProgram({
      models: mapValues(models, ({ model }) => model),
      sampler,
      inputs: specsOf(inputs),
      state,
      phase,
    });
    const program = await backend.compile(source.graph, { resident: source.reads, updates: source.updates });
    const compiled = { source, program, milliseconds: performance.now() - begin };
    form.programs.set(phase, compiled);
    return [compiled, true];
  }

  async *#run(request: GenerationRequest): AsyncGenerator<GenerateEvent, GenerateResult, void> {
    this.#idle();
    this.#busy = true;
    const begin = performance.now();
    try {
      const { sampler, backend } = this.options;
      const { inputs = {}, seed = 0, signal } = request;
      const steps = stepsOf(sampler, request);
      const random = RandomStream.fromSeed(seed).split('generate');
      const state = sampler.init({
        inputs,
        state: (shape, { initial = 0, dataType = 'float32' } = {}) => ({ kind: 'state', shape, dataType, initial }),
        noise: (name, shape, distribution = 'normal') => initialNoise(request, random, name, shape, distribution),
      });
      const form = await this.#prepare(state, {
        ...stateValues(state, PREFIX.state),
        ...withPrefix(inputs, INPUT),
      });
      const { residents } = form;
      yield { type: 'generation-start', device: backend.device, steps, seed };
      const feeds = new FeedBuilder(random.split('noise'));
      const trajectory: Record<string, TensorData[]> = {};
      let outputs: Record<string, TensorData> = {};
      let reason: GenerateResult['reason'] = 'steps';
      let step = 0;
      while (step < steps && reason === 'steps') {
        if (signal?.aborted === true) {
          reason = 'aborted';
          break;
        }
        const stepBegin = performance.now();
        step++;
        const phase = sampler.phase?.(step) ?? 'step';
        const [{ source, program, milliseconds }, fresh] = await this.#compiled(form, state, inputs, phase);
        if (fresh)
          yield { type: 'compile', step, phase, monitored: false, milliseconds, nodes: source.graph.nodes.length };
        const fed = feeds.build(source, { columns: {}, size: 0 }, step, new Map());
        for (const { name, input } of source.noises) {
          const given = givenNoise(request, name, step);
          if (given !== undefined) fed[input] = given;
        }
        const fetched = await program.step(residents, fed, [
          ...source.outputs.values(),
          ...(source.finished === undefined ? [] : [source.finished]),
        ]);
        // The buffers behind fetched tensors are written again by the next step.
        outputs = Object.fromEntries(
          [...source.outputs].map(([name, output]) => [name, copyTensor(fetched[output] as TensorData)]),
        );
        if (
          source.finished !== undefined &&
          (fetched[source.finished]?.data as Uint8Array).every((value) => value !== 0)
        )
          reason = 'finished';
        let stopped = false;
        await sampler.host?.({
          step,
          outputs,
          random: random.split('host').split(String(step)),
          readState: async (path) => (await residents.read([PREFIX.state + path]))[PREFIX.state + path] as TensorData,
          writeState: (path, value) => residents.write({ [PREFIX.state + path]: value }),
          stop: () => (stopped = true),
        });
        if (stopped) reason = 'stopped';
        await record(request, trajectory, outputs, source, fed, residents);
        yield { type: 'generation-step', step, steps, outputs, milliseconds: performance.now() - stepBegin };
      }
      const last = under(await residents.read(Object.keys(stateValues(state, PREFIX.state))), PREFIX.state);
      refuseNaN(last, step);
      yield { type: 'generation-end', step, reason, milliseconds: performance.now() - begin };
      return { steps: step, state: last, outputs, trajectory, reason };
    } finally {
      this.#busy = false;
    }
  }
}

function stepsOf(sampler: GenerationSampler, { inputs = {}, maximumSteps = Infinity }: GenerationRequest): number {
  const steps = Math.min(sampler.steps(inputs), maximumSteps);
  if (!Number.isSafeInteger(steps) || steps < 1)
    throw new CoreError('generation', `A generation of ${steps} steps was asked for.`, {
      hint: 'Steps are a positive integer.',
    });
  return steps;
}

function initialNoise(
  request: GenerationRequest,
  random: RandomStream,
  name: string,
  shape: readonly number[],
  distribution: NoiseDistribution,
): TensorData<'float32'> {
  const given = request.noise?.[name];
  if (given === undefined) {
    const drawn = emptyTensor('float32', shape);
    fillNoise(drawn.data, distribution, random.split('initial').split(name));
    return drawn;
  }
  if (isList(given))
    throw new CoreError('generation', `The noise "${name}" is drawn once, and a list was given.`, {
      hint: 'Give one tensor.',
    });
  if (given.dataType !== 'float32' || given.dims.join() !== shape.join())
    throw new CoreError(
      'generation',
      `The given noise "${name}" is ${given.dataType}[${given.dims.join(', ')}]; float32[${shape.join(', ')}] is needed.`,
    );
  return given as TensorData<'float32'>;
}

const isList = (value: TensorData | readonly TensorData[]): value is readonly TensorData[] => Array.isArray(value);

function givenNoise(request: GenerationRequest, name: string, step: number): TensorData | undefined {
  const given = request.noise?.[name];
  if (given === undefined) return undefined;
  const value = isList(given) ? given[step - 1] : undefined;
  if (value === undefined)
    throw new CoreError('generation', `The given noise "${name}" has nothing for step ${step}.`, {
      hint: 'Give a list with one tensor for each step.',
    });
  return value;
}

/** Keep what the request wants of a step. */
async function record(
  request: GenerationRequest,
  trajectory: Record<string, TensorData[]>,
  outputs: Readonly<Record<string, TensorData>>,
  source: GenerationProgram,
  fed: Readonly<Record<string, TensorData>>,
  residents: ResidentState,
): Promise<void> {
  if (request.record === undefined) return;
  const states = source.reads.filter((name) => name.startsWith(PREFIX.state));
  const noises = source.noises.map(({ name }) => PREFIX.noise + name);
  const known = [...Object.keys(outputs), ...states, ...noises];
  const wanted = request.record === 'all' ? known : request.record;
  for (const name of wanted) {
    if (!known.includes(name))
      throw new CoreError('generation', `There is nothing named "${name}" to record.`, {
        hint: `There are: ${known.join(', ')}.`,
      });
    const noise = source.noises.find((candidate) => PREFIX.noise + candidate.name === name);
    const value =
      outputs[name] ??
      (noise === undefined
        ? ((await residents.read([name]))[name] as TensorData)
        : copyTensor(fed[noise.input] as TensorData));
    (trajectory[name] ??= []).push(value);
  }
}

/** Infinities may mean something (masks, log-probabilities of 0); NaN never does. */
function refuseNaN(state: Readonly<Record<string, TensorData>>, step: number): void {
  for (const [path, { dataType, data }] of Object.entries(state))
    if (
      (dataType === 'float32' || dataType === 'float64') &&
      (data as Float32Array).some((value) => Number.isNaN(value))
    )
      throw new NonFiniteError(`The state "${path}" of the generation holds NaN after step ${step}.`, {
        hint: 'Record the trajectory to see where it begins: record: "all".',
        details: { state: path, step },
      });
}

/** Generate once: `for await (const event of generate({ … }))`, or `await generate({ … }).result()`. See {@link Generator}. */
export function generate(options: GeneratorOptions & GenerationRequest): GenerateRun {
  return new EventRun(once(options));
}

async function* once(
  options: GeneratorOptions & GenerationRequest,
): AsyncGenerator<GenerateEvent, GenerateResult, void> {
  const generator = new Generator(options);
  const run = generator.generate(options);
  try {
    yield* run;
    return await run.result();
  } finally {
    await generator.dispose();
  }
}
