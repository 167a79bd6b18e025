import type { Backend, Device, HostTensors, Program, ResidentState } from '@updraft/backend';
import type { TensorData } from '@updraft/graph';
import { PREFIX } from '../program/tracer.js';
import type { NamedValues } from '../tree.js';
import { probeError } from './context.js';
import { ownCopy, readTensor } from './values.js';

/** Noise by name, one tensor a step. */
export type NoiseLists = NamedValues<readonly TensorData[]>;

/** @throws CoreError */
export const readNoise = (given: NamedValues<readonly unknown[]> = {}): NoiseLists =>
  Object.fromEntries(
    Object.entries(given).map(([name, steps]) => [
      name,
      steps.map((json, index) => readTensor(json, `noise.${name}.${index}`).value),
    ]),
  );

/**
 * A device whose programs take noise from lists where these have it: drivers draw noise and feed it like any other input,
 * so that everything else is as in training. Counts the steps that are run, and keeps what noise each of them saw.
 */
export class GivenNoiseBackend implements Backend {
  /** Noise of each step so far, by name. */
  readonly seen: Record<string, TensorData>[] = [];

  constructor(
    readonly inner: Backend,
    readonly given: NoiseLists,
  ) {}
  get device(): Device {
    return this.inner.device;
  }
  get description(): string {
    return this.inner.description;
  }
  async compile(...[graph, options]: Parameters<Backend['compile']>): Promise<Program> {
    const program = await this.inner.compile(graph, options);
    return {
      inputs: program.inputs,
      outputs: program.outputs,
      run: (feeds, fetch) => program.run(this.#replace(feeds), fetch),
      step: (state, feeds, fetch) => program.step(state, this.#replace(feeds), fetch),
      profile: () => program.profile(),
      dispose: () => program.dispose(),
    };
  }
  createState(values: HostTensors): Promise<ResidentState> {
    return this.inner.createState(values);
  }
  dispose(): Promise<void> {
    return this.inner.dispose();
  }

  #replace(feeds: HostTensors): HostTensors {
    const step = this.seen.length;
    const noise: Record<string, TensorData> = {};
    const replaced: Record<string, TensorData> = { ...feeds };
    for (const [input, drawn] of Object.entries(feeds)) {
      if (!input.startsWith(PREFIX.noise)) continue;
      const name = input.slice(PREFIX.noise.length);
      const list = this.given[name];
      if (list !== undefined) replaced[input] = checked(name, list, step, drawn);
      noise[name] = ownCopy(replaced[input] as TensorData);
    }
    this.seen.push(noise);
    return replaced;
  }

  /** Refuse noise that nothing asked for: its name is mistyped. @throws CoreError */
  checkUsed(): void {
    const known = [...new Set(this.seen.flatMap((noise) => Object.keys(noise)))];
    const unused = Object.keys(this.given).find((name) => !known.includes(name));
    if (unused !== undefined)
      throw probeError(
        `Nothing draws the noise "${unused}".`,
        known.length === 0 ? 'Nothing is drawn here at all.' : `Drawn are: ${known.join(', ')}.`,
      );
  }
}

function checked(name: string, list: readonly TensorData[], step: number, drawn: TensorData): TensorData {
  const value = list[step];
  const wanted = `${drawn.dataType}[${drawn.dims.join(', ')}]`;
  if (value === undefined)
    throw probeError(
      `The given noise "${name}" has nothing for step ${step + 1}.`,
      `Give a list with one tensor a step, each ${wanted}.`,
    );
  if (value.dataType !== drawn.dataType || value.dims.join() !== drawn.dims.join())
    throw probeError(
      `The given noise "${name}" is ${value.dataType}[${value.dims.join(', ')}] at step ${step + 1}; ${wanted} is needed.`,
    );
  return value;
}
