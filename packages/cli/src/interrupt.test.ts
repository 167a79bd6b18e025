import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { inFolder, jsonLines, shell, startUpdraft, updraft } from './testing/command.js';

const STEPS = 4000;
const flags = (output: string): string[] => [
  'train',
  '--model',
  'mlp',
  '--data',
  'moons',
  '--option',
  'model.hidden=[64,64]',
  '--steps',
  String(STEPS),
  '--device',
  'cpu',
  '--output',
  output,
  '--json',
];
const checkpoints = (run: string): string[] => readdirSync(join(run, 'checkpoints')).sort();
const losses = (run: string): Map<unknown, unknown> =>
  new Map(
    jsonLines(readFileSync(join(run, 'metrics.jsonl'), 'utf8'))
      .filter(({ kind }) => kind === 'scalars')
      .map(({ step, values }) => [step, (values as { loss: number }).loss]),
  );

test('Ctrl-C saves a checkpoint, and the same command ends with the bits of an uninterrupted run', async () => {
  await inFolder(async (folder) => {
    const [whole, stopped] = [join(folder, 'whole'), join(folder, 'stopped')];
    expect(updraft(folder, ...flags('whole'))).toMatchObject({ status: 0, stderr: '' });
    for (const [name, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const before = existsSync(stopped) ? checkpoints(stopped) : [];
      const run = startUpdraft(folder, ...flags('stopped'));
      await run.until('"type":"step"');
      run.child.kill(name);
      expect(await run.ended).toBe(status);
      const events = jsonLines(run.stdout());
      const end = events.find(({ type }) => type === 'run-end') as { reason: string; step: number };
      expect(end.reason).toBe('aborted');
      expect(end.step).toBeLessThan(STEPS);
      const newest = `step-${String(end.step).padStart(9, '0')}`;
      expect(events.slice(-2).map(({ type }) => type)).toEqual(['stopped', 'report']);
      expect(events.at(-2)).toEqual({ type: 'stopped', checkpoint: newest });
      expect(checkpoints(stopped).length).toBeGreaterThan(before.length);
      expect(checkpoints(stopped).at(-1)).toBe(newest);
      expect(existsSync(join(stopped, 'model.onnx'))).toBe(false);
    }
    const resumed = updraft(folder, ...flags('stopped'));
    expect(resumed).toMatchObject({ status: 0, stderr: '' });
    expect((jsonLines(resumed.stdout)[0] as { step: number }).step).toBeGreaterThan(0);
    const final = `checkpoints/step-${String(STEPS).padStart(9, '0')}/tensors.safetensors`;
    expect(readFileSync(join(stopped, final)).equals(readFileSync(join(whole, final)))).toBe(true);
    expect(losses(stopped)).toEqual(losses(whole));
    expect(losses(stopped).size).toBe(STEPS);
  });
}, 180_000);

test('a second Ctrl-C leaves at once', async () => {
  await inFolder(async (folder) => {
    const slow = ['--option', 'model.hidden=[2048,2048]', '--option', 'sampler.batchSize=512'];
    const run = startUpdraft(folder, ...flags('run').slice(0, -1), ...slow);
    await run.until('step 1/');
    run.child.kill('SIGINT');
    run.child.kill('SIGINT');
    // A signal of a kind that waits already is dropped.
    const again = setInterval(() => run.child.kill('SIGINT'), 5);
    expect(await run.ended).toBe(130);
    clearInterval(again);
    expect(run.stdout()).not.toContain('Stopped after step');
    expect(existsSync(join(folder, 'run/checkpoints'))).toBe(false);
  });
}, 180_000);

test('a reader that closes the pipe ends a list quietly, and a run with a checkpoint', async () => {
  await inFolder((folder) => {
    const list = shell(folder, '$UPDRAFT plugins | head -1');
    expect(list).toEqual({ status: 0, stdout: expect.stringMatching(/^update-rule .*\n$/), stderr: '' });
    const run = shell(folder, `$UPDRAFT ${flags('run').join(' ')} | head -3 > /dev/null; echo \${PIPESTATUS[0]}`);
    expect(run).toEqual({ status: 0, stdout: '141\n', stderr: '' });
    const [newest] = checkpoints(join(folder, 'run')).reverse();
    expect(Number(newest?.slice(5))).toBeLessThan(STEPS);
  });
}, 180_000);
