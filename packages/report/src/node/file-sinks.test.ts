import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { fromBinary } from '@bufbuild/protobuf';
import { sampleHeader } from '../../test/sample-runs.js';
import { MetricsFileError, MetricsSinkError } from '../errors.js';
import { EventSchema } from '../generated/tfevents_pb.js';
import type { MetricRecord } from '../records/metric-record.js';
import { encodeRecord } from '../records/encode-records.js';
import { parseRecords } from '../records/parse-records.js';
import type { MetricsSink } from '../sinks/metrics-sink.js';
import { readFramedRecords } from '../tensorboard/record-framing.js';
import { openJsonlSink } from './open-jsonl-sink.js';
import { openTensorBoardSink } from './open-tensorboard-sink.js';
import { readRuns } from './read-runs.js';
import { replaceFile } from './replace-file.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'updraft-report-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const loss = (step: number, value = 1 / step): MetricRecord => ({
  kind: 'scalars',
  step,
  time: 1000 * step,
  values: { loss: value },
});

function writeSteps(sink: MetricsSink, first: number, last: number): void {
  for (let step = first; step <= last; step += 1) sink.write(loss(step));
}

describe('JSON lines', () => {
  const path = () => join(folder, 'made', 'for', 'it', 'metrics.jsonl');

  test('one object per line, in order, and a folder where there is none', async () => {
    const sink = await openJsonlSink(path());
    sink.write(sampleHeader());
    writeSteps(sink, 1, 3);
    await sink.close();
    expect(await readFile(path(), 'utf8')).toBe([sampleHeader(), loss(1), loss(2), loss(3)].map(encodeRecord).join(''));
    expect(() => sink.write(loss(4))).toThrow(/closed/u);
    await sink.close();
  });

  test('records wait in memory until a flush', async () => {
    const sink = await openJsonlSink(path(), { flushInterval: 60_000 });
    sink.write(loss(1));
    expect(await readFile(path(), 'utf8')).toBe('');
    await sink.flush();
    expect(parseRecords(await readFile(path(), 'utf8'))).toEqual([loss(1)]);
    sink.write(loss(2));
    await sink.close();
    expect(parseRecords(await readFile(path(), 'utf8'))).toEqual([loss(1), loss(2)]);
  });

  test('but not longer than the flush interval, and not beyond the buffer', async () => {
    const sink = await openJsonlSink(path(), { flushInterval: 20 });
    sink.write(loss(1));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(parseRecords(await readFile(path(), 'utf8'))).toEqual([loss(1)]);
    const large: MetricRecord = { kind: 'warning', message: 'ü'.repeat(70_000) };
    sink.write(loss(2));
    sink.write(large);
    expect(parseRecords(await readFile(path(), 'utf8'))).toEqual([loss(1), loss(2), large]);
    await sink.close();
  });

  test('an earlier run is not overwritten by accident', async () => {
    await (await openJsonlSink(path())).close();
    await expect(openJsonlSink(path())).rejects.toThrow(MetricsSinkError);
    await expect(openJsonlSink(path())).rejects.toThrow(/earlier run.*`resumeAt`.*`replace: true`/u);
    const sink = await openJsonlSink(path(), { replace: true });
    sink.write(loss(1));
    await sink.close();
    expect(parseRecords(await readFile(path(), 'utf8'))).toEqual([loss(1)]);
  });

  test('a resumed run has every step once, whatever the killed one left behind', async () => {
    const first = await openJsonlSink(path());
    first.write(sampleHeader());
    writeSteps(first, 1, 7);
    first.write({ kind: 'evaluation', step: 5, time: 0, name: 'test', metrics: { accuracy: 0.5 } });
    first.write({ kind: 'evaluation', step: 6, time: 0, name: 'test', metrics: { accuracy: 0.6 } });
    first.write({ kind: 'end', step: 5, time: 0, reason: 'aborted' });
    await first.close();
    await appendFile(path(), '{"kind":"scalars","step":8,"ti');

    const second = await openJsonlSink(path(), { resumeAt: 5 });
    second.write({ ...sampleHeader(), name: 'ignored' });
    writeSteps(second, 6, 9);
    await second.close();

    const records = parseRecords(await readFile(path(), 'utf8'));
    expect(records.filter(({ kind }) => kind === 'run')).toEqual([sampleHeader()]);
    expect(records.flatMap((record) => (record.kind === 'scalars' ? [record.step] : []))).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]);
    expect(records.flatMap((record) => (record.kind === 'evaluation' ? [record.step] : []))).toEqual([5]);
    expect(records.some(({ kind }) => kind === 'end' || kind === 'warning')).toBe(false);
    const [run] = await readRuns(path());
    expect(run?.resumedAt).toEqual([5]);
    expect(run?.series.get('loss')?.steps).toHaveLength(9);
    expect((await readdir(join(folder, 'made', 'for', 'it'))).sort()).toEqual(['metrics.jsonl']);
  });

  test('damaged lines in the middle are removed with a warning', async () => {
    const lines = [sampleHeader(), loss(1)].map(encodeRecord).join('');
    await writeFile(join(folder, 'metrics.jsonl'), `${lines}\0\0\0\n${encodeRecord(loss(2))}`);
    const sink = await openJsonlSink(join(folder, 'metrics.jsonl'), { resumeAt: 2 });
    await sink.close();
    const [run] = await readRuns(join(folder, 'metrics.jsonl'));
    expect(run?.series.get('loss')?.steps).toEqual([1, 2]);
    expect(run?.warnings[0]?.message).toMatch(/1 unreadable line/u);
  });

  test('a run that is resumed without an earlier file writes its header', async () => {
    const sink = await openJsonlSink(path(), { resumeAt: 10 });
    sink.write(sampleHeader());
    sink.write(loss(11));
    await sink.close();
    expect(parseRecords(await readFile(path(), 'utf8')).map(({ kind }) => kind)).toEqual(['run', 'scalars']);
  });

  test('a folder in the way is a typed error', async () => {
    await expect(openJsonlSink(folder, { replace: true })).rejects.toThrow(MetricsSinkError);
  });

  // /dev/full takes no byte: it is a full disk.
  (existsSync('/dev/full') ? test : test.skip)('a full disk is a typed error, and stays one', async () => {
    const sink = await openJsonlSink('/dev/full', { replace: true });
    sink.write(loss(1));
    expect(() => sink.flush()).toThrow(MetricsSinkError);
    expect(() => sink.write(loss(2))).toThrow(
      /Cannot write metrics to \/dev\/full: .*ENOSPC.*resume from the last checkpoint/u,
    );
    await sink.close();
  });
});

