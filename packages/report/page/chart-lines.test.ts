import { describe, expect, test } from '@jest/globals';
import { chartLines, describeLines, type Entry, type SourceLine, type ViewState } from './chart-lines.js';
import { interpolate, nearestIndex } from './interpolate.js';
import { smooth } from './smooth.js';

const state: ViewState = { smoothing: 0, logScale: false, axis: 'step', baseline: undefined, hiddenEntries: new Set() };

function entry(label: string, color: number, ...runs: Record<string, SourceLine>[]): Entry {
  return {
    label,
    name: label,
    color,
    runs: runs.map((lines) => Object.entries(lines).map(([part, line]) => ({ key: 'loss', label: part, line }))),
  };
}

function line(steps: number[], values: number[]): SourceLine {
  return { steps, values, seconds: steps.map((step) => step / 10) };
}

test('smoothing is an average with bias correction', () => {
  // Weight 0.5: sums 0.5·2, 0.5·1 + 0.5·4, 0.5·2.5 + 0.5·8, over 1 − 0.5, 1 − 0.25, 1 − 0.125.
  expect(smooth([2, 4, 8], 0.5)).toEqual([2, 2.5 / 0.75, 5.25 / 0.875]);
  expect(smooth([3, 3, 3, 3], 0.9).every((value) => Math.abs((value ?? 0) - 3) < 1e-12)).toBe(true);
  expect(smooth([1, null, 1], 0.5)).toEqual([1, null, 1]);
  expect(smooth([1, 5], 0)).toEqual([1, 5]);
});

test('interpolation', () => {
  expect([-1, 0, 5, 10, 15, 21].map((at) => interpolate([0, 10, 20], [0, 100, 0], at))).toEqual([
    undefined,
    0,
    50,
    100,
    50,
    undefined,
  ]);
  expect(interpolate([0, 10], [null, 1], 5)).toBeUndefined();
  expect(interpolate([0, 10], [null, 1], 10)).toBe(1);
  expect(interpolate([], [], 0)).toBeUndefined();
  expect([-5, 4, 6, 99].map((at) => nearestIndex([0, 10, 20], at))).toEqual([0, 0, 1, 2]);
});

describe('lines of a chart', () => {
  test('one run: a colour per series', () => {
    const lines = chartLines(
      'loss',
      ['training', 'test'],
      [entry('run', 0, { training: line([1, 2], [3, 4]), test: line([2], [5]) })],
      state,
    );
    expect(lines.map(({ name, color, dash, x, y }) => ({ name, color, dash, x, y }))).toEqual([
      { name: 'training', color: 0, dash: 0, x: [1, 2], y: [3, 4] },
      { name: 'test', color: 1, dash: 0, x: [2], y: [5] },
    ]);
  });

  test('several runs: a colour per run, a dash per series; hidden ones are left out, the baseline is marked', () => {
    const entries = [
      entry('a', 0, { training: line([1], [1]) }),
      entry('b', 1, { training: line([1], [2]) }),
      entry('c', 2, { training: line([1], [3]) }),
    ];
    const lines = chartLines('loss', ['training'], entries, { ...state, baseline: 2, hiddenEntries: new Set([0]) });
    expect(lines.map(({ name, color, isBaseline }) => [name, color, isBaseline])).toEqual([
      ['b', 1, false],
      ['c', 2, true],
    ]);
  });

  test('seeds: mean and range, where each has a value', () => {
    const seeds = entry('seeds', 0, { training: line([0, 10], [0, 10]) }, { training: line([0, 5, 20], [2, 2, 5]) });
    const [summary] = chartLines('loss', ['training'], [seeds], state);
    // At 5 the first is 5 and the second 2; at 10 the second is 3; at 20 only the second is left.
    expect(summary).toMatchObject({
      x: [0, 5, 10, 20],
      y: [1, 3.5, 6.5, 5],
      low: [0, 2, 3, 5],
      high: [2, 5, 10, 5],
      runCount: 2,
    });
  });

  test('seeds with more positions than a chart can show keep their extremes', () => {
    const steps = Array.from({ length: 2000 }, (_value, index) => index);
    const flat = line(
      steps,
      steps.map(() => 1),
    );
    const spiked = line(
      steps,
      steps.map((step) => (step === 1234 ? 50 : 1)),
    );
    const [summary] = chartLines(
      'loss',
      ['training'],
      [entry('seeds', 0, { training: flat }, { training: spiked })],
      state,
    );
    expect(summary?.x.length).toBe(400);
    expect(summary?.high?.filter((value) => value === 50)).toHaveLength(1);
    // One of five positions of the bin has the mean 25.5, the others 1.
    expect(Math.max(...(summary?.y ?? []).map(Number))).toBeCloseTo((25.5 + 4) / 5, 12);
    expect(summary?.low?.every((value) => value === 1)).toBe(true);
  });

  test('a logarithmic axis has gaps for what it cannot show; time can be the axis', () => {
    const [drawn] = chartLines('loss', ['training'], [entry('run', 0, { training: line([1, 2, 3], [1, 0, -1]) })], {
      ...state,
      logScale: true,
      axis: 'time',
    });
    expect(drawn).toMatchObject({ x: [0.1, 0.2, 0.3], y: [1, null, null] });
  });

  test('two steps within one tick of the clock are one point in time', () => {
    const source = { steps: [1, 2, 3], seconds: [5, 5, 6], values: [1, 2, 3] };
    expect(
      chartLines('loss', ['training'], [entry('run', 0, { training: source })], { ...state, axis: 'time' })[0],
    ).toMatchObject({ x: [5, 6], y: [1, 3] });
  });

  test('smoothing keeps the raw line, and leaves a handful of points alone', () => {
    const many = Array.from({ length: 40 }, (_value, index) => index);
    const source = {
      training: line(
        many,
        many.map((index) => index % 2),
      ),
      test: line([1, 2], [0, 1]),
    };
    const [training, evaluations] = chartLines('loss', ['training', 'test'], [entry('run', 0, source)], {
      ...state,
      smoothing: 0.9,
    });
    expect(training?.raw).toEqual(source.training.values);
    expect(Math.abs((training?.y.at(-1) ?? 0) - 0.5)).toBeLessThan(0.05);
    expect(evaluations).toMatchObject({ y: [0, 1] });
    expect(evaluations?.raw).toBeUndefined();
  });
});

test('the description of a chart says where its lines go', () => {
  const lines = chartLines('loss', ['training'], [entry('run', 0, { training: line([1, 2, 3], [3, 0.5, 1]) })], state);
  expect(describeLines('Loss', lines, String)).toBe('Loss. training: 3 points from 3 to 1, lowest 0.5, highest 3.');
});
