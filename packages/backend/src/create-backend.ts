import type { Backend } from './backend.js';
import { NodeModelStore } from './node-model-store.js';
import { nodeProfiler } from './node-profiler.js';
import { nodeRuntimes } from './node-runtimes.js';
import { selectBackend, type BackendOptions } from './select.js';

export interface NodeBackendOptions extends BackendOptions {
  /**
   * Folder that keeps optimised programs for the CPU from process to process, by content; default: none. Programs in it
   * are run, so nobody else should be able to write to it.
   */
  readonly cacheFolder?: string;
  /**
   * Take numbers below 1.2e-38 for zero on the CPU; default: false. Processors compute with them some ten times slower, and
   * training meets them: moments of parameters that no longer get gradients, probabilities of a net that has learnt its data.
   * ONNX Runtime sets this for the calling thread with the first session of the process, so it holds for the arithmetic of
   * JavaScript on that thread as well: give it where the process is yours, before any other session is made.
   */
  readonly flushDenormals?: boolean;
}

/**
 * A backend on the device asked for, or on the fastest one that works (`auto`). Every candidate really runs a small
 * program first; `description` says what was chosen and why the others were not.
 *
 * @throws DeviceUnavailableError when the device cannot run programs here.
 */
export const createBackend = ({
  device = 'auto',
  threads,
  cacheFolder,
  flushDenormals = false,
}: NodeBackendOptions = {}): Promise<Backend> =>
  selectBackend(nodeRuntimes({ threads, flushDenormals }), device, {
    profiler: nodeProfiler,
    models: cacheFolder === undefined ? undefined : new NodeModelStore(cacheFolder),
  });
