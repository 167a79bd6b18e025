import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

test('the page in src/generated is made from the sources in page', () => {
  // In a process of its own: esbuild's service does not end with a test.
  const module = new URL('../scripts/page-assets.mjs', import.meta.url).href;
  const fresh = execFileSync(
    process.execPath,
    ['--input-type=module', '-e', `process.stdout.write(await (await import(${JSON.stringify(module)})).pageAssets())`],
    {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    },
  );
  const kept = readFileSync(fileURLToPath(new URL('../src/generated/page-assets.ts', import.meta.url)), 'utf8');
  // Not toBe: a difference of 80 kB is no help. `npm run generate:page -w @updraft/report` makes it anew.
  expect(kept === fresh).toBe(true);
  expect(kept).toContain('The MIT License');
});
