import { expect, jest, test } from '@jest/globals';
import { transformSync } from '@swc/core';
import { readFileSync } from 'node:fs';
import * as updraft from './index.js';

test('the example of the README prints what the README says', () => {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [source = ''] = /(?<=```ts\n)[\s\S]*?(?=```)/.exec(text) ?? [];
  const [expected = ''] = /(?<=```text\n)[\s\S]*?(?=```)/.exec(text) ?? [];
  const body = source.replace(/^import (\{[^}]*\}) from '@updraft\/graph';$/m, 'const $1 = updraft;');
  expect(body).not.toBe(source);
  const { code } = transformSync(body, { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } });
  const lines: string[] = [];
  const log = jest.fn((line: string) => lines.push(line));
  // The code is the README of this package.
  new Function('updraft', 'console', code)(updraft, { log });
  expect(`${lines.join('\n')}\n`).toBe(expected);
});
