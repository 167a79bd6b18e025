import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type { Runtime } from './runtime.js';

const LIBRARY_FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/lib64',
  '/usr/local/lib',
  '/usr/local/nvidia/lib64',
];

/** Without a Vulkan loader the runtime writes warnings and gives up: say so instead. */
function vulkanMissing(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const folders = [...LIBRARY_FOLDERS, ...(process.env['LD_LIBRARY_PATH'] ?? '').split(':')];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, 'libvulkan.so.1')))
    ? undefined
    : 'there is no Vulkan loader (libvulkan.so.1)';
}

/** The CUDA libraries come with the install script of onnxruntime-node, which is off by default. */
function cudaMissing(): string | undefined {
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const library = join(root, 'bin', 'napi-v6', process.platform, process.arch, 'libonnxruntime_providers_cuda.so');
  return existsSync(library) ? undefined : 'the CUDA libraries of onnxruntime-node are not installed';
}

/** Devices that onnxruntime-node was built for, whether or not this machine has them. */
export function nodeRuntimes(threads?: number): Runtime[] {
  const built = new Set(ort.listSupportedBackends().map(({ name }) => name));
  const common = {
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  } as const;
  const reason = (why: string | undefined) => (why === undefined ? {} : { unavailable: why });
  const all: Runtime[] = [
    {
      ort,
      device: 'webgpu',
      provider: 'webgpu',
      deviceBuffers: true,
      sessionOptions: common,
      ...reason(vulkanMissing()),
    },
    { ort, device: 'cuda', provider: 'cuda', deviceBuffers: false, sessionOptions: common, ...reason(cudaMissing()) },
    { ort, device: 'cpu', provider: 'cpu', deviceBuffers: false, sessionOptions: common },
  ];
  return all.filter(({ provider }) => built.has(provider));
}
