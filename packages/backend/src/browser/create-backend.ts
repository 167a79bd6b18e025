import * as ort from 'onnxruntime-web/webgpu';
import type { Backend } from '../backend.js';
import type { Runtime } from '../runtime.js';
import { selectBackend, type BackendOptions } from '../select.js';

/** As `createBackend` in Node, on onnxruntime-web: WebGPU where the page has an adapter, else WebAssembly. */
export function createBackend({ device = 'auto', threads }: BackendOptions = {}): Promise<Backend> {
  if (threads !== undefined) ort.env.wasm.numThreads = threads;
  const common = { graphOptimizationLevel: 'all', logSeverityLevel: 3 } as const;
  const candidates: Runtime[] = [
    { ort, device: 'webgpu', provider: 'webgpu', deviceBuffers: true, sessionOptions: common },
    { ort, device: 'cpu', provider: 'wasm', deviceBuffers: false, sessionOptions: common },
  ];
  return selectBackend(candidates, device);
}
