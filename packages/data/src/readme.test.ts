import { readFile } from 'node:fs/promises';
import { compileFunction } from 'node:vm';
import { expect, test } from '@jest/globals';
import * as data from './index.js';
import * as node from './node/index.js';

test('the example of the README prints what the README says', async () => {
  const text = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [source = ''] = /(?<=```js\n)[\s\S]*?(?=```)/.exec(text) ?? [];
  const [expected = ''] = /(?<=```text\n)[\s\S]*?(?=```)/.exec(text) ?? [];
  const body = source
    .replace(/^import (\{[^}]*\}) from '@updraft\/data';$/m, 'const $1 = data;')
    .replace(/^import (\{[^}]*\}) from '@updraft\/data\/node';$/m, 'const $1 = node;');
  expect(body).not.toContain('import');
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
  };
  const run = compileFunction(`return (async () => {\n${body}\n})();`, ['data', 'node', 'console']) as (
    ...given: unknown[]
  ) => Promise<void>;
  await run(data, node, { log });
  expect(`${lines.join('\n')}\n`).toBe(expected);
});
