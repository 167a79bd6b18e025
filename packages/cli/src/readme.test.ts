import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../../..', import.meta.url));

test('the example of the README runs, learns and leaves a model', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1];
  expect(example?.trim().split('\n').length).toBeLessThanOrEqual(20);
  // Inside this package, so that its dependencies are found.
  const base = join(root, 'packages/cli/dist');
  mkdirSync(base, { recursive: true });
  const folder = mkdtempSync(join(base, 'readme-'));
  try {
    writeFileSync(join(folder, 'example.mts'), example as string);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--conditions=@updraft/source', 'example.mts'],
      {
        cwd: folder,
        encoding: 'utf8',
        env: {
          ...process.env,
          TSX_TSCONFIG_PATH: join(root, 'tsconfig.base.json'),
          VK_ICD_FILENAMES: '',
          NODE_OPTIONS: '',
        },
      },
    );
    expect(stderr.includes('Error') ? stderr : '').toBe('');
    expect(status).toBe(0);
    const losses = stdout
      .trim()
      .split('\n')
      .map((line) => Number(line.split(' ')[1]));
    expect(losses).toHaveLength(3);
    expect(losses[2]).toBeLessThan(0.2);
    expect(existsSync(join(folder, 'moons.onnx'))).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);
