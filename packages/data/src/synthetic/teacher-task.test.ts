import { expect, test } from '@jest/globals';
import { gather, type Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { teacherTask } from './teacher-task.js';

const column = (dataset: Dataset, name: string): number[] =>
  Array.from(
    gather(
      dataset,
      Array.from({ length: dataset.length }, (_, index) => index),
    )[name]?.data as BigInt64Array | Float32Array,
    Number,
  );
const parts = { train: 3000, test: 1000 };

test('the seed decides, and inputs are standard normal', () => {
  const [a, b, c] = [teacherTask({ parts, seed: 1 }), teacherTask({ parts, seed: 1 }), teacherTask({ parts, seed: 2 })];
  expect(column(a.train, 'label')).toEqual(column(b.train, 'label'));
  expect(column(a.train, 'label')).not.toEqual(column(c.train, 'label'));
  const x = column(a.train, 'x');
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  // Standard errors of mean and variance of 96,000 draws are 0.0032 and 0.0046.
  expect(Math.abs(mean)).toBeLessThan(0.015);
  expect(Math.abs(x.reduce((sum, value) => sum + value ** 2, 0) / x.length - 1)).toBeLessThan(0.02);
});

test('centred classes are all in use, none of them by most examples', () => {
  const labels = column(teacherTask({ parts, classes: 10, seed: 3 }).train, 'label');
  const counts = Array.from({ length: 10 }, (_, label) => labels.filter((value) => value === label).length);
  expect(Math.min(...counts)).toBeGreaterThan(30);
  expect(Math.max(...counts)).toBeLessThan(900);
});

test('label noise replaces about its share, in its part only, and leaves the examples', () => {
  const [clean, noisy] = [teacherTask({ parts, seed: 4 }), teacherTask({ parts, labelNoise: { train: 0.1 }, seed: 4 })];
  expect(column(noisy.test, 'label')).toEqual(column(clean.test, 'label'));
  expect(column(noisy.train, 'x')).toEqual(column(clean.train, 'x'));
  const [before, after] = [column(clean.train, 'label'), column(noisy.train, 'label')];
  const changed = before.filter((label, at) => label !== after[at]).length / before.length;
  // A tenth of the replacements hit the old label: 0.09 ± 0.0052.
  expect(Math.abs(changed - 0.09)).toBeLessThan(0.02);
});

test('one part can be learnt from another: nearest neighbours beat chance by far', () => {
  const { train, test: held } = teacherTask({ parts: { train: 2000, test: 200 }, features: 4, classes: 4, seed: 5 });
  const [x, labels, probe, truth] = [
    column(train, 'x'),
    column(train, 'label'),
    column(held, 'x'),
    column(held, 'label'),
  ];
  const hits = truth.filter((label, row) => {
    let [best, least] = [0, Infinity];
    for (let other = 0; other < labels.length; other++) {
      let distance = 0;
      for (let at = 0; at < 4; at++) distance += ((x[other * 4 + at] as number) - (probe[row * 4 + at] as number)) ** 2;
      if (distance < least) [best, least] = [other, distance];
    }
    return labels[best] === label;
  }).length;
  expect(hits / truth.length).toBeGreaterThan(0.6);
});

test('counts and shares are checked', () => {
  expect(() => teacherTask({ parts: { train: 0 } })).toThrow(DataError);
  expect(() => teacherTask({ parts: { train: 5 }, labelNoise: { train: 1.5 } })).toThrow(/between 0 and 1/);
});
