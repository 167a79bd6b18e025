import { testSampler } from '@updraft/testing';
import { fromTensors } from './in-memory.js';
import { InOrderSampler, ShuffledSampler } from './samplers.js';
import { provideDataset } from './dataset-service.js';

const examples = 10;
const source = {
  x: {
    dataType: 'float32',
    dims: [examples, 2],
    data: Float32Array.from({ length: 2 * examples }, (_, index) => Math.sin(index)),
  },
  label: {
    dataType: 'int64',
    dims: [examples],
    data: BigInt64Array.from({ length: examples }, (_, index) => BigInt(index % 3)),
  },
} as const;
const container = () => provideDataset(fromTensors(source));
const candidates = () => source;

testSampler(ShuffledSampler, {
  container,
  candidates,
  options: { batchSize: 4, dropLast: false },
  unbounded: ['seed'],
  passes: { examples },
  effects: {
    epochs: { value: 1 },
    transform: {
      value: (columns: Record<string, { data: Float32Array }>) => {
        columns['x']?.data.fill(0);
      },
    },
  },
});
testSampler(ShuffledSampler, {
  container,
  candidates,
  options: { batchSize: 4, seed: 5 },
  unbounded: ['seed'],
  random: false,
  passes: { examples, dropsLast: true },
  probabilities: Array.from({ length: examples }, () => 1 / examples),
  waive: { 'options-matter': 'shown above' },
});
testSampler(InOrderSampler, {
  container,
  candidates,
  options: { batchSize: 4, epochs: 2 },
  random: false,
  draws: 6,
  ends: 6,
  passes: { examples },
});
