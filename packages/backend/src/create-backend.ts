import type { Backend } from './backend.js';
import { nodeProfiler } from './node-profiler.js';
import { nodeRuntimes } from './node-runtimes.js';
import { selectBackend, type BackendOptions } from './select.js';

/**
 * A backend on the device asked for, or on the fastest one that works (`auto`). Every candidate really runs a small
 * program first; `description` says what was chosen and why the others were not.
 *
 * @throws DeviceUnavailableError when the device cannot run programs here.
 */
export const createBackend = ({ device = 'auto', threads }: BackendOptions = {}): Promise<Backend> =>
  selectBackend(nodeRuntimes(threads), device, nodeProfiler);
