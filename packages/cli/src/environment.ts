import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { createBackend, type Device } from '@updraft/backend';
import { UpdraftError } from '@updraft/graph';
import * as ort from 'onnxruntime-node';

/** Version of this package. */
export const VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }
).version;

/** Versions of what runs. */
export const versions = (): Record<string, string> => ({
  updraft: VERSION,
  node: process.versions.node,
  onnxruntime: ort.env.versions.node ?? 'unknown',
});

/** The machine in one line, without its name. */
export function machineClass(): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${process.platform} ${process.arch}, ${cores.length} × ${cores[0]?.model ?? 'CPU'}, ${memory} GiB`;
}

/** Whether a device works here. */
export interface DeviceRow {
  readonly device: Device;
  readonly works: boolean;
  /** What it is where it works; else why it does not. */
  readonly description: string;
}

const DEVICES: readonly Device[] = ['webgpu', 'cuda', 'cpu'];

/** Which devices work here, each by really running a program on it. */
export async function probeDevices(): Promise<DeviceRow[]> {
  const rows: DeviceRow[] = [];
  for (const device of DEVICES) {
    try {
      const backend = await createBackend({ device });
      // `cpu (cpu 150 Gflop/s)`: the name stands before it already.
      const description = /^\w+ \((?:\w+ )?(.*)\)$/.exec(backend.description)?.[1] ?? backend.description;
      await backend.dispose();
      rows.push({ device, works: true, description });
    } catch (error) {
      if (!(error instanceof UpdraftError)) throw error;
      const why = /rejected: (.*?)\.? *$/s.exec(
        error.message.slice(0, error.message.length - (error.hint?.length ?? 0)),
      );
      rows.push({ device, works: false, description: why?.[1] ?? error.message });
    }
  }
  return rows;
}
