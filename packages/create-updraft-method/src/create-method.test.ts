import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { CONTRACT_VERSION } from '@updraft/core';
import { CONTRACTS, describeMethod, methodFiles, type MethodRequest } from './index.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const described = (request: Partial<MethodRequest> = {}) =>
  describeMethod({ name: 'my-rule', contract: 'update-rule', version: '0.1.0', ...request });

describe('a description', () => {
  test('has all names that follow from one', () => {
    expect(described({ name: '@you/my-second-rule' })).toMatchObject({
      slug: 'my-second-rule',
      packageName: '@you/my-second-rule',
      className: 'MySecondRule',
      factory: 'mySecondRule',
      folder: 'my-second-rule',
    });
    expect(described({ inside: true, contract: 'sampler' })).toMatchObject({
      packageName: '@updraft/my-rule',
      folder: 'packages/samplers/my-rule',
    });
  });

  test.each(['My-Rule', 'my_rule', '', '@you/', 'a b', '../x', '-x', 'x-', '1x'])('refuses the name "%s"', (name) => {
    expect(() => described({ name })).toThrow(/kebab-case/);
  });

  test('refuses names of the language and unknown contracts', () => {
    expect(() => described({ name: 'switch' })).toThrow(/switch-method/);
    expect(() => described({ contract: 'optimizer' })).toThrow(/update-rule, sampler, reward, aggregator/);
    expect(() => described({ contract: 'toString' })).toThrow(/no contract/);
  });
});

describe.each(Object.keys(CONTRACTS))('the files of a new %s', (contract) => {
  test.each([true, false])('are complete (inside: %s)', (inside) => {
    const files = methodFiles(described({ contract, inside, name: 'my-rule' }));
    expect([...files.keys()]).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'golden/my-rule.json',
        'options.json',
        'package.json',
        'src/experiment.ts',
        'src/index.ts',
        'src/my-rule.test.ts',
        'src/my-rule.ts',
        'src/package.test.ts',
        'tsconfig.json',
        'tsconfig.lib.json',
      ]),
    );
    expect(files.has('vitest.config.ts')).toBe(!inside);
    expect(files.has('.gitignore')).toBe(!inside);
    for (const [path, text] of files) {
      expect(path).not.toMatch(/template|\{/);
      expect(text).not.toMatch(/\{\{/);
      if (path.endsWith('.json')) expect(() => JSON.parse(text) as unknown).not.toThrow();
    }
    const manifest = JSON.parse(files.get('package.json') ?? '') as {
      updraft: object;
      dependencies: Record<string, string>;
      devDependencies?: Record<string, string>;
    };
    expect(manifest.updraft).toEqual({ contract, contractVersion: CONTRACT_VERSION });
    // What the sources import is declared, and nothing else.
    const imported = [...files]
      .filter(([path]) => path.endsWith('.ts') && !path.endsWith('.config.ts'))
      .flatMap(([, text]) => [...text.matchAll(/from '((?:@[^/']+\/)?[^/'.]+)[^']*'/g)].map(([, name]) => name))
      .filter((name) => name !== undefined && !name.startsWith('node:'));
    expect(new Set(Object.keys(manifest.dependencies))).toEqual(new Set(imported));
  });
});

describe('npm create updraft-method', () => {
  const create = (cwd: string, ...flags: string[]) =>
    spawnSync(
      process.execPath,
      ['--import', 'tsx', join(root, 'packages/create-updraft-method/src/bin.ts'), ...flags],
      { cwd, encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' }, input: '' },
    );

  test('writes into an empty folder, tells what comes next, and overwrites nothing', () => {
    const folder = mkdtempSync(join(tmpdir(), 'updraft-create-'));
    try {
      const run = (...flags: string[]) => create(root, ...flags, '--folder', join(folder, 'made'));
      const first = run('@you/my-rule', '--contract', 'reward');
      expect(first).toMatchObject({ status: 0, stderr: '' });
      expect(first.stdout).toContain('npm install');
      expect(readdirSync(join(folder, 'made/src')).sort()).toEqual([
        'experiment.ts',
        'index.ts',
        'my-rule.test.ts',
        'my-rule.ts',
        'package.test.ts',
      ]);
      const before = readFileSync(join(folder, 'made/package.json'), 'utf8');
      const second = run('other', '--contract', 'sampler');
      expect(second).toMatchObject({ status: 1, stdout: '' });
      expect(second.stderr).toContain('is not empty');
      expect(readFileSync(join(folder, 'made/package.json'), 'utf8')).toBe(before);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);

  test('says what is missing or wrong', () => {
    for (const [flags, message] of [
      [[], /no name/],
      [['x'], /no contract/],
      [['x', '--contract', 'rule'], /There is no contract "rule"/],
      [['x', 'y', '--contract', 'reward'], /One name/],
      [['x', '--wrong'], /--wrong/],
    ] as const) {
      const { status, stdout, stderr } = create(root, ...flags);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(message);
      expect(stderr).not.toContain('    at ');
    }
  }, 60_000);
});
