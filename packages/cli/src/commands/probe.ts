import { createBackend } from '@updraft/backend';
import type { ContractName } from '@updraft/core';
import { Command, Option } from 'commander';
import { collect, wholeNumber } from '../config/flags.js';
import { CliError } from '../errors.js';
import { loadPlugins } from '../plugins.js';
import { parseCases, runCases, type CaseResult } from '../probe/cases.js';
import { parseJson, prettyJson, readJson } from '../probe/read-input.js';
import { inputSchema, Prober } from '../probe/run-probe.js';

interface Flags {
  readonly schema: boolean;
  readonly options?: string;
  readonly steps?: number;
  readonly seed?: number;
  readonly device: 'auto' | 'webgpu' | 'cuda' | 'cpu';
  readonly cases?: string;
  readonly contract?: ContractName;
  readonly package: readonly string[];
  readonly compact: boolean;
}

type Values = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The input with flags laid over it. */
async function inputOf(place: string | undefined, flags: Flags): Promise<Values> {
  const input = await readJson(place);
  if (!isObject(input))
    throw new CliError('The input is no JSON object.', { hint: '"--schema" shows what belongs in it.' });
  const options = flags.options === undefined ? undefined : parseJson(flags.options, '--options');
  if (options !== undefined && !isObject(options)) throw new CliError('--options is no JSON object.');
  return {
    ...input,
    ...(options === undefined ? {} : { options: { ...(input['options'] as object | undefined), ...options } }),
    ...(flags.steps === undefined ? {} : { steps: flags.steps }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
  };
}

const caseLine = ({ name, passed, problems, largestError, at }: CaseResult): string =>
  [
    `${passed ? 'pass' : 'FAIL'}  ${name}${Number.isNaN(largestError) ? '' : `  largest error ${largestError.toPrecision(3)}${at === '' ? '' : ` at ${at}`}`}`,
    ...problems.slice(0, 5).map((problem) => `      ${problem}`),
    ...(problems.length > 5 ? [`      and ${problems.length - 5} more`] : []),
  ].join('\n');

async function printCases(prober: Prober, file: string, plugin: string | undefined, compact: boolean): Promise<void> {
  const cases = parseCases(await readJson(file), `The cases "${file}"`);
  const results: CaseResult[] = [];
  for await (const result of runCases(prober, cases, plugin)) {
    results.push(result);
    process.stdout.write(compact ? `${JSON.stringify(result)}\n` : `${caseLine(result)}\n`);
  }
  const passed = results.filter((result) => result.passed).length;
  const worst = results.reduce((most, { largestError }) => (largestError > most ? largestError : most), 0);
  if (!compact) process.stdout.write(`${passed} of ${results.length} passed, largest error ${worst.toPrecision(3)}\n`);
  if (passed < results.length) process.exitCode = 1;
}

/** `updraft probe` */
export const probeCommand = (): Command =>
  new Command('probe')
    .description('evaluate a plugin, layer or function on numbers given as JSON')
    .argument('[plugin]', 'name of a plugin or package, or package#export')
    .argument('[input]', 'file with the input, the JSON itself, or - for the standard input')
    .option('--schema', 'print the JSON schema of the input', false)
    .option('--options <json>', 'options of the plugin, over those of the input')
    .option('--steps <count>', 'steps to take', wholeNumber)
    .option('--seed <number>', 'seed of everything that is drawn', wholeNumber)
    .addOption(
      new Option('--device <device>', 'where to run').choices(['auto', 'webgpu', 'cuda', 'cpu']).default('cpu'),
    )
    .option('--cases <file>', 'run cases with expected values instead; ends with 1 where one fails')
    .addOption(
      new Option('--contract <contract>', 'where several plugins have the name').choices([
        'update-rule',
        'sampler',
        'reward',
        'aggregator',
      ]),
    )
    .option('--package <package>', 'package or module with further plugins; may be repeated', collect<string>, [])
    .option('--compact', 'print JSON in one line', false)
    .action(async (plugin: string | undefined, place: string | undefined, flags: Flags) => {
      const plugins = await loadPlugins(flags.package);
      if (plugin === undefined && flags.cases === undefined)
        throw new CliError('It is not said what to probe.', {
          hint: 'Name a plugin, as in "updraft probe adam input.json"; "updraft plugins" lists them.',
        });
      const print = (value: unknown): void => {
        process.stdout.write(`${flags.compact ? JSON.stringify(value) : prettyJson(value)}\n`);
      };
      if (flags.schema && plugin !== undefined) {
        print(inputSchema(plugins, plugin, flags.contract));
        return;
      }
      const backend = await createBackend({ device: flags.device });
      try {
        const prober = new Prober(plugins, backend);
        if (flags.cases !== undefined) await printCases(prober, flags.cases, plugin, flags.compact);
        else if (plugin !== undefined) print(await prober.probe(plugin, await inputOf(place, flags), flags.contract));
      } finally {
        await backend.dispose();
      }
    });
