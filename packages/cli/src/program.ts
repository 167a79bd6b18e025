import { Command, Option } from 'commander';
import type { ContractName } from '@updraft/core';
import { evaluateCommand, exportCommand } from './commands/evaluate.js';
import { inspectCommand } from './commands/inspect.js';
import { devicesCommand, pluginsCommand } from './commands/lists.js';
import { trainCommand } from './commands/train.js';
import { loadConfig } from './config.js';

interface Overrides {
  readonly steps?: number;
  readonly seed?: number;
  readonly device?: string;
  readonly output?: string;
}

const number = (text: string): number => Number(text);

/** The `updraft` command. */
export function createProgram(signal: AbortSignal): Command {
  const program = new Command('updraft').description('Train ONNX models on ONNX Runtime.').version('0.1.0');
  const configured = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .argument('<config>', 'configuration: JSON, YAML or TypeScript')
      .option('--seed <number>', 'override the seed', number)
      .addOption(new Option('--device <device>', 'override the device').choices(['auto', 'webgpu', 'cuda', 'cpu']))
      .option('--output <folder>', 'override the output folder');
  const overrides = ({ steps, seed, device, output }: Overrides): Record<string, unknown> => ({
    steps,
    seed,
    device,
    output,
  });

  configured('train', 'train a model; the same command continues an interrupted run')
    .option('--steps <number>', 'override the number of steps', number)
    .option('--json', 'print events as JSON lines', false)
    .option('--fresh', 'start again; an earlier run in the output folder is set aside', false)
    .action(async (path: string, options: Overrides & { json: boolean; fresh: boolean }) => {
      const config = await loadConfig(path, overrides(options));
      await trainCommand({
        config,
        json: options.json,
        fresh: options.fresh,
        command: `updraft ${process.argv.slice(2).join(' ')}`,
        signal,
      });
    });
  configured('evaluate', 'measure a checkpoint on the test set')
    .option('--checkpoint <name>', 'default: the newest')
    .option('--json', 'print the result as JSON', false)
    .action(async (path: string, options: Overrides & { checkpoint?: string; json: boolean }) => {
      await evaluateCommand(await loadConfig(path, overrides(options)), options);
    });
  configured('export', 'write a checkpoint as a plain ONNX model')
    .option('--checkpoint <name>', 'default: the newest')
    .option('--to <file>', 'file to write', 'model.onnx')
    .action(async (path: string, options: Overrides & { checkpoint?: string; to: string }) => {
      await exportCommand(await loadConfig(path, overrides(options)), options);
    });
  program
    .command('inspect')
    .description('show what an ONNX file holds and what of it has derivatives')
    .argument('<file>', 'an ONNX model')
    .option('--nodes', 'print every node as well', false)
    .option('--json', 'print as JSON', false)
    .action((path: string, options: { json: boolean; nodes: boolean }) => inspectCommand(path, options));
  program
    .command('devices')
    .description('show which devices work here, and why others do not')
    .option('--json', 'print as JSON', false)
    .action((options: { json: boolean }) => devicesCommand(options.json));
  program
    .command('plugins')
    .description('list plugins, models and datasets with their options')
    .argument('[pattern]', 'name, with * for anything', '*')
    .addOption(new Option('--contract <contract>').choices(['update-rule', 'sampler', 'reward', 'aggregator']))
    .option('--plugin <package...>', 'further plugin packages', [])
    .option('--json', 'print as JSON', false)
    .action((pattern: string, options: { contract?: ContractName; plugin: string[]; json: boolean }) =>
      pluginsCommand({
        packages: options.plugin,
        pattern,
        json: options.json,
        ...(options.contract === undefined ? {} : { contract: options.contract }),
      }),
    );
  return program;
}
