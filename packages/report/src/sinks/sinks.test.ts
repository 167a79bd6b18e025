import { expect, test } from '@jest/globals';
import { sampleHeader, sampleRecords } from '../../test/sample-runs.js';
import { foldRuns } from '../records/fold-run.js';
import type { MetricRecord } from '../records/metric-record.js';
import { parseRecords } from '../records/parse-records.js';
import { createJsonlSink } from './jsonl-sink.js';
import { createRunRecorder } from './run-recorder.js';
import { teeSink } from './tee-sink.js';

test('the recorder holds the run that its records make, and a snapshot does not change', () => {
  const recorder = createRunRecorder();
  expect(() => recorder.run()).toThrow(/No run/u);
  expect(() => recorder.write({ kind: 'memory', peakBytes: 1 })).toThrow(/kind "memory" came before the header/u);
  const records = sampleRecords({ steps: 20 });
  for (const record of records.slice(0, 10)) recorder.write(record);
  const early = recorder.run();
  const earlySteps = early.series.get('loss')?.steps.length;
  for (const record of records.slice(10)) recorder.write(record);
  expect(recorder.run()).toEqual(foldRuns(records)[0]);
  expect(early.series.get('loss')?.steps).toHaveLength(earlySteps ?? -1);
});

test('a tee writes to all, though one fails, and throws what happened', async () => {
  const lines: string[] = [];
  const fails = {
    write: () => {
      throw new Error('full');
    },
    flush: () => Promise.reject(new Error('no flush')),
    close: () => {},
  };
  const sink = teeSink(
    fails,
    createJsonlSink((line) => lines.push(line)),
    fails,
  );
  const record: MetricRecord = sampleHeader();
  expect(() => sink.write(record)).toThrow(AggregateError);
  expect(parseRecords(lines.join(''))).toEqual([record]);
  await expect(sink.flush()).rejects.toThrow(AggregateError);
  await expect(sink.close()).resolves.toBeUndefined();
  await expect(teeSink(fails).flush()).rejects.toThrow('no flush');
});
