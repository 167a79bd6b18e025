import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as rules from '@updraft/rules';
import { packageChecks } from './test-package.js';

const base = fileURLToPath(new URL('../../dist', import.meta.url));
let folder: string;
beforeAll(() => {
  mkdirSync(base, { recursive: true });
  folder = mkdtempSync(join(base, 'package-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const manifest = {
  name: '@example/adamant',
  description: 'x',
  license: 'MIT',
  sideEffects: false,
  keywords: ['updraft-method'],
  files: ['dist', 'options.json', '!**/*.runs.json', '!**/*.quick*'],
  exports: { '.': './index.js', './experiment': './experiment.js', './package.json': './package.json' },
  updraft: { contract: 'update-rule', contractVersion: 1 },
};
const README = [
  '# adamant',
  '',
  '```js',
  'console.log(1 + 1);',
  '```',
  '',
  '```text',
  '2',
  '```',
  '',
  '<!-- options adam -->',
  '<!-- /options adam -->',
  '',
].join('\n');

/** What is wrong with a package of these files, by check. */
async function problems(changes: object = {}, readme?: string): Promise<Record<string, string>> {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, ...changes }));
  if (readme !== undefined) writeFileSync(join(folder, 'README.md'), readme);
  const checks = await packageChecks({
    folder: pathToFileURL(`${folder}/`),
    exports: { Adam: rules.Adam, adam: rules.adam },
  });
  const found: Record<string, string> = {};
  for (const { id, run, skip } of checks) {
    if (skip !== undefined) found[id] = `skipped: ${skip}`;
    else
      await run().catch((error: unknown) => {
        found[id] = (error as Error).message;
      });
  }
  return found;
}

test('tables and schemas are demanded, written when told to, and then hold', async () => {
  const before = await problems({}, README);
  expect(before).toEqual({
    'options-adam': expect.stringContaining('not up to date'),
    'options-file': expect.stringContaining('does not exist'),
    results: expect.stringContaining('no record yet'),
  });
  process.env['UPDATE_README'] = '1';
  try {
    await problems();
  } finally {
    delete process.env['UPDATE_README'];
  }
  expect(Object.keys(await problems())).toEqual(['results']);
  const written = readFileSync(join(folder, 'README.md'), 'utf8');
  expect(written).toContain('| `beta1` | number, at least 0 and below 1 | `0.9` |');
  expect(JSON.parse(readFileSync(join(folder, 'options.json'), 'utf8'))).toHaveProperty([
    'adam',
    'properties',
    'beta2',
  ]);
}, 60_000);

test('an example that prints something else, or fails, is told', async () => {
  expect((await problems({}, README.replace('1 + 1', '1 + 2')))['example-1']).toMatch(/prints\s+3\s+instead of\s+2/);
  expect((await problems({}, README.replace('1 + 1', 'missing')))['example-1']).toMatch(/missing is not defined/);
}, 60_000);

test.each([
  [{ updraft: { contract: 'sampler', contractVersion: 1 } }, /contract is "sampler"/],
  [{ updraft: { contract: 'update-rule', contractVersion: 2 } }, /version 2 of the contracts/],
  [{ keywords: [] }, /keyword "updraft-method"/],
  [{ exports: { '.': './index.js' } }, /no entry "\.\/experiment"/],
  [{ files: ['dist', 'options.json'] }, /lacks "!\*\*\/\*\.runs\.json"/],
  [{ sideEffects: true }, /"sideEffects": false/],
  [{ license: undefined }, /license or a description/],
])('package.json %j is refused', async (change, message) => {
  expect((await problems(change, '# adamant\n'))['manifest']).toMatch(message);
});
