// The page of a method, from its README, the schema of its options, its doc comments and its record.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { optionsJsonSchema, pluginMetadata, type PluginMetadata } from '@updraft/core';
import {
  figureText,
  parseRecord,
  settingText,
  type ExperimentRecord,
  type MethodRecord,
} from '@updraft/testing/experiment';
import { root } from '../packages.mjs';
import { docComments } from './doc-comments.js';
import type { MethodFolder } from './pages.js';

/** All that is known of a method. */
export interface MethodFacts extends MethodFolder {
  readonly plugins: readonly PluginMetadata[];
  /** The plugin that has the name of the package, else the first. */
  readonly main: PluginMetadata;
  readonly record: MethodRecord | undefined;
}

/** @throws Error for a package that exports no plugin. */
export async function methodFacts(method: MethodFolder): Promise<MethodFacts> {
  const exports = (await import(pathToFileURL(join(root, method.folder, 'src/index.ts')).href)) as object;
  const plugins = Object.values(exports).flatMap((value) => pluginMetadata(value) ?? []);
  const main = plugins.find(({ name }) => name === method.slug) ?? plugins[0];
  if (main === undefined) throw new Error(`${method.folder} exports no plugin.`);
  const path = join(root, method.folder, 'records', `${method.slug}.json`);
  const record = existsSync(path) ? parseRecord(JSON.parse(readFileSync(path, 'utf8'))) : undefined;
  return { ...method, plugins, main, record };
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

/** Verdicts of a record: `shown`, or how many of each. */
export function verdictText(record: MethodRecord | undefined): string {
  if (record === undefined) return 'no record yet';
  const verdicts = record.experiments.flatMap(({ claims }) => claims.map(({ verdict }) => verdict));
  return [...new Set(verdicts)]
    .map((verdict) => `${verdicts.filter((each) => each === verdict).length} ${verdict}`)
    .join(', ');
}

/** Of every method one row: contract, paper, record, verdict. */
export const overviewTable = (methods: readonly MethodFacts[]): string =>
  table(
    ['method', 'contract', 'what it does', 'paper', 'claims', 'record'],
    methods.map(({ slug, contract, main, record }) => [
      `[${slug}](/methods/${slug}.md)`,
      contract,
      main.summary,
      main.paper ?? '–',
      verdictText(record),
      record === undefined
        ? '–'
        : `[${record.experiments.length === 1 ? '1 experiment' : `${record.experiments.length} experiments`}](/methods/${slug}.md#record)`,
    ]),
  );

/** Markdown of the page; links are relative to the folder of the package, pictures of the record among them. */
export function methodPage(facts: MethodFacts): string {
  const { folder, contract, manifest, main, plugins, record } = facts;
  const readme = readFileSync(join(root, folder, 'README.md'), 'utf8');
  const body = readme.replace(/^# .*\n/, '').replace(/<!-- .*? -->\n?/g, '');
  return [
    `# ${facts.slug}`,
    '',
    table(
      ['contract', 'package', 'plugins', 'paper', 'claims'],
      [
        [
          contract,
          `\`${manifest.name}\` ${manifest.version}`,
          plugins
            .map(({ name, contract: own }) => (own === contract ? `\`${name}\`` : `\`${name}\` (${own})`))
            .join(', '),
          main.paper ?? '–',
          verdictText(record),
        ],
      ],
    ),
    '',
    body.trim(),
    '',
    '## Reference',
    '',
    reference(facts),
    '',
    '## Options as JSON schema',
    '',
    ...plugins.flatMap(({ name, options }) => [
      `::: details ${name}`,
      '```json',
      JSON.stringify(optionsJsonSchema(options), undefined, 2),
      '```',
      ':::',
      '',
    ]),
    '## Record',
    '',
    record === undefined
      ? 'There is no record yet.'
      : record.experiments.map((each) => experimentText(each, facts)).join('\n\n'),
    '',
  ].join('\n');
}

const reference = ({ folder }: MethodFacts): string =>
  docComments(join(root, folder, 'src/index.ts'))
    .filter(({ name, text }) => name !== '' && text !== '')
    .map(({ name, signature, text, throws }) =>
      [
        `### ${name}`,
        '',
        '```ts',
        signature,
        '```',
        '',
        text,
        ...throws.flatMap((each) => ['', `Throws ${each}`]),
      ].join('\n'),
    )
    .join('\n\n');

const numberText = (value: number | string): string => (typeof value === 'number' ? figureText(value) : value);

function experimentText(experiment: ExperimentRecord, { folder, slug }: MethodFacts): string {
  const plot = `records/${slug}-${experiment.id}.svg`;
  const minutes = (experiment.milliseconds / 60_000).toFixed(1);
  const memory =
    experiment.peakMemoryBytes === undefined ? '' : `, at most ${Math.round(experiment.peakMemoryBytes / 2 ** 20)} MiB`;
  return [
    `### ${experiment.title}`,
    '',
    ...(existsSync(join(root, folder, plot)) ? [`![${experiment.title}](${plot})`, ''] : []),
    `Run on ${experiment.machine}, ${experiment.device}; ${minutes} minutes of runs${memory}. Versions: ${Object.entries(
      experiment.versions,
    )
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}. Configuration \`${experiment.configHash.slice(0, 12)}\`, ${experiment.finishedAt.slice(0, 10)}.`,
    '',
    `Sizes: ${settingText(experiment.workload)}. Settings were chosen by the ${experiment.tune.goal === 'least' ? 'least' : 'largest'} mean of \`${experiment.tune.metric}\`.`,
    '',
    '#### What was tried',
    '',
    table(
      ['arm', 'role', 'setting', experiment.tune.metric],
      experiment.arms.flatMap(({ name, role, tried, chosen }) =>
        tried.map(({ setting, mean }) => {
          const best = tried.length > 1 && JSON.stringify(setting) === JSON.stringify(chosen);
          return [name, role, settingText(setting), best ? `**${numberText(mean)}**` : numberText(mean)];
        }),
      ),
    ),
    '',
    '#### Figures of each seed',
    '',
    table(
      ['arm', 'seed', ...experiment.columns],
      experiment.arms.flatMap(({ name, runs }) =>
        runs.map(({ seed, metrics, diverged }) => [
          name,
          String(seed),
          ...experiment.columns.map((column) =>
            metrics[column] === undefined ? (diverged ?? '–') : numberText(metrics[column]),
          ),
        ]),
      ),
    ),
    '',
    ...experiment.claims.flatMap(({ id, statement, source, criteria, comparisons, verdict }) => [
      `#### ${id}: ${verdict}`,
      '',
      `${statement} (${source})`,
      '',
      ...criteria.map(({ text, holds }) => `- ${holds ? '✓' : '✗'} ${text}`),
      '',
      ...(comparisons.length === 0
        ? []
        : [
            table(
              ['difference', 'figure', 'each seed', 'mean', 'deviation', 'p'],
              comparisons.map(({ left, right, metric, differences, mean, deviation, p }) => [
                `${left} − ${right}`,
                metric,
                differences.map(numberText).join(', '),
                numberText(mean),
                numberText(deviation),
                p === undefined ? '–' : figureText(p),
              ]),
            ),
            '',
          ]),
    ]),
  ].join('\n');
}
