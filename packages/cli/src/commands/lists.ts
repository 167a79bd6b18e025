import { createBackend, type Device } from '@updraft/backend';
import { describeOptions, type ContractName } from '@updraft/core';
import { DATASETS, MODELS } from '../catalogue.js';
import { loadPlugins } from '../pipeline.js';

const DEVICES: readonly Device[] = ['webgpu', 'cuda', 'cpu'];

/** Which devices work here, each by really running a program on it. */
export async function devicesCommand(json: boolean): Promise<void> {
  const rows: { device: Device; works: boolean; description: string }[] = [];
  for (const device of DEVICES) {
    try {
      const backend = await createBackend({ device });
      rows.push({ device, works: true, description: backend.description });
      await backend.dispose();
    } catch (error) {
      rows.push({ device, works: false, description: (error as Error).message });
    }
  }
  if (json) process.stdout.write(`${JSON.stringify(rows)}\n`);
  else
    for (const { device, works, description } of rows)
      process.stdout.write(`${works ? '✓' : '✗'} ${device.padEnd(7)} ${description}\n`);
}

/** Installed plugins, reference models and datasets with their options. */
export async function pluginsCommand(options: {
  readonly packages: readonly string[];
  readonly contract?: ContractName;
  readonly pattern: string;
  readonly json: boolean;
}): Promise<void> {
  const registry = await loadPlugins(options.packages);
  const plugins = registry
    .list(options.contract, options.pattern)
    .map(({ name, contract, summary, paper, origin, options: schema }) => ({
      name,
      contract: contract,
      summary,
      paper,
      origin,
      options: describeOptions(schema),
    }));
  const builtIn =
    options.contract === undefined && options.pattern === '*'
      ? [
          ...Object.entries(MODELS).map(([name, entry]) => ({
            name,
            contract: 'model',
            summary: entry.summary,
            options: describeOptions(entry.options),
          })),
          ...Object.entries(DATASETS).map(([name, entry]) => ({
            name,
            contract: 'dataset',
            summary: entry.summary,
            options: describeOptions(entry.options),
          })),
        ]
      : [];
  const rows = [...plugins, ...builtIn];
  if (options.json) {
    process.stdout.write(`${JSON.stringify(rows)}\n`);
    return;
  }
  for (const row of rows) {
    process.stdout.write(`${row.contract.padEnd(12)} ${row.name.padEnd(22)} ${row.summary}\n`);
    for (const option of row.options)
      process.stdout.write(
        `${' '.repeat(14)}${option.name}: ${option.type}${option.default === '' ? '' : ` = ${option.default}`}  ${option.description}\n`,
      );
  }
}
