import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CONTRACT_VERSION, optionsJsonSchema, pluginMetadata, type PluginMetadata } from '@updraft/core';
import { ContractError } from '../errors.js';
import { parseRecord } from '../experiment/record.js';
import { makeKit, registerKit, SharedBackend, type Check, type TestRunner } from '../kit/contract-kit.js';
import { optionsTable, resultsText } from '../package-text.js';
import { withSection } from './markdown.js';
import { exampleChecks } from './readme-examples.js';

export interface PackageSettings {
  /** Folder of the package: `new URL('..', import.meta.url)` in a test in `src`. */
  readonly folder: URL;
  /** What the package exports: `import * as all from './index.js'`. */
  readonly exports: Readonly<Record<string, unknown>>;
}

const updating = (): boolean => (process.env['UPDATE_README'] ?? '') !== '';

/**
 * What the package of a method owes besides its contract: a package.json that says what it is, a README with a table of
 * every plugin's options and the results of the record, examples that run and print what they say, and the file options.json
 * with the schemas of all options.
 *
 * In the README, tables stand between marks: `<!-- options lion -->` … `<!-- /options lion -->` and `<!-- results -->` …
 * `<!-- /results -->`. With the environment variable UPDATE_README=1 they, and options.json, are written anew instead of compared. Examples
 * are run as {@link exampleChecks} says.
 */
export async function packageChecks({ folder, exports }: PackageSettings): Promise<Check[]> {
  const root = fileURLToPath(folder);
  const readmePath = join(root, 'README.md');
  const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
  const manifest = JSON.parse(await read('package.json')) as Record<string, unknown>;
  const { name = 'this package' } = manifest as { readonly name?: string };
  const slug = name.replace(/^@[^/]*\//, '');
  const plugins = Object.values(exports).flatMap((value) => pluginMetadata(value) ?? []);
  const recordPath = join(root, 'records', `${slug}.json`);

  const section = async (mark: string, expected: string): Promise<void> => {
    const readme = await readFile(readmePath, 'utf8');
    const replaced = withSection(readme, mark, expected);
    if (replaced === undefined)
      throw new ContractError(`The README of ${name} has no section "${mark}".`, {
        hint: `Add the lines <!-- ${mark} --> and <!-- /${mark} -->, then run the tests with UPDATE_README=1.`,
      });
    if (replaced === readme) return;
    if (updating()) await writeFile(readmePath, replaced);
    else
      throw new ContractError(`The section "${mark}" of the README of ${name} is not up to date.`, {
        hint: 'Run the tests with UPDATE_README=1 and look at what changed.',
      });
  };

  return [
    {
      id: 'manifest',
      title: 'package.json says what the package is',
      async run() {
        await Promise.resolve();
        checkManifest(manifest, name, plugins);
      },
    },
    ...plugins.map((metadata) => ({
      id: `options-${metadata.name}`,
      title: `the README has the options of "${metadata.name}" as their schema has them`,
      run: () => section(`options ${metadata.name}`, optionsTable(metadata)),
    })),
    {
      id: 'options-file',
      title: 'options.json has the schemas of all options, so that a change of them shows',
      run: () => optionsFile(join(root, 'options.json'), name, plugins),
    },
    {
      id: 'results',
      title: 'the README has the results of the record',
      ...(existsSync(recordPath) ? {} : { skip: `there is no record yet: updraft reproduce ${slug}` }),
      async run() {
        const record = parseRecord(JSON.parse(await readFile(recordPath, 'utf8')));
        const quick = record.experiments.find((experiment) => experiment.quick || experiment.seeds.length < 3);
        if (record.method !== slug || quick !== undefined)
          throw new ContractError(
            quick === undefined
              ? `The record is of "${record.method}".`
              : `The experiment "${quick.id}" was run with --quick or fewer than 3 seeds, which decides nothing.`,
            { hint: `Run updraft reproduce ${slug}.` },
          );
        await section('results', resultsText(record));
      },
    },
    ...(await exampleChecks(folder)),
  ];
}

/** What options files hold, for reviews, editors and forms: by plugin the JSON schema of its options. */
async function optionsFile(path: string, name: string, plugins: readonly PluginMetadata[]): Promise<void> {
  const schemas = Object.fromEntries(plugins.map((metadata) => [metadata.name, optionsJsonSchema(metadata.options)]));
  const expected = `${JSON.stringify(schemas, undefined, 2)}\n`;
  const found = await readFile(path, 'utf8').catch(() => '');
  if (found === expected) return;
  if (updating()) await writeFile(path, expected);
  else
    throw new ContractError(
      `The file options.json of ${name} ${found === '' ? 'does not exist' : 'is not up to date'}.`,
      {
        hint: 'Run the tests with UPDATE_README=1 and look at what changed.',
      },
    );
}

function checkManifest(
  manifest: Readonly<Record<string, unknown>>,
  name: string,
  plugins: readonly PluginMetadata[],
): void {
  const refuse = (what: string, hint: string): never => {
    throw new ContractError(`The package.json of ${name} ${what}.`, { hint });
  };
  const { updraft, keywords, exports, files, license, description, sideEffects } = manifest as {
    readonly updraft?: { readonly contract?: unknown; readonly contractVersion?: unknown };
    readonly keywords?: readonly string[];
    readonly exports?: Readonly<Record<string, unknown>>;
    readonly files?: readonly string[];
    readonly license?: unknown;
    readonly description?: unknown;
    readonly sideEffects?: unknown;
  };
  if (plugins.length === 0)
    refuse('belongs to a package that exports no plugin', 'Export the class with @plugin({ … }).');
  if (!plugins.some(({ contract }) => contract === updraft?.contract))
    refuse(
      `says that the contract is ${JSON.stringify(updraft?.contract)}, which none of its plugins has`,
      `Its plugins have: ${[...new Set(plugins.map(({ contract }) => contract))].join(', ')}.`,
    );
  if (updraft?.contractVersion !== CONTRACT_VERSION)
    refuse(
      `says that it is built for version ${JSON.stringify(updraft?.contractVersion)} of the contracts`,
      `The tests run with version ${CONTRACT_VERSION}: "updraft": { "contractVersion": ${CONTRACT_VERSION} }.`,
    );
  if (keywords?.includes('updraft-method') !== true)
    refuse('lacks the keyword "updraft-method"', 'By it people find methods.');
  for (const entry of ['.', './experiment', './package.json'])
    if (exports?.[entry] === undefined) refuse(`has no entry "${entry}"`, 'Add it to "exports".');
  for (const pattern of ['options.json', '!**/*.runs.json', '!**/*.quick*'])
    if (files?.includes(pattern) !== true)
      refuse(`lacks "${pattern}" among its files`, 'Schemas are published, runs that are kept for continuing are not.');
  if (typeof license !== 'string' || typeof description !== 'string')
    refuse('lacks a license or a description', 'Add them.');
  if (sideEffects !== false) refuse('does not say "sideEffects": false', 'Importing a plugin changes nothing.');
}

/**
 * Register {@link packageChecks} as tests: `await testPackage({ folder: new URL('..', import.meta.url), exports: all })`.
 * By default the global functions of jest or vitest are used.
 */
export async function testPackage(settings: PackageSettings, runner?: TestRunner): Promise<void> {
  const kit = makeKit('the package', await packageChecks(settings), new SharedBackend(undefined));
  if (runner === undefined) registerKit(kit);
  else registerKit(kit, runner);
}
