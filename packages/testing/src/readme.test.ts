import { readFile } from 'node:fs/promises';
import { compileFunction } from 'node:vm';
import { expect, test } from '@jest/globals';
import * as backend from '@updraft/backend';
import * as graph from '@updraft/graph';
import * as rules from '@updraft/rules';
import * as testing from './index.js';

test('the example of the README prints what the README says', async () => {
  const text = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [source = ''] = /(?<=```js\n)[\s\S]*?(?=```)/.exec(text) ?? [];
  const [expected = ''] = /(?<=```text\n)[\s\S]*?(?=```)/.exec(text) ?? [];
  const packages = { backend, graph, rules, testing };
  const body = source.replace(/^import (\{[^}]*\}) from '@updraft\/(\w+)';$/gm, 'const $1 = packages.$2;');
  expect(body).not.toContain('import');
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
  };
  const run = compileFunction(`return (async () => {\n${body}\n})();`, ['packages', 'console']) as (
    ...given: unknown[]
  ) => Promise<void>;
  await run(packages, { log });
  expect(`${lines.join('\n')}\n`).toBe(expected);
});
