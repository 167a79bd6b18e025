import { readFileSync } from 'node:fs';
import { testUpdateRule } from '@updraft/testing';
import { Lars, schedules } from './index.js';

const golden = JSON.parse(readFileSync(new URL('../golden/lars.json', import.meta.url), 'utf8')) as unknown;

// Steps are as long as the parameter says, so that only a smaller rate gets closer.
const options = { learningRate: 0.1, eta: 0.5, momentum: 0.5 };
testUpdateRule(Lars, {
  options,
  effects: { weightDecay: { value: 0.5 }, excludeOneD: { value: false, with: { weightDecay: 0.5 } } },
  golden: [golden],
  parabola: {
    options: { ...options, learningRate: schedules.linear({ from: 0.1, to: 1e-4, steps: 400 }) },
  },
  rosenbrock: {
    options: {
      excludeOneD: false,
      eta: 0.5,
      momentum: 0.5,
      learningRate: schedules.linear({ from: 0.02, to: 1e-4, steps: 2000 }),
    },
  },
});
