import { Command } from 'commander';
import { configCommand } from './commands/config.js';
import { devicesCommand } from './commands/devices.js';
import { envCommand } from './commands/env.js';
import { evaluateCommand } from './commands/evaluate.js';
import { exportCommand } from './commands/export.js';
import { inspectCommand } from './commands/inspect.js';
import { pluginsCommand } from './commands/plugins.js';
import { probeCommand } from './commands/probe.js';
import { reproduceCommand } from './commands/reproduce.js';
import { trainCommand } from './commands/train.js';
import { VERSION } from './environment.js';

/** The `updraft` command. */
export function createProgram(): Command {
  const program = new Command('updraft').description('Train ONNX models on ONNX Runtime.').version(VERSION);
  for (const command of [
    trainCommand(),
    evaluateCommand(),
    exportCommand(),
    inspectCommand(),
    devicesCommand(),
    pluginsCommand(),
    probeCommand(),
    configCommand(),
    envCommand(),
    reproduceCommand(),
  ])
    program.addCommand(command);
  return program;
}
