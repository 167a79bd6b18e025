import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../../..', import.meta.url));

test('the example of the README prints what it says and leaves its checkpoints', () => {
  const readme = readFileSync(join(root, 'packages/core/README.md'), 'utf8');
  const [, example, output] = /```ts\n(.*?)```\n\nprints\n\n```\n(.*?)```/s.exec(readme) ?? [];
  // Inside this package, so that its dependencies are found.
  const base = join(root, 'packages/core/dist');
  mkdirSync(base, { recursive: true });
  const folder = mkdtempSync(join(base, 'readme-'));
  try {
    writeFileSync(join(folder, 'example.mts'), example as string);
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--conditions=@updraft/source', 'example.mts'],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, TSX_TSCONFIG_PATH: join(root, 'tsconfig.base.json'), NODE_OPTIONS: '' },
      },
    );
    expect(stdout === '' ? stderr : stdout).toBe(output);
    expect(existsSync(join(folder, 'runs/line/step-000000100/manifest.json'))).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);
