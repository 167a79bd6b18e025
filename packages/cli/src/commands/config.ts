import { Command } from 'commander';
import { configJsonSchema, configKeys } from '../config/reference.js';

/** `updraft config` */
export const configCommand = (): Command =>
  new Command('config')
    .description('list every key of a configuration')
    .option('--json', 'print the JSON schema, for editors', false)
    .action(({ json }: { readonly json: boolean }) => {
      if (json) {
        process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
        return;
      }
      for (const { name, type, default: value, description } of configKeys()) {
        const rest = value === 'required' ? ' (required)' : value === '' ? '' : ` = ${value}`;
        process.stdout.write(`${name}: ${type}${rest}\n    ${description}\n`);
      }
    });
