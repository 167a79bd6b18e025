import type { Dim, Graph, TensorData } from '@updraft/graph';

/** Where programs can run. */
export type Device = 'webgpu' | 'cuda' | 'cpu';

/** Named host tensors. */
export type HostTensors = Readonly<Record<string, TensorData>>;

export interface CompileOptions {
  /**
   * Inputs that live in a {@link ResidentState}, and for each that the program replaces, the output that does so.
   * A resident input without an entry in `updates` is read only.
   */
  readonly resident?: readonly string[];
  /** Resident input name → output name. */
  readonly updates?: ReadonlyMap<string, string>;
  /** Values of symbolic dimensions, where known when compiling (enables better kernels; feeds must then match). */
  readonly dims?: ReadonlyMap<string, number>;
  /** Collect kernel times for {@link Program.profile}. */
  readonly profile?: boolean;
}

/** Tensors that stay where programs run, shared by any number of programs (phases, evaluation). */
export interface ResidentState {
  readonly names: readonly string[];
  /** Copy tensors to the host; all of them when no names are given. */
  read(names?: readonly string[]): Promise<Record<string, TensorData>>;
  /** Replace tensors (same shape and element type). */
  write(values: HostTensors): Promise<void>;
  readonly bytes: number;
  dispose(): Promise<void>;
}

/** Time of one operator type or one source label, summed over the profiled runs. */
export interface ProfileEntry {
  readonly name: string;
  readonly milliseconds: number;
  readonly calls: number;
}
export interface ProfileSummary {
  readonly runs: number;
  readonly milliseconds: number;
  readonly byOperator: readonly ProfileEntry[];
  /** By the label (plugin, layer) that built the node. */
  readonly bySource: readonly ProfileEntry[];
  readonly byNode: readonly ProfileEntry[];
  /** By execution provider: shows what a device left to the CPU. */
  readonly byProvider: readonly ProfileEntry[];
  /** By operator, those that ran on the CPU: on another device, the ones that it left there. */
  readonly onCpu: readonly ProfileEntry[];
}

export interface ProgramInput {
  readonly name: string;
  readonly dataType: TensorData['dataType'];
  readonly shape: readonly Dim[];
}

/** A compiled graph. */
export interface Program {
  readonly inputs: readonly ProgramInput[];
  readonly outputs: readonly ProgramInput[];
  /** Run without resident state. Feeds are validated before anything native sees them. */
  run(feeds: HostTensors, fetch?: readonly string[]): Promise<Record<string, TensorData>>;
  /**
   * Run on resident state: resident inputs come from `state`, outputs named in `updates` replace them (swapped buffers on
   * CPU, device buffers on WebGPU), `fetch` names the other outputs to return. Outputs not fetched stay on the device.
   * A fetched tensor may be overwritten by the next run of this program: copy what you keep.
   */
  step(state: ResidentState, feeds: HostTensors, fetch?: readonly string[]): Promise<Record<string, TensorData>>;
  profile(): ProfileSummary | undefined;
  dispose(): Promise<void>;
}

/** A device that runs programs. Inject one, or make it with `createBackend`. */
export interface Backend {
  readonly device: Device;
  /** One line: what was chosen and why the others were rejected. */
  readonly description: string;
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  createState(values: HostTensors): Promise<ResidentState>;
  dispose(): Promise<void>;
}
