import { expect, test } from '@jest/globals';
import { codeBlocks, withSection } from './markdown.js';

test('a block of plain text right after code is its output', () => {
  const markdown = [
    '```ts',
    'one();',
    '```',
    '',
    '```text',
    '1',
    '```',
    '',
    '```js',
    'two();',
    '```',
    '',
    'prints',
    '',
    '```',
    '2',
    '```',
    '',
    '```ts',
    'three();',
    '```',
    '',
    'Something else altogether:',
    '',
    '```text',
    '3',
    '```',
    '',
  ].join('\n');
  expect(codeBlocks(markdown)).toEqual([
    { language: 'ts', text: 'one();\n', output: '1\n' },
    { language: 'js', text: 'two();\n', output: '2\n' },
    { language: 'ts', text: 'three();\n', output: undefined },
  ]);
});

test('what stands between marks is replaced, and again gives the same', () => {
  const readme = 'before\n<!-- results -->\nold\n<!-- /results -->\nafter\n';
  const once = withSection(readme, 'results', 'new') ?? '';
  expect(once).toBe('before\n<!-- results -->\n\nnew\n\n<!-- /results -->\nafter\n');
  expect(withSection(once, 'results', 'new')).toBe(once);
  expect(withSection(readme, 'options lion', 'x')).toBeUndefined();
});
