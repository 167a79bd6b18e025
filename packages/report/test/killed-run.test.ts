import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { fromBinary } from '@bufbuild/protobuf';
import { EventSchema } from '../src/generated/tfevents_pb.js';
import { openJsonlSink } from '../src/node/open-jsonl-sink.js';
import { openTensorBoardSink } from '../src/node/open-tensorboard-sink.js';
import { readRuns } from '../src/node/read-runs.js';
import { readFramedRecords } from '../src/tensorboard/record-framing.js';

test('kill -9 in the middle of writing loses no step before the checkpoint and doubles none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'updraft-killed-'));
  const path = join(folder, 'metrics.jsonl');
  const sizeOf = () => (existsSync(path) ? statSync(path).size : 0);
  try {
    for (let kill = 0; kill < 3; kill += 1) {
      const script = fileURLToPath(new URL('endless-run.ts', import.meta.url));
      const before = sizeOf();
      const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=@updraft/source', script, folder], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, NODE_OPTIONS: '' },
      });
      const exit = once(child, 'exit');
      // The moment differs from run to run: the child does not wait for us.
      while (child.exitCode === null && sizeOf() < before + 15_000)
        await new Promise((resolve) => setTimeout(resolve, 7));
      child.kill('SIGKILL');
      await exit;
    }
    const last = (await readRuns(path))[0]?.series.get('loss')?.steps.at(-1) ?? 0;
    const resumeAt = Math.floor(last / 100) * 100;
    await (await openTensorBoardSink(join(folder, 'tensorboard'), { resumeAt })).close();
    await (await openJsonlSink(path, { resumeAt })).close();

    const expected = Array.from({ length: resumeAt }, (_value, index) => index + 1);
    expect(resumeAt).toBeGreaterThanOrEqual(300);
    const [run] = await readRuns(path);
    expect(run?.series.get('loss')?.steps).toEqual(expected);
    expect(run?.resumedAt.length).toBe(3);
    expect(readFileSync(path, 'utf8').match(/"kind":"run"/gu)).toHaveLength(1);
    const events = readdirSync(join(folder, 'tensorboard')).flatMap(
      (name) => readFramedRecords(readFileSync(join(folder, 'tensorboard', name))).records,
    );
    const steps = events
      .map((event) => fromBinary(EventSchema, event))
      .flatMap((event) =>
        event.what.case === 'summary' && event.what.value.value[0]?.tag === 'loss' ? [Number(event.step)] : [],
      );
    expect(steps).toEqual(expected);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);
