import { describeOptions, type OptionRow } from '@updraft/core';
import { Command, Option } from 'commander';
import type { z } from 'zod';
import { DATASETS } from '../catalogue/datasets.js';
import { MODELS } from '../catalogue/models.js';
import { collect } from '../config/flags.js';
import { CliError } from '../errors.js';
import { loadPlugins } from '../plugins.js';

const KINDS = ['update-rule', 'sampler', 'reward', 'aggregator', 'model', 'dataset'] as const;
type Kind = (typeof KINDS)[number];

interface Row {
  readonly name: string;
  /** Contract of a plugin, or what else it is. */
  readonly contract: Kind;
  readonly summary: string;
  readonly paper?: string;
  readonly origin: string;
  readonly options: readonly OptionRow[];
}

/** Plugins of installed packages, reference models and datasets. */
async function rows(packages: readonly string[]): Promise<Row[]> {
  const catalogue = (
    contract: Kind,
    entries: Readonly<Record<string, { readonly summary: string; readonly options: z.ZodObject }>>,
  ): Row[] =>
    Object.entries(entries).map(([name, { summary, options }]) => ({
      name,
      contract,
      summary,
      origin: '@updraft/cli',
      options: describeOptions(options),
    }));
  const installed = await loadPlugins(packages);
  for (const { message } of installed.refusals) process.stderr.write(`Left out: ${message}\n`);
  const plugins = installed.list().map(({ name, contract, summary, paper, origin, options }) => ({
    name,
    contract,
    summary,
    ...(paper === undefined ? {} : { paper }),
    origin,
    options: describeOptions(options),
  }));
  return [...plugins, ...catalogue('model', MODELS), ...catalogue('dataset', DATASETS)].sort(
    (a, b) => KINDS.indexOf(a.contract) - KINDS.indexOf(b.contract) || (a.name < b.name ? -1 : 1),
  );
}

/** Whether a name fits a pattern in which `*` stands for any characters. */
function fits(name: string, pattern: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[^\w-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(name);
}

const optionText = ({ name, type, range, default: value, required, description }: OptionRow): string =>
  `${' '.repeat(14)}${name}: ${type}${range === '' ? '' : `, ${range}`}${value === '' ? (required ? ' (required)' : '') : ` = ${value}`}  ${description}\n`;

interface Flags {
  readonly contract?: Kind;
  readonly plugin: readonly string[];
  readonly json: boolean;
}

/** `updraft plugins` */
export const pluginsCommand = (): Command =>
  new Command('plugins')
    .description('list plugins, models and datasets with their options')
    .argument('[pattern]', 'name, with * for anything', '*')
    .addOption(new Option('--contract <contract>', 'only these').choices(KINDS))
    .option('--plugin <package>', 'package or module with further plugins; may be repeated', collect<string>, [])
    .option('--json', 'print as JSON', false)
    .action(async (pattern: string, { contract, plugin, json }: Flags) => {
      const all = await rows(plugin);
      const found = all.filter(
        (row) => fits(row.name, pattern) && (contract === undefined || row.contract === contract),
      );
      if (json) {
        process.stdout.write(`${JSON.stringify(found)}\n`);
        return;
      }
      if (found.length === 0)
        throw new CliError(`No ${contract ?? 'plugin, model or dataset'} is named "${pattern}".`, {
          hint: 'Run "updraft plugins" for all of them.',
        });
      for (const { contract: kind, name, summary, paper, options } of found) {
        process.stdout.write(
          `${kind.padEnd(12)} ${name.padEnd(22)} ${summary}${paper === undefined ? '' : ` (${paper})`}\n`,
        );
        for (const option of options) process.stdout.write(optionText(option));
      }
    });
