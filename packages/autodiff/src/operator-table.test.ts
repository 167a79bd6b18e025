import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { operatorTable } from './operator-table.js';

test('docs/operators.md is what the registries say', () => {
  expect(readFileSync(new URL('../../../docs/operators.md', import.meta.url), 'utf8')).toBe(operatorTable());
});
