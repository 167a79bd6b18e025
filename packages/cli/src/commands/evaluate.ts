import { evaluate } from '@updraft/core';
import { Command } from 'commander';
import { addConfigFlags, type ConfigFlags } from '../config/flags.js';
import { loadRunConfig } from '../config/load-config.js';
import { withPipeline } from '../pipeline.js';
import { RunFolder } from '../run-folder.js';
import { trainedValues } from '../trained-values.js';

interface Flags extends ConfigFlags {
  readonly checkpoint?: string;
  readonly json: boolean;
}

/** `updraft evaluate` */
export const evaluateCommand = (): Command =>
  addConfigFlags(new Command('evaluate'))
    .description('measure a checkpoint on the test set')
    .option('--checkpoint <name>', 'default: the newest')
    .option('--json', 'print the result as JSON', false)
    .action(async (path: string | undefined, flags: Flags) => {
      const config = await loadRunConfig(path, flags);
      await withPipeline(config, async ({ model, reward, evaluationSampler: sampler }, backend) => {
        const { name, values: residents } = await trainedValues(new RunFolder(config.output), model, flags.checkpoint);
        const result = await evaluate({ model, reward, backend, residents, sampler, seed: config.seed });
        if (flags.json) {
          process.stdout.write(`${JSON.stringify({ checkpoint: name, device: backend.device, ...result })}\n`);
          return;
        }
        const figures = Object.entries({ loss: result.loss, ...result.metrics }).map(
          ([key, value]) => `${key} ${value.toFixed(4)}`,
        );
        process.stdout.write(
          `${name} on ${backend.device}: ${figures.join(', ')} over ${result.examples} test examples\n`,
        );
      });
    });
