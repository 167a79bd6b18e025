import { describe, expect, test } from '@jest/globals';
import { gather, type Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import {
  ADDITION_SYMBOLS,
  additionSequences,
  blobs,
  copySequences,
  linearRegression,
  spirals,
  teacherStudent,
  twoMoons,
} from './index.js';

const column = (dataset: Dataset, name: string): number[] =>
  Array.from(
    gather(
      dataset,
      Array.from({ length: dataset.length }, (_, index) => index),
    )[name]?.data as BigInt64Array | Float32Array,
    Number,
  );

describe.each<[string, (options: { count: number; seed: number }) => Dataset]>([
  ['blobs', blobs],
  ['twoMoons', twoMoons],
  ['spirals', spirals],
  ['linearRegression', linearRegression],
  ['teacherStudent', teacherStudent],
  ['copySequences', copySequences],
  ['additionSequences', additionSequences],
])('%s', (_, make) => {
  test('the seed decides', () => {
    const [a, b, c] = [make({ count: 20, seed: 1 }), make({ count: 20, seed: 1 }), make({ count: 20, seed: 2 })];
    const first = Object.keys(a.columns)[0] as string;
    expect(column(a, first)).toEqual(column(b, first));
    expect(column(a, first)).not.toEqual(column(c, first));
    expect(() => make({ count: 0, seed: 1 })).toThrow(DataError);
    expect(() => make({ count: 1.5, seed: 1 })).toThrow(DataError);
  });
});

test('blobs lie about points of the unit circle', () => {
  const dataset = blobs({ count: 3000, classes: 4, deviation: 0.1 });
  const [x, label] = [column(dataset, 'x'), column(dataset, 'label')];
  for (let cls = 0; cls < 4; cls++) {
    const rows = label.flatMap((value, row) => (value === cls ? [row] : []));
    const mean = (axis: number): number =>
      rows.reduce((sum, row) => sum + (x[2 * row + axis] as number), 0) / rows.length;
    expect(mean(0)).toBeCloseTo(Math.cos((cls * Math.PI) / 2), 1);
    expect(mean(1)).toBeCloseTo(Math.sin((cls * Math.PI) / 2), 1);
  }
});
test('moons without noise lie on their half circles', () => {
  const dataset = twoMoons({ count: 100, noise: 0 });
  const [x, label] = [column(dataset, 'x'), column(dataset, 'label')];
  label.forEach((lower, row) => {
    const [a, b] = [x[2 * row] as number, x[2 * row + 1] as number];
    expect(lower ? Math.hypot(a - 1, b - 0.5) : Math.hypot(a, b)).toBeCloseTo(1, 5);
    expect(lower ? b <= 0.5 : b >= 0).toBe(true);
  });
});
test('arms of a spiral are turned copies of each other', () => {
  const dataset = spirals({ count: 300, classes: 3, turns: 1, noise: 0 });
  const [x, label] = [column(dataset, 'x'), column(dataset, 'label')];
  label.forEach((arm, row) => {
    const [a, b] = [x[2 * row] as number, x[2 * row + 1] as number];
    const radius = Math.hypot(a, b);
    const turned = Math.atan2(b, a) / (2 * Math.PI) - radius - arm / 3;
    expect(turned - Math.round(turned)).toBeCloseTo(0, 4);
    expect(radius).toBeLessThanOrEqual(1);
  });
});
test('a regression without noise is linear, and a task has one truth', () => {
  const [a, b] = [
    linearRegression({ count: 4, features: 2, noise: 0 }),
    linearRegression({ count: 4, features: 2, noise: 0, seed: 9 }),
  ];
  const rows = (dataset: Dataset): [number, number, number][] => {
    const [x, target] = [column(dataset, 'x'), column(dataset, 'target')];
    return target.map((value, row) => [x[2 * row] as number, x[2 * row + 1] as number, value]);
  };
  // Three rows of one set determine weights and offset (Cramer's rule); the other rows of both sets obey them.
  const [[x1, y1, t1], [x2, y2, t2], [x3, y3, t3]] = rows(a) as [
    [number, number, number],
    [number, number, number],
    [number, number, number],
  ];
  const det = (x2 - x1) * (y3 - y1) - (x3 - x1) * (y2 - y1);
  const w = ((t2 - t1) * (y3 - y1) - (t3 - t1) * (y2 - y1)) / det;
  const v = ((x2 - x1) * (t3 - t1) - (x3 - x1) * (t2 - t1)) / det;
  const offset = t1 - w * x1 - v * y1;
  for (const [x, y, t] of [...rows(a), ...rows(b)]) expect(w * x + v * y + offset).toBeCloseTo(t, 3);
});
test('a teacher uses all of its classes, and label noise changes about its share', () => {
  const options = { count: 2000, classes: 4 };
  const clean = column(teacherStudent(options), 'label');
  expect(new Set(clean).size).toBe(4);
  expect(column(teacherStudent({ ...options, task: 1 }), 'label')).not.toEqual(clean);
  expect(column(teacherStudent({ ...options, task: 1 }), 'x')).toEqual(column(teacherStudent(options), 'x'));
});
test('copies are copies', () => {
  const dataset = copySequences({ count: 50, length: 5, symbols: 3 });
  const [tokens, label, mask] = ['tokens', 'label', 'mask'].map((name) => column(dataset, name)) as [
    number[],
    number[],
    number[],
  ];
  expect(dataset.columns['tokens']?.shape).toEqual([10]);
  for (let row = 0; row < 50; row++) {
    const input = tokens.slice(10 * row, 10 * row + 10);
    const output = label.slice(10 * row, 10 * row + 10);
    expect(input.slice(1)).toEqual(output.slice(0, -1));
    expect(input[5]).toBe(0);
    expect(output.slice(5)).toEqual(input.slice(0, 5));
    expect(Math.max(...input)).toBeLessThanOrEqual(3);
    expect(mask.slice(10 * row, 10 * row + 10)).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  }
});
test.each([false, true])('sums are right (reversed: %s)', (reversed) => {
  const dataset = additionSequences({ count: 100, digits: 3, reversed });
  const width = dataset.columns['tokens']?.shape[0] as number;
  const [tokens, label, mask] = ['tokens', 'label', 'mask'].map((name) => column(dataset, name)) as [
    number[],
    number[],
    number[],
  ];
  for (let row = 0; row < 100; row++) {
    const whole = [tokens[row * width], ...label.slice(row * width, (row + 1) * width)];
    const text = whole.map((token) => ADDITION_SYMBOLS[token as number]).join('');
    const [, a, b, sum] = /^(\d{3})\+(\d{3})=(\d{4})$/.exec(text) as unknown as [string, string, string, string];
    expect(Number(reversed ? [...sum].reverse().join('') : sum)).toBe(Number(a) + Number(b));
    const answer = label.slice(row * width, (row + 1) * width).filter((_, at) => mask[row * width + at] === 1);
    expect(answer.map((token) => ADDITION_SYMBOLS[token]).join('')).toBe(sum);
  }
});
