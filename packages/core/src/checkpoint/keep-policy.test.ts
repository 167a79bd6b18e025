import { expect, test } from '@jest/globals';
import { scoreOf, superfluous } from './keep-policy.js';

const all = [0.5, 0.2, undefined, 0.9, 0.2, 0.7].map((score, index) => ({
  name: `c${index}`,
  step: (index + 1) * 10,
  score,
}));

test('the newest stay', () => {
  expect(superfluous(all, {})).toEqual(['c0', 'c1', 'c2']);
  expect(superfluous(all, { last: 0 })).toEqual(['c0', 'c1', 'c2', 'c3', 'c4']);
  expect(superfluous(all, { last: 9 })).toEqual([]);
});

test('multiples of a step stay', () => {
  expect(superfluous(all, { last: 1, every: 20 })).toEqual(['c0', 'c2', 'c4']);
});

test('the best stay, the older one of equals', () => {
  expect(superfluous(all, { last: 1, best: { count: 1 } })).toEqual(['c0', 'c2', 'c3', 'c4']);
  expect(superfluous(all, { last: 1, best: { count: 2, highest: true } })).toEqual(['c0', 'c1', 'c2', 'c4']);
});

test('scores come from the evaluation, or from the training loss', () => {
  const manifest = {
    format: 1,
    step: 1,
    seed: 0,
    loss: 2,
    config: null,
    samplerState: null,
    createdAt: '',
    metrics: { accuracy: 0.5 },
  };
  expect(scoreOf(manifest, { count: 1 })).toBe(2);
  expect(scoreOf({ ...manifest, metrics: { loss: 3 } }, { count: 1 })).toBe(3);
  expect(scoreOf(manifest, { count: 1, metric: 'accuracy' })).toBe(0.5);
  expect(scoreOf(manifest, { count: 1, metric: 'other' })).toBeUndefined();
  expect(scoreOf({ ...manifest, loss: null }, { count: 1 })).toBeUndefined();
});
