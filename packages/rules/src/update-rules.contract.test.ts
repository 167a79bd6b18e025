import type { ScalarValue, UpdateRule } from '@updraft/core';
import { testUpdateRule } from '@updraft/testing';
import {
  Adafactor,
  Adam,
  AdamW,
  clipByGlobalNorm,
  clipByNorm,
  clipByValue,
  chain,
  decoupledWeightDecay,
  Muon,
  Rmsprop,
  schedules,
  Sgd,
  adam,
  sgd,
} from './index.js';

const rate = { learningRate: 0.05 };

testUpdateRule(Sgd, {
  options: { learningRate: 0.05, momentum: 0.5 },
  effects: { nesterov: { value: true, with: { momentum: 0.5 } } },
  rosenbrock: { options: { learningRate: 5e-4, momentum: 0.9 } },
});
testUpdateRule(Adam, { options: rate });
testUpdateRule(AdamW, {
  options: { ...rate, weightDecay: 1e-4 },
  effects: { decay: { value: () => false, with: { weightDecay: 0.5 } } },
});
testUpdateRule(Rmsprop, {
  options: rate,
  parabola: { options: { learningRate: schedules.linear({ from: 0.1, to: 1e-3, steps: 400 }) } },
  rosenbrock: { options: { learningRate: 2e-3 }, steps: 4000 },
});
testUpdateRule(Adafactor, {
  options: rate,
  effects: { minimumScale: { value: 5 }, minimumFactoredSize: { value: 1 } },
  rosenbrock: { options: { learningRate: 0.01, scaleByParameter: false }, steps: 4000 },
});
testUpdateRule(Muon, {
  options: rate,
  params: { first: { shape: [3, 2], role: 'weight' }, second: { shape: [3, 2], role: 'weight' } },
  // Steps have the same length wherever the rule is: only a smaller rate gets closer.
  parabola: { options: { learningRate: schedules.linear({ from: 0.1, to: 1e-3, steps: 400 }) } },
  rosenbrock: { options: { learningRate: schedules.linear({ from: 0.02, to: 1e-4, steps: 2000 }) } },
});

const clipped = (name: string, clip: () => UpdateRule, learningRate: ScalarValue = 0.005) =>
  ({ name: `chain(${name}, sgd)`, create: () => chain(clip(), sgd({ learningRate })) }) as const;
const slowly = { parabola: { steps: 2000 }, rosenbrock: { steps: 4000 } };
testUpdateRule(
  clipped('clipByGlobalNorm', () => clipByGlobalNorm(2)),
  { ...slowly, separable: false },
);
testUpdateRule(
  clipped('clipByNorm', () => clipByNorm(2)),
  slowly,
);
// Clipped coordinates turn the step: steep valleys need a rate that is stable without clipping in the end.
testUpdateRule(
  clipped('clipByValue', () => clipByValue(2), schedules.linear({ from: 5e-3, to: 1e-3, steps: 4000 })),
  { parabola: { steps: 4000 }, rosenbrock: { steps: 4000, below: 1 } },
);
testUpdateRule({
  name: 'chain(adam, decoupledWeightDecay)',
  create: () => chain(adam(rate), decoupledWeightDecay(1e-4, 0.05)),
});
