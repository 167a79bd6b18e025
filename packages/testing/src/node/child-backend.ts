import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  DeviceUnavailableError,
  type Backend,
  type Device,
  type HostTensors,
  type Program,
  type ResidentState,
} from '@updraft/backend';
import { encodeModel, UpdraftError, type Graph, type Tensor } from '@updraft/graph';
import type { Requests } from './backend-process.js';

export interface ChildBackendOptions {
  /** Default `webgpu`. */
  readonly device?: Device;
  /** Arguments of Node for the process, where programs are run from TypeScript: `['--import', 'tsx']`. */
  readonly execArgv?: readonly string[];
}

/** Sends requests to the process and gives back what it answers. */
class Line {
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #sent = 0;
  #ended: string | undefined;

  constructor(readonly child: ChildProcess) {
    child.on('message', (answer) => {
      const { id, result, error } = answer as { id: number; result?: unknown; error?: string };
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new UpdraftError('device', error));
    });
    child.on('exit', (code, signal) => {
      this.#ended = `The process of the device has ended (${signal ?? `code ${code ?? 'unknown'}`}).`;
      for (const { reject } of this.#waiting.values()) reject(new UpdraftError('device', this.#ended));
      this.#waiting.clear();
    });
  }

  ask<Result, Name extends keyof Requests = keyof Requests>(call: Name, given: Requests[Name]): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(new UpdraftError('device', this.#ended));
        return;
      }
      const id = ++this.#sent;
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.child.send({ id, call, given });
    });
  }
}

interface ChildState extends ResidentState {
  readonly id: number;
}

/**
 * A backend whose device runs in a process of its own, for kits that compare devices: the native WebGPU device does not
 * survive the workers of test frameworks. Graphs and tensors go there as copies, so it is for correctness, not for speed.
 * It finds the adapter that the environment of this process names.
 *
 * @throws DeviceUnavailableError when the device cannot run programs there.
 */
export async function childBackend({ device = 'webgpu', execArgv = [] }: ChildBackendOptions = {}): Promise<Backend> {
  // Beside this file, in the same language.
  const script = new URL(import.meta.url.replace(/child-backend(\.\w+)$/, 'backend-process$1'));
  const child = fork(fileURLToPath(script), {
    serialization: 'advanced',
    execArgv: [...execArgv],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const line = new Line(child);
  let about: { readonly device: Device; readonly description: string };
  try {
    about = await line.ask('start', { device });
  } catch (error) {
    child.kill();
    throw new DeviceUnavailableError(
      `The device ${device} runs no programs in a process of its own: ${(error as Error).message}`,
    );
  }
  return {
    ...about,
    async compile(graph, { resident, updates } = {}) {
      const compiled = await line.ask<{ program: number; inputs: string[]; outputs: string[] }>('compile', {
        model: encodeModel(graph),
        ...(resident === undefined ? {} : { resident }),
        ...(updates === undefined ? {} : { updates: [...updates] }),
      });
      return programOf(line, graph, compiled);
    },
    createState: (values) => stateOf(line, values),
    async dispose() {
      await line.ask('stop', {});
      if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}

async function stateOf(line: Line, values: HostTensors): Promise<ChildState> {
  const { state, ...facts } = await line.ask<{ state: number; names: string[]; bytes: number }>('createState', {
    values,
  });
  return {
    ...facts,
    id: state,
    read: (names) => line.ask('read', { state, ...(names === undefined ? {} : { names }) }),
    write: (changed) => line.ask('write', { state, values: changed }),
    dispose: () => line.ask('disposeState', { state }),
  };
}

function programOf(
  line: Line,
  graph: Graph,
  { program, inputs, outputs }: { readonly program: number; readonly inputs: string[]; readonly outputs: string[] },
): Program {
  const named = (values: readonly Tensor[], names: readonly string[]): Program['inputs'] =>
    values.filter(({ name }) => names.includes(name)).map(({ name, dataType, shape }) => ({ name, dataType, shape }));
  const fetching = (fetch: readonly string[] | undefined): { fetch?: readonly string[] } =>
    fetch === undefined ? {} : { fetch };
  return {
    inputs: named(graph.inputs, inputs),
    outputs: named(graph.outputs, outputs),
    run: (feeds, fetch) => line.ask('run', { program, feeds, ...fetching(fetch) }),
    step: (state, feeds, fetch) =>
      line.ask('step', { program, state: (state as ChildState).id, feeds, ...fetching(fetch) }),
    profile: () => undefined,
    dispose: () => line.ask('disposeProgram', { program }),
  };
}
