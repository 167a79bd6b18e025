import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
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

/** Without a Vulkan loader and a driver the runtime writes warnings and gives up: say so instead. */
function vulkanMissing(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const folders = [...LIBRARY_FOLDERS, ...paths('LD_LIBRARY_PATH')];
  if (!folders.some((folder) => existsSync(join(folder, 'libvulkan.so.1'))))
    return 'there is no Vulkan loader (libvulkan.so.1)';
  return hasVulkanDriver() ? undefined : 'there is no Vulkan driver';
}

const paths = (variable: string, otherwise = ''): string[] =>
  (process.env[variable] || otherwise).split(':').filter((path) => path !== '');

/** Whether a driver is where the Vulkan loader looks for one (LoaderDriverInterface.md of the Khronos loader). */
function hasVulkanDriver(): boolean {
  const given = [...paths('VK_DRIVER_FILES'), ...paths('VK_ICD_FILENAMES'), ...paths('VK_ADD_DRIVER_FILES')];
  if (given.length > 0) return given.some(existsSync);
  const home = homedir();
  return [
    ...paths('XDG_CONFIG_HOME', join(home, '.config')),
    ...paths('XDG_CONFIG_DIRS', '/etc/xdg'),
    '/etc',
    '/usr/local/etc',
    ...paths('XDG_DATA_HOME', join(home, '.local/share')),
    ...paths('XDG_DATA_DIRS', '/usr/local/share:/usr/share'),
  ].some((folder) => existsSync(join(folder, 'vulkan/icd.d')));
}

/** The CUDA libraries come with the install script of onnxruntime-node, which is off by default. */
function cudaMissing(): string | undefined {
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const library = join(root, 'bin', 'napi-v6', process.platform, process.arch, 'libonnxruntime_providers_cuda.so');
  return existsSync(library) ? undefined : 'the CUDA libraries of onnxruntime-node are not installed';
}

/** Devices that onnxruntime-node was built for, whether or not this machine has them. */
export function nodeRuntimes({
  threads,
  flushDenormals,
}: {
  readonly threads: number | undefined;
  readonly flushDenormals: boolean;
}): Runtime[] {
  const built = new Set(ort.listSupportedBackends().map(({ name }) => name));
  const common = {
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    ...(flushDenormals ? { extra: { session: { set_denormal_as_zero: '1' } } } : {}),
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
