import { copyGraph, encodeModel, Graph, type DataType } from '@updraft/graph';
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type {
  Backend,
  CompileOptions,
  Device,
  HostTensors,
  ProfileSummary,
  Program,
  ResidentState,
} from './backend.js';
import { CompileError, DisposedError } from './errors.js';
import { executionProvider } from './placement.js';
import { messageOf, OrtProgram } from './ort-program.js';
import { OrtState } from './resident-state.js';
import type { OrtModule, Runtime } from './runtime.js';
import { contentKey, SessionCache } from './session-cache.js';
import { lowerForCpu } from './cpu-lowering.js';
import { lowerForWebgpu } from './webgpu-lowering.js';

/** Where and how profiles of sessions are collected; Node only. */
export interface Profiler {
  readonly sessionOptions: InferenceSession.SessionOptions;
  readonly summarize: (session: InferenceSession) => ProfileSummary;
}

/** Keeps compiled programs from process to process; Node only. */
export interface ModelStore {
  /** A session of a program: from the store where `key` is known, else compiled and stored. */
  create(
    ort: OrtModule,
    key: string,
    bytes: Uint8Array,
    options: InferenceSession.SessionOptions,
  ): Promise<InferenceSession>;
}

/** What only some platforms have. */
export interface BackendTools {
  readonly profiler?: ((graph: Graph) => Profiler) | undefined;
  readonly models?: ModelStore | undefined;
}

/** Rewritings for what a provider runs best, or at all. */
const LOWERINGS: Readonly<Record<string, (graph: Graph) => Graph>> = {
  webgpu: lowerForWebgpu,
  cpu: lowerForCpu,
  wasm: lowerForCpu,
};

/** Runs programs on one device of ONNX Runtime. */
export class OrtBackend implements Backend {
  readonly device: Device;
  readonly #sessions = new SessionCache();
  #disposed = false;

  constructor(
    readonly runtime: Runtime,
    readonly description: string,
    readonly tools: BackendTools = {},
  ) {
    this.device = runtime.device;
  }

  /** Sessions that this backend has compiled so far. */
  get compilations(): number {
    return this.#sessions.compilations;
  }

  async compile(source: Graph, options: CompileOptions = {}): Promise<Program> {
    if (this.#disposed) throw new DisposedError('backend');
    // The copy leaves out what no output needs.
    const { graph: copy } = copyGraph(source, options.dims === undefined ? {} : { dims: options.dims });
    const lower = LOWERINGS[this.runtime.provider];
    const graph = lower === undefined ? copy : lower(copy);
    const bytes = encodeModel(graph, { bare: options.profile !== true });
    const updates = options.updates ?? new Map<string, string>();
    const profiler = options.profile === true ? this.tools.profiler?.(graph) : undefined;
    const sessionOptions: InferenceSession.SessionOptions = {
      ...this.runtime.sessionOptions,
      executionProviders: [executionProvider(this.runtime, graph)],
      ...profiler?.sessionOptions,
      ...(this.runtime.deviceBuffers
        ? {
            preferredOutputLocation: Object.fromEntries(
              [...updates.values()].map((output) => [output, 'gpu-buffer' as const]),
            ),
          }
        : {}),
    };
    const key = await contentKey(bytes, sessionOptions);
    let session: InferenceSession;
    try {
      session = await this.#sessions.acquire(key, () =>
        this.#create(key, bytes, sessionOptions, profiler === undefined),
      );
    } catch (error) {
      throw new CompileError(
        `ONNX Runtime refused the program "${graph.name}" on ${this.device}: ${messageOf(error)}`,
        {
          cause: error,
        },
      );
    }
    const describe = ({ name, dataType, shape }: Graph['inputs'][number]) => ({ name, dataType, shape });
    return new OrtProgram({
      runtime: this.runtime,
      session,
      inputs: graph.inputs.map(describe),
      outputs: graph.outputs.map(describe),
      assumptions: graph.assumptions,
      resident: options.resident ?? [],
      updates,
      release: () => this.#sessions.release(key),
      profile: profiler === undefined ? undefined : () => profiler.summarize(session),
    });
  }

  #create(
    key: string,
    bytes: Uint8Array<ArrayBuffer>,
    options: InferenceSession.SessionOptions,
    storable: boolean,
  ): Promise<InferenceSession> {
    const { ort, device } = this.runtime;
    const { models } = this.tools;
    // Other providers compile nodes to things that no file holds.
    return models !== undefined && storable && device === 'cpu'
      ? models.create(ort, key, bytes, options)
      : ort.InferenceSession.create(bytes, options);
  }

  createState(values: HostTensors): Promise<ResidentState> {
    if (this.#disposed) throw new DisposedError('backend');
    return Promise.resolve(new OrtState(this.runtime, values, (tensors) => this.#download(tensors)));
  }

  /** Device buffers cannot be mapped from every binding: a program of copies brings them to the host everywhere. */
  async #download(tensors: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const graph = new Graph('download');
    const outputs = new Map<string, string>();
    for (const [name, { type, dims }] of Object.entries(tensors))
      outputs.set(name, graph.output(graph.input(name, type as DataType, dims).identity(), `host/${name}`).name);
    const bytes = encodeModel(graph, { bare: true });
    const options = { ...this.runtime.sessionOptions, executionProviders: [this.runtime.provider] };
    const key = await contentKey(bytes, options);
    const session = await this.#sessions.acquire(key, () => this.runtime.ort.InferenceSession.create(bytes, options));
    try {
      const results = (await session.run(tensors)) as Record<string, Tensor>;
      return Object.fromEntries([...outputs].map(([name, output]) => [name, results[output] as Tensor]));
    } finally {
      await this.#sessions.release(key);
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#sessions.dispose();
  }
}
