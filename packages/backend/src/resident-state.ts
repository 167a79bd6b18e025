import type { TensorData } from '@updraft/graph';
import type { Tensor } from 'onnxruntime-common';
import type { HostTensors, ResidentState } from './backend.js';
import { DisposedError, FeedError } from './errors.js';
import { allocate, bytesOf, checkStorage, copyOf, toHost, toRuntime } from './host-tensors.js';
import type { Runtime } from './runtime.js';

/** One resident tensor: where it is now and, on the host, the buffer that its next value is written to. */
interface Slot {
  current: Tensor;
  spare: Tensor | undefined;
}

/**
 * Tensors that live where programs run. In host memory every replaced tensor has two buffers that swap after each step:
 * no allocation, no copy. On WebGPU the tensors are device buffers, fed back by reference.
 */
export class OrtState implements ResidentState {
  readonly #slots = new Map<string, Slot>();
  #disposed = false;

  constructor(
    readonly runtime: Runtime,
    values: HostTensors,
    /** Copies device tensors to the host. */
    readonly download: (tensors: Readonly<Record<string, Tensor>>) => Promise<Record<string, Tensor>>,
  ) {
    for (const [name, value] of Object.entries(values)) {
      checkStorage(name, value);
      // A copy: the caller's buffer must not change under the programs, nor theirs under the caller.
      this.#slots.set(name, { current: toRuntime(runtime.ort, copyOf(value)), spare: undefined });
    }
  }

  get names(): readonly string[] {
    return [...this.#slots.keys()];
  }
  get bytes(): number {
    let sum = 0;
    for (const { current, spare } of this.#slots.values()) {
      const size = current.location === 'cpu' ? bytesOf(toHost(current)) : current.size * 4;
      sum += spare === undefined ? size : 2 * size;
    }
    return sum;
  }

  #slot(name: string): Slot {
    if (this.#disposed) throw new DisposedError('resident state');
    const slot = this.#slots.get(name);
    if (slot === undefined)
      throw new FeedError(`The resident state has no tensor "${name}".`, { hint: `It has: ${this.names.join(', ')}.` });
    return slot;
  }

  /** The tensor to feed to a program. */
  current(name: string): Tensor {
    return this.#slot(name).current;
  }

  /** The host buffer that the next value of a tensor is to be written to. */
  spare(name: string): Tensor {
    const slot = this.#slot(name);
    slot.spare ??= allocate(this.runtime.ort, slot.current.type as TensorData['dataType'], slot.current.dims);
    return slot.spare;
  }

  /** After a step in host memory: what was written becomes current. */
  swap(name: string): void {
    const slot = this.#slot(name);
    const written = slot.spare;
    if (written === undefined) return;
    slot.spare = slot.current;
    slot.current = written;
  }

  /** After a step on the device: take over its output, free what it replaces. */
  replace(name: string, value: Tensor): void {
    const slot = this.#slot(name);
    if (slot.current.location !== 'cpu') slot.current.dispose();
    slot.current = value;
  }

  async read(names: readonly string[] = this.names): Promise<Record<string, TensorData>> {
    const current = names.map((name) => [name, this.#slot(name).current] as const);
    const away = Object.fromEntries(current.filter(([, value]) => value.location !== 'cpu'));
    const fetched = Object.keys(away).length === 0 ? {} : await this.download(away);
    const result: Record<string, TensorData> = {};
    for (const [name, value] of current) result[name] = copyOf(toHost(fetched[name] ?? value));
    return result;
  }

  write(values: HostTensors): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      const slot = this.#slot(name);
      if (value.dataType !== slot.current.type || value.dims.join() !== slot.current.dims.join())
        throw new FeedError(
          `The resident tensor "${name}" is ${slot.current.type}[${slot.current.dims.join(', ')}]; ${value.dataType}[${value.dims.join(', ')}] does not fit.`,
        );
      checkStorage(name, value);
    }
    for (const [name, value] of Object.entries(values)) this.replace(name, toRuntime(this.runtime.ort, copyOf(value)));
    return Promise.resolve();
  }

  dispose(): Promise<void> {
    if (!this.#disposed) {
      for (const { current } of this.#slots.values()) if (current.location !== 'cpu') current.dispose();
      this.#slots.clear();
      this.#disposed = true;
    }
    return Promise.resolve();
  }
}
