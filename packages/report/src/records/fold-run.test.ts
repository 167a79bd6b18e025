import { describe, expect, test } from '@jest/globals';
import { sampleHeader } from '../../test/sample-runs.js';
import { foldRuns } from './fold-run.js';
import type { MetricRecord } from './metric-record.js';

const header = sampleHeader();
const scalars = (step: number, values: Record<string, number>): MetricRecord => ({
  kind: 'scalars',
  step,
  time: 1000 * step,
  values,
});

function fold(...records: MetricRecord[]) {
  const [run] = foldRuns([header, ...records]);
  if (run === undefined) throw new Error('no run');
  return run;
}

test('scalars become series in columns, each with the steps it has', () => {
  const run = fold(scalars(1, { loss: 3 }), scalars(2, { loss: 2, extra: 9 }), scalars(4, { loss: 1 }));
  expect(run.series.get('loss')).toEqual({ steps: [1, 2, 4], values: [3, 2, 1], originalLength: 3, nonFinite: 0 });
  expect(run.series.get('extra')?.steps).toEqual([2]);
  expect(run.clock).toEqual({ steps: [1, 2, 4], times: [1000, 2000, 4000] });
});

describe('a run that was resumed', () => {
  const before: MetricRecord[] = [
    scalars(1, { loss: 5 }),
    scalars(2, { loss: 4 }),
    { kind: 'evaluation', step: 2, time: 0, name: 'test', metrics: { accuracy: 0.5 } },
    scalars(3, { loss: Number.NaN, late: 1 }),
    { kind: 'evaluation', step: 3, time: 0, name: 'test', metrics: { accuracy: 0.1 } },
    { kind: 'warning', step: 3, message: 'the loss is NaN' },
    { kind: 'end', step: 3, time: 0, reason: 'failed' },
  ];

  test('forgets what came after the step of the checkpoint', () => {
    const run = fold(...before, { kind: 'resumed', step: 2, time: 0 });
    expect(run.series.get('loss')).toEqual({ steps: [1, 2], values: [5, 4], originalLength: 2, nonFinite: 0 });
    expect(run.series.has('late')).toBe(false);
    expect(run.evaluations.map(({ step }) => step)).toEqual([2]);
    expect(run.warnings).toEqual([]);
    expect(run.end).toBeUndefined();
    expect(run.clock.steps).toEqual([1, 2]);
    expect(run.resumedAt).toEqual([2]);
  });

  test('equals one that was never interrupted', () => {
    const tail = [scalars(3, { loss: 3 }), scalars(4, { loss: 2 })];
    const resumed = fold(...before, { kind: 'resumed', step: 2, time: 0 }, ...tail);
    const straight = fold(...before.slice(0, 3), ...tail);
    expect({ ...resumed, resumedAt: [] }).toEqual(straight);
  });
});

test('the parts of a resumed run add up their time, and the highest memory counts', () => {
  const run = fold(
    { kind: 'phases', phases: [{ name: 'step', seconds: 99 }] },
    {
      kind: 'phases',
      phases: [
        { name: 'step', seconds: 3, count: 10 },
        { name: 'compile', seconds: 1 },
      ],
    },
    { kind: 'memory', peakBytes: 500 },
    { kind: 'resumed', step: 10, time: 0 },
    { kind: 'phases', phases: [{ name: 'step', seconds: 4, count: 12 }] },
    { kind: 'memory', peakBytes: 300 },
  );
  expect(run.phases?.phases).toEqual([
    { name: 'step', seconds: 7, count: 22 },
    { name: 'compile', seconds: 1 },
  ]);
  expect(run.memory?.peakBytes).toBe(500);
});

test('a second value for a step replaces the first, and NaN are counted once', () => {
  const run = fold(
    scalars(1, { loss: Number.NaN }),
    scalars(1, { loss: 2 }),
    scalars(2, { loss: 1 }),
    scalars(2, { loss: Number.NaN }),
  );
  expect(run.series.get('loss')).toEqual({ steps: [1, 2], values: [2, Number.NaN], originalLength: 2, nonFinite: 1 });
});

test('a step from the past is put where it belongs', () => {
  expect(
    fold(scalars(1, { loss: 1 }), scalars(3, { loss: 3 }), scalars(2, { loss: 2 })).series.get('loss'),
  ).toMatchObject({ steps: [1, 2, 3], values: [1, 2, 3] });
});

test('the latest of each name stays', () => {
  const run = fold(
    { kind: 'check', name: 'export', verdict: 'fail' },
    { kind: 'check', name: 'export', verdict: 'pass' },
    { kind: 'check', name: 'accuracy', verdict: 'pass' },
    { kind: 'memory', peakBytes: 1 },
    { kind: 'memory', peakBytes: 2 },
  );
  expect(run.checks).toEqual([
    { kind: 'check', name: 'export', verdict: 'pass' },
    { kind: 'check', name: 'accuracy', verdict: 'pass' },
  ]);
  expect(run.memory?.peakBytes).toBe(2);
});

test('each header starts a run; what stands before the first is dropped', () => {
  const runs = foldRuns([
    scalars(1, { loss: 9 }),
    header,
    scalars(1, { loss: 1 }),
    { ...header, name: 'second' },
    scalars(1, { loss: 2 }),
  ]);
  expect(runs.map((run) => [run.header.name, run.series.get('loss')?.values])).toEqual([
    ['lenet-mnist', [1]],
    ['second', [2]],
  ]);
});
