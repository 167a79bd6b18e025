import { readFile, writeFile } from 'node:fs/promises';
import { compileFunction } from 'node:vm';
import { expect, jest, test } from '@jest/globals';
import * as backend from '@updraft/backend';
import * as core from '@updraft/core';
import * as graph from '@updraft/graph';
import * as rules from '@updraft/rules';
import * as tsyringe from 'tsyringe';
import ts from 'typescript';
import * as zod from 'zod';
import * as testing from './index.js';
import type { CheckResult, ContractKit, Subject, UpdateRuleSettings } from './index.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

const README = new URL('../README.md', import.meta.url);
const packages = {
  '@updraft/backend': backend,
  '@updraft/core': core,
  '@updraft/graph': graph,
  '@updraft/rules': rules,
  '@updraft/testing': testing,
  tsyringe,
  zod,
};

const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, block]) => block as string);

/** Run a snippet whose imports come from `modules`. */
async function run(source: string, modules: object, log: (line: string) => void): Promise<void> {
  const body = source
    .replace(/^import (\{[^}]*\}) from '([^']+)';$/gm, "const $1 = modules['$2'];")
    .replace(/^export /gm, '');
  expect(body).not.toContain('import ');
  const compiled = compileFunction(`return (async () => {\n${body}\n})();`, ['modules', 'console']) as (
    ...given: unknown[]
  ) => Promise<void>;
  await compiled(modules, { log });
}

test('the example of gradients and trajectories prints what the README says', async () => {
  const text = await readFile(README, 'utf8');
  const lines: string[] = [];
  const [source = ''] = blocks(text, 'js');
  await run(source, packages, (line) => lines.push(line));
  expect(`${lines.join('\n')}\n`).toBe(blocks(text, 'text')[0]);
});

test('the rule of the README passes its kit, with golden values and in all that applies', async () => {
  const [rule = '', tests = ''] = blocks(await readFile(README, 'utf8'), 'ts');
  const { outputText } = ts.transpileModule(`${rule}\n${tests}`, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      experimentalDecorators: true,
      verbatimModuleSyntax: true,
    },
  });
  const outcomes: Promise<CheckResult[]>[] = [];
  const testUpdateRule = (subject: Subject<'update-rule'>, settings: UpdateRuleSettings): void => {
    const kit = testing.updateRuleKit(subject, settings);
    outcomes.push(testing.runKit(kit).finally(() => kit.dispose()));
  };
  await run(outputText, { ...packages, '@updraft/testing': { ...testing, testUpdateRule } }, () => undefined);
  const [results = []] = await Promise.all(outcomes);
  expect(results.flatMap((result) => (result.outcome === 'failed' ? [result.error.message] : []))).toEqual([]);
  expect(results.flatMap(({ id, outcome }) => (outcome === 'skipped' ? [id] : []))).toEqual(['task', 'devices']);
});

test('the README lists every check', async () => {
  const nothing = { name: 'x', create: () => ({}) } as never;
  const list = { columns: {}, draw: () => undefined, state: () => null, restore: () => undefined } as core.Sampler;
  class Plugin {}
  core.plugin({ name: 'x', contract: 'reward', options: zod.z.object({}), summary: 'x' })(Plugin);
  const options = testing.rewardKit(Plugin).checks.filter(({ id }) => id.startsWith('options-'));
  const section = (title: string, checks: ContractKit['checks']): string[] => [
    `### ${title}`,
    '',
    ...checks.map(({ id, title: text }) => `- \`${id}\`: ${text}`),
    '',
  ];
  const expected = [
    ...section('Update rules', testing.updateRuleKit(nothing).checks),
    ...section('Samplers', testing.samplerKit({ name: 'x', create: () => list }).checks),
    ...section(
      'Samplers that generate',
      testing.generationKit(nothing, { request: { models: {}, inputs: {} } }).checks,
    ),
    ...section('Rewards', testing.rewardKit(nothing).checks),
    ...section('Aggregators', testing.aggregatorKit(nothing).checks),
    ...section('Options of plugins of any contract', options),
  ].join('\n');
  const text = await readFile(README, 'utf8');
  const replaced = text.replace(/(?<=<!-- checks -->\n)[\s\S]*(?=<!-- \/checks -->)/, `\n${expected}\n`);
  // `UPDATE_README=1 npm run jest -- packages/testing/src/readme.test.ts` writes the list anew.
  if (process.env['UPDATE_README'] !== undefined) await writeFile(README, replaced);
  else expect(text).toBe(replaced);
});
