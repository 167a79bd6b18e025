import { readFileSync } from 'node:fs';
import { testReward, type ObjectiveSettings } from '@updraft/testing';
import { ClippedSurrogate, clippedSurrogate } from '../index.js';

const golden = JSON.parse(
  readFileSync(new URL('../../golden/clipped-surrogate.json', import.meta.url), 'utf8'),
) as unknown;

const objective: ObjectiveSettings = {
  columns: {
    tokens: { dataType: 'int64', shape: ['batch', 3] },
    advantage: { dataType: 'float32', shape: ['batch'] },
    oldLogProbs: { dataType: 'float32', shape: ['batch', 3] },
  },
  outputs: { logits: { dataType: 'float32', shape: ['batch', 3, 4] } },
};

testReward(ClippedSurrogate, {
  objective,
  golden: [golden],
  effects: { mask: { value: 'another' }, aggregation: { value: 'sequence-sum' } },
});

// With a mask, the mean over tokens is no mean over sequences.
testReward(
  { name: 'masked clipped surrogate', create: () => clippedSurrogate({ mask: 'mask' }) },
  {
    objective: {
      ...objective,
      columns: { ...objective.columns, mask: { dataType: 'float32', shape: ['batch', 3] } },
      mean: false,
      batch: (size, random) => ({
        tokens: {
          dataType: 'int64',
          dims: [size, 3],
          data: BigInt64Array.from({ length: 3 * size }, () => BigInt(random.integer(4))),
        },
        advantage: {
          dataType: 'float32',
          dims: [size],
          data: Float32Array.from({ length: size }, () => random.normal()),
        },
        oldLogProbs: {
          dataType: 'float32',
          dims: [size, 3],
          data: Float32Array.from({ length: 3 * size }, () => -1.4 + 0.1 * random.normal()),
        },
        mask: {
          dataType: 'float32',
          dims: [size, 3],
          data: Float32Array.from({ length: 3 * size }, (_, at) => (at % 3 < 1 + (Math.floor(at / 3) % 3) ? 1 : 0)),
        },
      }),
    },
  },
);
