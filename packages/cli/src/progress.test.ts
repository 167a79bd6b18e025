import { Writable } from 'node:stream';
import { expect, test } from '@jest/globals';
import type { TrainEvent } from '@updraft/core';
import { durationText, Progress } from './progress.js';
import { inFolder, shell } from './testing/command.js';

/** Progress on a stream that keeps what was written, with a clock of its own. */
function watched(terminal: boolean) {
  const clock = { now: 0 };
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  Object.assign(stream, { columns: 120, rows: 40, isTTY: terminal });
  const progress = new Progress({ stream: stream as unknown as NodeJS.WriteStream, terminal, now: () => clock.now });
  return { clock, progress, text: () => text };
}

const step = (number: number, loss: number): TrainEvent => ({
  type: 'step',
  step: number,
  steps: 1000,
  loss,
  metrics: { loss, accuracy: 0.5, 'gradientNorm/dense': 3 },
  scalars: {},
  batchSize: 8,
  milliseconds: 100,
  runMilliseconds: 90,
  drawMilliseconds: 1,
});
const start: TrainEvent = {
  type: 'run-start',
  device: 'cpu',
  description: 'cpu (cpu 100 Gflop/s)',
  step: 0,
  steps: 1000,
  seed: 7,
  parameters: 1234567,
  resumedFrom: undefined,
  config: null,
};

/** 500 steps of 100 ms. */
function run({ clock, progress }: ReturnType<typeof watched>): void {
  progress.handle(start);
  for (let number = 1; number <= 500; number++) {
    progress.handle(step(number, 2));
    clock.now += 100;
  }
}

test('without a terminal there is a plain line every five seconds, with rate, time left and device', () => {
  const target = watched(false);
  run(target);
  const lines = target.text().trim().split('\n');
  expect(lines.slice(0, 3)).toEqual([
    'Device: cpu (cpu 100 Gflop/s)',
    'Training 1,234,567 parameters for 1000 steps, seed 7.',
    'step 1/1000  loss 2.0000  accuracy 0.5000  cpu',
  ]);
  // Ten steps a second: a line at 5 s, 10 s, … after the first one. 949 steps are left at step 51.
  expect(lines.slice(3).map((line) => /^step (\d+)/.exec(line)?.[1])).toEqual(
    Array.from({ length: 9 }, (_, index) => String(51 + 50 * index)),
  );
  expect(lines[3]).toBe('step 51/1000  loss 2.0000  accuracy 0.5000  10.0 steps/s  1 min 35 s left  cpu');
  expect(target.text()).not.toContain('\u001b');
});

test('in a terminal one line moves, and lines that stay come above it', () => {
  const target = watched(true);
  run(target);
  target.progress.handle({ type: 'warning', step: 500, message: 'careful' });
  // Every second line is drawn over the one before: a jump to its beginning, not a new line.
  expect(target.text().match(/step \d+\/1000/g)?.length).toBeGreaterThan(400);
  expect(target.text()).toContain('\u001b[');
  expect(target.text().endsWith('Warning: careful\n')).toBe(true);
  // The cursor is not hidden: nothing has to be put right however the process ends.
  expect(target.text()).not.toContain('\u001b[?25l');
});

test('the shown loss is smooth', () => {
  const { progress, clock, text } = watched(false);
  progress.handle(step(1, 1));
  clock.now = 6000;
  progress.handle(step(2, 3));
  // 0.95 · 1 + 0.05 · 3
  expect(text()).toContain('step 2/1000  loss 1.1000');
});

test.each([
  [0.4, '0 s'],
  [59.4, '59 s'],
  [60, '1 min 0 s'],
  [3599.4, '59 min 59 s'],
  [7260, '2 h 1 min'],
  [Infinity, '–'],
])('%d seconds are %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text);
});

test('a real terminal gets the moving line', async () => {
  await inFolder((folder) => {
    if (shell(folder, 'command -v script').status !== 0) return;
    const { status, stdout } = shell(
      folder,
      'script -qec "stty cols 100 rows 30; $UPDRAFT train --model mlp --data moons --steps 300 --device cpu" /dev/null',
    );
    expect(status).toBe(0);
    expect(stdout).toContain('\u001b[');
    expect(stdout).toMatch(/step \d+\/300 .* steps\/s/);
    expect(stdout).toContain('Report: runs/latest/report.html');
  });
}, 60_000);
