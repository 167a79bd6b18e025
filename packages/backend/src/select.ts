import type { Backend, Device } from './backend.js';
import { DeviceUnavailableError } from './errors.js';
import { OrtBackend, type BackendTools } from './ort-backend.js';
import { probe, type ProbeResult } from './probe.js';
import type { Runtime } from './runtime.js';

export interface BackendOptions {
  /** `auto` (default) takes the fastest device that really ran a small program. */
  readonly device?: 'auto' | Device;
  /** Threads on the CPU; default: what ONNX Runtime chooses (one per core). */
  readonly threads?: number;
}

const describeResult = (device: Device, result: ProbeResult): string =>
  result.works ? `${device} ${result.gigaflops.toFixed(0)} Gflop/s` : `${device} rejected: ${result.reason}`;

/** Probe the candidates and make a backend of the best one. */
export async function selectBackend(
  candidates: readonly Runtime[],
  device: 'auto' | Device,
  tools?: BackendTools,
): Promise<Backend> {
  const wanted = device === 'auto' ? candidates : candidates.filter((runtime) => runtime.device === device);
  const probed: { runtime: Runtime; result: ProbeResult }[] = [];
  for (const runtime of wanted) probed.push({ runtime, result: await probe(runtime) });
  const working = probed
    .flatMap(({ runtime, result }) => (result.works ? [{ runtime, gigaflops: result.gigaflops }] : []))
    .sort((a, b) => b.gigaflops - a.gigaflops);
  const best = working[0];
  const report = probed.map(({ runtime, result }) => describeResult(runtime.device, result)).join('; ');
  if (best === undefined)
    throw new DeviceUnavailableError(
      device === 'auto'
        ? `No device can run programs here (${report}).`
        : `The device "${device}" cannot be used: ${report || 'this platform does not have it'}.`,
      {
        hint:
          device === 'auto'
            ? 'Check the installation of onnxruntime.'
            : 'Use device "auto" or "cpu"; `updraft devices` shows what works.',
      },
    );
  return new OrtBackend(best.runtime, `${best.runtime.device} (${report})`, tools);
}
