import { exportModel } from '@updraft/core';
import { Command } from 'commander';
import { addConfigFlags, type ConfigFlags } from '../config/flags.js';
import { loadRunConfig } from '../config/load-config.js';
import { configRecord } from '../config/schema.js';
import { withPipeline } from '../pipeline.js';
import { RunFolder } from '../run-folder.js';
import { trainedValues } from '../trained-values.js';
import { writeAtomically } from '../write-atomically.js';

interface Flags extends ConfigFlags {
  readonly checkpoint?: string;
  readonly to: string;
}

/** `updraft export` */
export const exportCommand = (): Command =>
  addConfigFlags(new Command('export'))
    .description('write a checkpoint as a plain ONNX model')
    .option('--checkpoint <name>', 'default: the newest')
    .option('--to <file>', 'file to write', 'model.onnx')
    .action(async (path: string | undefined, flags: Flags) => {
      const config = await loadRunConfig(path, flags);
      // Nothing is computed, so that any device will do; the record keeps the one that was asked for.
      await withPipeline({ ...config, device: 'cpu' }, async ({ model, config: complete }) => {
        const { name, values } = await trainedValues(new RunFolder(config.output), model, flags.checkpoint);
        const record = configRecord({ ...complete, device: config.device });
        const bytes = exportModel(model, { values, metadata: { 'updraft.config': JSON.stringify(record) } });
        await writeAtomically(flags.to, bytes);
        process.stdout.write(`${name} → ${flags.to} (${Math.ceil(bytes.length / 1024)} KiB)\n`);
      });
    });
