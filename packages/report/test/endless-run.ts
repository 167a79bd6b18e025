// A process for tests to kill: records steps without end, and goes on from the last hundred that both sinks have.
// Usage: endless-run.ts <folder>
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openJsonlSink, openTensorBoardSink, readRuns } from '@updraft/report/node';
import { sampleHeader } from './sample-runs.js';

const folder = process.argv[2] ?? '.';
const path = join(folder, 'metrics.jsonl');
const [earlier] = existsSync(path) ? await readRuns(path) : [];
const resumeAt = Math.floor((earlier?.series.get('loss')?.steps.at(-1) ?? 0) / 100) * 100;
const tensorBoard = await openTensorBoardSink(join(folder, 'tensorboard'), { resumeAt, flushInterval: 1 });
const jsonl = await openJsonlSink(path, { resumeAt, flushInterval: 1 });
jsonl.write(sampleHeader());
for (let step = resumeAt + 1; ; step += 1) {
  const record = { kind: 'scalars', step, time: Date.now(), values: { loss: 1 / step } } as const;
  tensorBoard.write(record);
  // What the JSON lines say is there must be in the events as well.
  if (step % 100 === 0) await tensorBoard.flush();
  jsonl.write(record);
  if (step % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
