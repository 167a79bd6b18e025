import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { configTable } from './config/reference.js';
import { createProgram } from './program.js';
import { COMMAND_ENVIRONMENT, inFolder, jsonLines, shell, updraft } from './testing/command.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const own = fileURLToPath(new URL('../README.md', import.meta.url));

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
      { cwd: folder, encoding: 'utf8', env: COMMAND_ENVIRONMENT },
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

const blocks = [...readFileSync(own, 'utf8').matchAll(/```sh\n(.*?)```/gs)].map(([, text]) => text as string);

test('the commands of this README run one after the other', async () => {
  await inFolder((folder) => {
    const { status, stdout, stderr } = shell(folder, `set -e; updraft() { $UPDRAFT "$@"; }\n${blocks[0]}`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    // Every command leaves its mark.
    expect(stdout).toContain('Report: runs/latest/report.html');
    expect(stdout).toMatch(/^step-000000500 on \w+: loss/m);
    expect(stdout).toContain('step-000000500 → moons.onnx');
    expect(stdout).toContain('input       x: float32[batch, 2]');
    expect(stdout.match(/^update-rule +\w+/gm)).toEqual(['update-rule  adam', 'update-rule  adamw']);
    expect(stdout).toContain('checkpointEvery: integer');
    expect(stdout.match(/✓ cpu/g)).toHaveLength(1);
    expect(stdout).toMatch(/^onnxruntime +1\./m);
  });
}, 120_000);

test('its other commands have the flags that they are given', () => {
  const lines = blocks.slice(1).flatMap((block) => block.trim().split('\n'));
  expect(lines.length).toBeGreaterThan(3);
  for (const line of lines) {
    const [command, name, ...flags] = [...line.matchAll(/'([^']*)'|\S+/g)].map(([whole, inner]) => inner ?? whole);
    expect(command).toBe('updraft');
    const found = createProgram().commands.find((each) => each.name() === name);
    expect(found?.parseOptions(flags).unknown).toEqual([]);
  }
});

test('its list of keys is that of the schema', () => {
  expect(readFileSync(own, 'utf8')).toContain(`equal -->\n\n${configTable()}\n\n<!-- end -->`);
});

test('the example configuration of `npm start` learns, and its report shows digits', async () => {
  await inFolder((folder) => {
    const { status, stdout, stderr } = updraft(
      folder,
      'train',
      join(root, 'packages/cli/examples/mnist.yaml'),
      '--steps',
      '150',
      '--device',
      'cpu',
      '--json',
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const events = jsonLines(stdout);
    const { metrics } = events.find(({ type }) => type === 'evaluation') as { metrics: { accuracy: number } };
    expect(metrics.accuracy).toBeGreaterThan(0.8);
    expect(events.find(({ type }) => type === 'export')).toMatchObject({
      check: expect.stringMatching(/gets \d+ of 10000 right/),
    });
    const records = jsonLines(readFileSync(join(folder, 'runs/mnist/metrics.jsonl'), 'utf8'));
    const { images } = records.find(({ kind }) => kind === 'images') as {
      images: { png: string; label: string; width: number }[];
    };
    // The first digits of the test set, as its label file has them.
    expect(images.slice(0, 5).map(({ label }) => label)).toEqual(['7', '2', '1', '0', '4']);
    expect(Buffer.from(images[0]!.png, 'base64').subarray(1, 4).toString()).toBe('PNG');
    expect(readFileSync(join(folder, 'runs/mnist/report.html')).length).toBeLessThan(1_000_000);
  });
}, 180_000);
