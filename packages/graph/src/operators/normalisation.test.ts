import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Graph } from '../graph.js';
import type { Tensor } from '../tensor.js';
import {
  batchNormalization,
  batchNormalizationTraining,
  groupNormalization,
  instanceNormalization,
  layerNormalization,
  layerNormalizationWithStatistics,
  lpNormalization,
  lrn,
  meanVarianceNormalization,
  rmsNormalization,
} from './normalisation.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

const sizes = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  h: fc.integer({ min: 1, max: 4 }),
  w: fc.integer({ min: 1, max: 4 }),
});

test('per-channel normalisations have the shape of their input, statistics that of the channels', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1, max: 2 }), async (bindings, groups) => {
      const channels = 2 * groups;
      await expectRuntimeTypes((graph, size) => {
        const x = graph.input('x', 'float32', [size('n'), channels, size('h'), size('w')]);
        const [scale, bias, mean, variance] = ['s', 'b', 'm', 'v'].map((name) =>
          graph.input(name, 'float32', [channels]),
        ) as [Tensor, Tensor, Tensor, Tensor];
        const training = batchNormalizationTraining(x, scale, bias, mean, variance, { momentum: 0.8 });
        return [
          batchNormalization(x, scale, bias, mean, variance),
          training.output,
          training.runningMean,
          training.runningVariance,
          instanceNormalization(x, scale, bias),
          groupNormalization(x, scale, bias, { groups }),
          lrn(x, { size: 3 }),
          meanVarianceNormalization(x),
          lpNormalization(x, { axis: 1, p: 1 }),
        ];
      }, bindings);
    }),
    { numRuns: 10 },
  );
});

test('layer normalisations keep normalised axes of statistics with size 1', async () => {
  for (const axis of [-1, -2, 0, 1, 2])
    await expectRuntimeTypes(
      (graph, size) => {
        const shape = [size('n'), size('h'), 3];
        const x = graph.input('x', 'float32', shape);
        const scale = graph.input('s', 'float32', shape.slice(axis));
        const { output, mean, inverseStandardDeviation } = layerNormalizationWithStatistics(x, scale, scale, { axis });
        return [
          output,
          mean,
          inverseStandardDeviation,
          layerNormalization(x, scale, undefined, { axis }),
          rmsNormalization(x, scale, { axis }),
        ];
      },
      { n: 2, h: 4 },
    );
});

test('errors', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['n', 6, 'h']);
  const six = graph.input('six', 'float32', [6]);
  const five = graph.input('five', 'float32', [5]);
  expect(() => batchNormalization(x, six, five, six, six)).toThrow(
    /channels of \[n, 6, h\] and input 2: 6 and 5 differ/,
  );
  expect(() => groupNormalization(x, six, six, { groups: 4 })).toThrow(/6 channels do not divide into 4 groups/);
  expect(() => layerNormalization(x, six, undefined, { axis: 3 })).toThrow(/axis 3 is out of range for \[n, 6, h\]/);
  expect(() => layerNormalization(graph.input('y', 'float32', ['n', 5]), six)).toThrow(
    /the scale \[6\] against \[5\]: 5 and 6 differ/,
  );
  expect(() => instanceNormalization(graph.input('z', 'float32', ['n', 6]), six, six)).toThrow(/no spatial axis/);
  expect(() => lrn(x, { size: 0 })).toThrow(/size is 0/);
});
