import * as ort from 'onnxruntime-node';
import type { Runtime } from './runtime.js';

/** Devices that onnxruntime-node was built for, whether or not this machine has them. */
export function nodeRuntimes(threads?: number): Runtime[] {
  const built = new Set(ort.listSupportedBackends().map(({ name }) => name));
  const common = {
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  } as const;
  const all: Runtime[] = [
    { ort, device: 'webgpu', provider: 'webgpu', deviceBuffers: true, sessionOptions: common },
    { ort, device: 'cuda', provider: 'cuda', deviceBuffers: false, sessionOptions: common },
    { ort, device: 'cpu', provider: 'cpu', deviceBuffers: false, sessionOptions: common },
  ];
  return all.filter(({ provider }) => built.has(provider));
}
