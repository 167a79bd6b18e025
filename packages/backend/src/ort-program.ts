import { isStaticShape, type DimAssumption, type TensorData } from '@updraft/graph';
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type { HostTensors, ProfileSummary, Program, ProgramInput, ResidentState } from './backend.js';
import { DisposedError, FeedError, RunError } from './errors.js';
import { checkFeeds } from './feeds.js';
import { allocate, toHost, toRuntime } from './host-tensors.js';
import { OrtState } from './resident-state.js';
import type { Runtime } from './runtime.js';

export interface OrtProgramParts {
  readonly runtime: Runtime;
  readonly session: InferenceSession;
  readonly inputs: readonly ProgramInput[];
  readonly outputs: readonly ProgramInput[];
  readonly assumptions: readonly DimAssumption[];
  readonly resident: readonly string[];
  readonly updates: ReadonlyMap<string, string>;
  /** Give the session back. */
  readonly release: () => Promise<void>;
  readonly profile: (() => ProfileSummary) | undefined;
}

/** A session of ONNX Runtime with its inputs and outputs sorted into resident and host ones. */
export class OrtProgram implements Program {
  readonly inputs: readonly ProgramInput[];
  readonly outputs: readonly ProgramInput[];
  readonly #parts: OrtProgramParts;
  readonly #hostInputs: readonly ProgramInput[];
  /** Buffers of fetched outputs of known shape, written in place at every step. */
  readonly #fetched = new Map<string, Tensor>();
  #disposed = false;

  constructor(parts: OrtProgramParts) {
    this.#parts = parts;
    this.inputs = parts.inputs;
    this.outputs = parts.outputs;
    const resident = new Set(parts.resident);
    this.#hostInputs = parts.inputs.filter(({ name }) => !resident.has(name));
  }

  async run(feeds: HostTensors, fetch?: readonly string[]): Promise<Record<string, TensorData>> {
    this.#checkUsable();
    checkFeeds(this.inputs, feeds, this.#parts.assumptions);
    const inputs: Record<string, Tensor> = {};
    for (const { name } of this.inputs) inputs[name] = toRuntime(this.#parts.runtime.ort, feeds[name] as TensorData);
    const wanted = fetch ?? this.outputs.map(({ name }) => name);
    this.#checkFetch(wanted);
    const results = await this.#execute(inputs, Object.fromEntries(wanted.map((name) => [name, null])));
    const host: Record<string, TensorData> = {};
    for (const name of wanted) host[name] = await this.#download(results[name] as Tensor);
    return host;
  }

  async step(
    state: ResidentState,
    feeds: HostTensors,
    fetch: readonly string[] = [],
  ): Promise<Record<string, TensorData>> {
    this.#checkUsable();
    if (!(state instanceof OrtState) || state.runtime.device !== this.#parts.runtime.device)
      throw new FeedError('The resident state belongs to another backend.', {
        hint: 'Create it with the backend that compiled the program.',
      });
    checkFeeds(this.#hostInputs, feeds, this.#parts.assumptions);
    this.#checkFetch(fetch);
    const { runtime, resident, updates } = this.#parts;
    const inputs: Record<string, Tensor> = {};
    for (const { name } of this.#hostInputs) inputs[name] = toRuntime(runtime.ort, feeds[name] as TensorData);
    for (const name of resident) inputs[name] = state.current(name);
    const fetches: Record<string, Tensor | null> = {};
    for (const [name, output] of updates) fetches[output] = runtime.deviceBuffers ? null : state.spare(name);
    for (const name of fetch) fetches[name] = this.#buffer(name);
    const results = await this.#execute(inputs, fetches);
    for (const [name, output] of updates)
      if (runtime.deviceBuffers) state.replace(name, results[output] as Tensor);
      else state.swap(name);
    const host: Record<string, TensorData> = {};
    for (const name of fetch) host[name] = await this.#download(results[name] as Tensor);
    return host;
  }

  profile(): ProfileSummary | undefined {
    return this.#parts.profile?.();
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#fetched.clear();
    await this.#parts.release();
  }

  #checkUsable(): void {
    if (this.#disposed) throw new DisposedError('program');
  }

  #checkFetch(names: readonly string[]): void {
    for (const name of names)
      if (!this.outputs.some((output) => output.name === name))
        throw new FeedError(`The program has no output "${name}".`, {
          hint: `It has: ${this.outputs.map((output) => output.name).join(', ')}.`,
        });
  }

  /** A buffer to write an output to, where its shape is known; null lets the runtime allocate. */
  #buffer(name: string): Tensor | null {
    const { runtime } = this.#parts;
    if (runtime.deviceBuffers) return null;
    const known = this.#fetched.get(name);
    if (known !== undefined) return known;
    const output = this.outputs.find((candidate) => candidate.name === name);
    if (output === undefined || !isStaticShape(output.shape)) return null;
    const made = allocate(runtime.ort, output.dataType, output.shape);
    this.#fetched.set(name, made);
    return made;
  }

  async #execute(
    feeds: Record<string, Tensor>,
    fetches: Record<string, Tensor | null>,
  ): Promise<Record<string, Tensor>> {
    try {
      return await this.#parts.session.run(feeds, fetches);
    } catch (error) {
      throw new RunError(`ONNX Runtime failed while running the program: ${messageOf(error)}`, { cause: error });
    }
  }

  async #download(value: Tensor): Promise<TensorData> {
    if (value.location === 'cpu') return toHost(value);
    const data = await value.getData(true);
    return { dataType: value.type as 'float32', dims: value.dims, data: data as Float32Array };
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
