import { fromBinary } from '@bufbuild/protobuf';
import { readdirSync, rmSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MetricsSinkError } from '../errors.js';
import { EventSchema } from '../generated/tfevents_pb.js';
import type { MetricsSink } from '../sinks/metrics-sink.js';
import { framingBytes, frameRecord, readFramedRecords } from '../tensorboard/record-framing.js';
import { createTensorBoardSink } from '../tensorboard/tensorboard-sink.js';
import { AppendFile } from './append-file.js';
import type { FileSinkOptions } from './file-sink-options.js';
import { replaceFile } from './replace-file.js';

/**
 * TensorBoard finds files by the word `tfevents` and reads them in the order of their names, so the time comes first;
 * the part that usually names the host names the writer.
 */
const ownFile = /^events\.out\.tfevents\.\d+\.\d+\.updraft\.\d+\.\d+$/u;

let opened = 0;

/**
 * Opens a new event file in a folder, for `tensorboard --logdir`. Missing folders are made. Event files of other
 * programs in the folder are never touched.
 *
 * @throws MetricsSinkError if the file cannot be opened, or the folder holds an earlier run and no option says what to do
 */
export async function openTensorBoardSink(directory: string, options: FileSinkOptions = {}): Promise<MetricsSink> {
  const { resumeAt, replace = false, flushInterval } = options;
  await mkdir(directory, { recursive: true });
  const earlier = readdirSync(directory)
    .filter((name) => ownFile.test(name))
    .map((name) => join(directory, name));
  if (resumeAt !== undefined) for (const path of earlier) await removeLaterEvents(path, resumeAt);
  else if (replace) for (const path of earlier) rmSync(path);
  else if (earlier.length > 0) {
    throw new MetricsSinkError(`${directory} holds the TensorBoard events of an earlier run.`, {
      hint: 'Pass `resumeAt` to go on with it, `replace: true` to start anew, or choose another folder.',
      details: { path: directory },
    });
  }
  const time = Date.now();
  opened += 1;
  const milliseconds = String(time % 1000).padStart(3, '0');
  const name = `events.out.tfevents.${Math.floor(time / 1000)}.${milliseconds}.updraft.${process.pid}.${String(opened).padStart(4, '0')}`;
  const file = new AppendFile(join(directory, name), {
    flags: 'ax',
    ...(flushInterval === undefined ? {} : { flushInterval }),
  });
  const sink = createTensorBoardSink((bytes) => file.append(bytes), {
    time,
    ...(resumeAt === undefined ? {} : { startStep: resumeAt + 1 }),
  });
  return { write: (record) => sink.write(record), flush: () => file.flush(), close: () => file.close() };
}

/** Rewrites an event file without the events of steps after `step` and without a torn end. */
async function removeLaterEvents(path: string, step: number): Promise<void> {
  const bytes = await readFile(path);
  const { records } = readFramedRecords(bytes);
  const kept = records.filter((record) => fromBinary(EventSchema, record).step <= BigInt(step));
  const keptBytes = kept.reduce((sum, record) => sum + record.length + framingBytes, 0);
  if (keptBytes < bytes.length) await replaceFile(path, kept.map(frameRecord));
}
