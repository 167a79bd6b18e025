import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../../..', import.meta.url));

const readme = readFileSync(join(root, 'packages/core/README.md'), 'utf8');
const examples = [...readme.matchAll(/```ts\n(.*?)```\n\nprints\n\n```\n(.*?)```/gs)].map(
  ([, example, output]) => [example, output] as [string, string],
);

/** Run an example and look at its folder before that goes. */
function run(example: string, look: (folder: string) => void = () => undefined): string {
  // Inside this package, so that its dependencies are found.
  const base = join(root, 'packages/core/dist');
  mkdirSync(base, { recursive: true });
  const folder = mkdtempSync(join(base, 'readme-'));
  try {
    writeFileSync(join(folder, 'example.mts'), example);
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--conditions=@updraft/source', 'example.mts'],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, TSX_TSCONFIG_PATH: join(root, 'tsconfig.base.json'), NODE_OPTIONS: '' },
      },
    );
    look(folder);
    return stdout === '' ? stderr : stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('the README has its three examples', () => {
  expect(examples).toHaveLength(3);
});

test('the first example prints what the README says and leaves its checkpoints', () => {
  const [example, output] = examples[0] as [string, string];
  const printed = run(example, (folder) => {
    expect(existsSync(join(folder, 'runs/line/step-000000100/manifest.json'))).toBe(true);
  });
  expect(printed).toBe(output);
}, 60_000);

test.each(examples.slice(1))(
  'the other examples print what the README says: %#',
  (example, output) => {
    expect(run(example)).toBe(output);
  },
  60_000,
);