describe('replacing a file', () => {
  test('leftovers of a killed process are removed, and are no event files while they are there', async () => {
    const path = join(folder, 'events.out.tfevents.1.updraft');
    let during: string[] = [];
    await writeFile(join(folder, '.events.out.rewritten.1.updraft.99.tmp'), 'torn');
    await writeFile(join(folder, '.events.out.rewritten.1.updraft.x.99.tmp'), 'of another file');
    async function* content() {
      yield 'new';
      during = await readdir(folder);
    }
    await replaceFile(path, content());
    expect(during).toHaveLength(2);
    expect(during.filter((name) => name.includes('tfevents'))).toEqual([]);
    expect((await readdir(folder)).sort()).toEqual([
      '.events.out.rewritten.1.updraft.x.99.tmp',
      'events.out.tfevents.1.updraft',
    ]);
    expect(await readFile(path, 'utf8')).toBe('new');
  });

  test('a failure leaves the old content and nothing else', async () => {
    const path = join(folder, 'metrics.jsonl');
    await writeFile(path, 'old');
    async function* content() {
      yield 'half';
      throw new Error('no more');
    }
    await expect(replaceFile(path, content())).rejects.toThrow('no more');
    expect(await readdir(folder)).toEqual(['metrics.jsonl']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });
});

describe('readRuns', () => {
  test('names the line that is damaged, but ignores a torn last one', async () => {
    const path = join(folder, 'metrics.jsonl');
    await writeFile(path, `${encodeRecord(sampleHeader())}${encodeRecord(loss(1))}{"kind":`);
    expect((await readRuns(path))[0]?.series.get('loss')?.steps).toEqual([1]);
    await appendFile(path, `\n${encodeRecord(loss(2))}`);
    await expect(readRuns(path)).rejects.toThrow(/metrics\.jsonl, line 3: not JSON/u);
  });

  test('a missing file is a typed error', async () => {
    await expect(readRuns(join(folder, 'missing.jsonl'))).rejects.toThrow(MetricsFileError);
  });
});

describe('TensorBoard', () => {
  async function events() {
    const names = (await readdir(folder)).sort();
    const files = await Promise.all(names.map((name) => readFile(join(folder, name))));
    return files.map((bytes) => {
      const { records, end } = readFramedRecords(bytes);
      expect(end).toBe(bytes.length);
      return records.map((record) => {
        const event = fromBinary(EventSchema, record);
        return { step: Number(event.step), what: event.what.case };
      });
    });
  }
  const summaries = (steps: readonly number[]) => steps.map((step) => ({ step, what: 'summary' }));
  const version = { step: 0, what: 'fileVersion' };

  test('a file starts with its version; records without a place are left out', async () => {
    const sink = await openTensorBoardSink(folder);
    writeSteps(sink, 1, 2);
    sink.write({ kind: 'memory', peakBytes: 5 });
    await sink.close();
    expect(await events()).toEqual([[version, ...summaries([1, 2])]]);
    expect((await readdir(folder))[0]).toMatch(/^events\.out\.tfevents\.\d{10}\.\d{3}\.updraft\.\d+\.\d{4}$/u);
  });

  test('a resumed run has every step once over all files, torn ends removed', async () => {
    const first = await openTensorBoardSink(folder);
    writeSteps(first, 1, 6);
    await first.close();
    const [name = ''] = await readdir(folder);
    await appendFile(join(folder, name), new Uint8Array([9, 0, 0, 0, 0, 0, 0]));
    await writeFile(join(folder, 'events.out.tfevents.1.somebody'), '');

    const second = await openTensorBoardSink(folder, { resumeAt: 4 });
    writeSteps(second, 5, 8);
    await second.close();
    const third = await openTensorBoardSink(folder, { resumeAt: 7 });
    writeSteps(third, 8, 8);
    await third.close();

    const start = (step: number) => ({ step, what: 'sessionLog' });
    // In the order of the names, which is the one in which TensorBoard reads them.
    expect(await events()).toEqual([
      [],
      [version, ...summaries([1, 2, 3, 4])],
      [version, start(5), ...summaries([5, 6, 7])],
      [version, start(8), ...summaries([8])],
    ]);
  });

  test('an earlier run is not mixed in by accident; replacing leaves the files of others alone', async () => {
    await writeFile(join(folder, 'events.out.tfevents.1.somebody'), 'theirs');
    await (await openTensorBoardSink(folder)).close();
    await expect(openTensorBoardSink(folder)).rejects.toThrow(/earlier run/u);
    await (await openTensorBoardSink(folder, { replace: true })).close();
    expect(await readdir(folder)).toHaveLength(2);
    expect((await stat(join(folder, 'events.out.tfevents.1.somebody'))).size).toBe(6);
  });
});
