import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { listMethods } from '../packages.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const environment = { ...process.env, NX_DAEMON: 'false', NODE_OPTIONS: '' };

/** The rules that a file with this text would break, by line. */
function lint(path: string, lines: string[]): string[][] {
  const eslint = join(dirname(require.resolve('eslint/package.json')), 'bin/eslint.js');
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [eslint, '--config', 'tools/eslint/untyped.config.mjs', '--format', 'json', '--stdin', '--stdin-filename', path],
    { cwd: root, env: environment, encoding: 'utf8', input: `${lines.join('\n')}\n` },
  );
  if (!stdout.startsWith('[')) throw new Error(`ESLint said: ${stdout}${stderr}`);
  const [result] = JSON.parse(stdout) as [{ messages: { line: number; ruleId: string }[] }];
  return lines.map((_, index) =>
    result.messages.filter(({ line }) => line === index + 1).map(({ ruleId }) => ruleId.replace('@nx/', '')),
  );
}

const BOUNDARY = 'enforce-module-boundaries';

describe('the direction of dependencies', () => {
  beforeAll(() => {
    // The rule reads the tags from nx's graph of projects, which a fresh clone does not have yet.
    const nx = join(dirname(require.resolve('nx/package.json')), 'dist/bin/nx.js');
    const { status, stderr } = spawnSync(process.execPath, [nx, 'show', 'projects'], {
      cwd: root,
      env: environment,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr);
  }, 300_000);

  test('core may use what is below it, not what is above it, and not Node outside its ./node entry', () => {
    const found = lint('packages/core/src/index.ts', [
      "export * from '@updraft/graph';",
      "export * from '@updraft/backend';",
      "export * from '@updraft/nn';",
      "export * from '@updraft/data/node';",
      "export * from 'node:fs';",
      'export default function () {}',
    ]);
    expect(found.slice(0, 2)).toEqual([[], []]);
    expect(found[2]).toContain(BOUNDARY);
    expect(found[3]).toContain(BOUNDARY);
    expect(found[4]).toContain('no-restricted-imports');
    expect(found[5]).toContain('no-restricted-syntax');
  }, 300_000);

  test('packages of one layer do not see each other, and nothing is below graph', () => {
    const sibling = lint('packages/rules/src/index.ts', [
      "export * from '@updraft/core';",
      "export * from '@updraft/nn';",
    ]);
    expect(sibling[0]).toEqual([]);
    expect(sibling[1]).toContain(BOUNDARY);
    const graph = lint('packages/graph/src/index.ts', ["export * from '@updraft/autodiff';"]);
    expect(graph[0]).toContain(BOUNDARY);
  }, 300_000);

  test('a method sees what is below it, and neither the command nor another method', () => {
    const method = lint('packages/update-rules/lion/src/index.ts', [
      "export * from '@updraft/testing/experiment';",
      "export * from '@updraft/cli';",
      "export * from '@updraft/monna';",
      "export * from 'node:fs';",
    ]);
    expect(method[0]).toEqual([]);
    expect(method[1]).toContain(BOUNDARY);
    expect(method[2]).toContain(BOUNDARY);
    expect(method[3]).toContain('no-restricted-imports');
  }, 300_000);

  test('every method says what it is by its tags', () => {
    for (const { folder, contract, manifest } of listMethods()) {
      const slug = manifest.name.replace('@updraft/', '');
      expect({ folder, tags: (manifest as { nx?: { tags?: string[] } }).nx?.tags }).toEqual({
        folder,
        tags: ['package:method', `method:${slug}`, `contract:${contract}`],
      });
    }
  });
});
