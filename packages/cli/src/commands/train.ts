import { Command } from 'commander';
import { addConfigFlags, type ConfigFlags } from '../config/flags.js';
import { loadConfig } from '../config/load-config.js';
import { stoppable } from '../interrupt.js';
import { humanOutput, jsonOutput } from '../train/output.js';
import { runTraining } from '../train/run-training.js';

interface Flags extends ConfigFlags {
  readonly json: boolean;
  readonly fresh: boolean;
}

/** `updraft train` */
export const trainCommand = (): Command =>
  addConfigFlags(new Command('train'))
    .description('train a model; the same command continues an interrupted run')
    .option('--json', 'print events as JSON lines', false)
    .option('--fresh', 'start again; an earlier run in the output folder is set aside', false)
    .action(async (path: string | undefined, flags: Flags) => {
      const config = await loadConfig(path, flags);
      await stoppable((signal) =>
        runTraining({
          config,
          fresh: flags.fresh,
          command: ['updraft', ...process.argv.slice(2).map(quoted)].join(' '),
          signal,
          output: (flags.json ? jsonOutput : humanOutput)(process.stdout),
        }),
      );
    });

/** An argument as a shell takes it. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
