import { expect, test } from '@jest/globals';
import { tensor } from '../data-type.js';
import { Graph } from '../graph.js';
import { dropout, dropoutWithMask } from './dropout.js';
import {
  negativeLogLikelihoodLoss,
  softmaxCrossEntropyLoss,
  softmaxCrossEntropyLossWithLogProbabilities,
} from './losses.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

test('losses have the shape of the labels, or none', async () => {
  for (const reduction of ['none', 'sum', 'mean', undefined] as const)
    for (const positions of [[], ['h'], ['h', 'w']])
      await expectRuntimeTypes(
        (graph, size) => {
          const places = positions.map(size);
          const scores = graph.input('scores', 'float32', [size('n'), 4, ...places]);
          const labels = graph.input('labels', 'int64', [size('n'), ...places]);
          const options = { reduction, weights: graph.input('weights', 'float32', [4]), ignoreIndex: -1 };
          const { loss, logProbabilities } = softmaxCrossEntropyLossWithLogProbabilities(scores, labels, options);
          return [
            loss,
            logProbabilities,
            softmaxCrossEntropyLoss(scores, labels),
            negativeLogLikelihoodLoss(scores, labels, options),
          ];
        },
        { n: 3, h: 2, w: 2 },
      );
});

test('losses say which sizes differ', () => {
  const graph = new Graph();
  const scores = graph.input('scores', 'float32', ['n', 4, 5]);
  expect(() => softmaxCrossEntropyLoss(scores, graph.input('a', 'int64', ['n']))).toThrow(
    /scores \[n, 4, 5\] and labels \[n\] do not fit/,
  );
  expect(() => softmaxCrossEntropyLoss(scores, graph.input('b', 'int64', ['n', 6]))).toThrow(
    /label axis 1: 5 and 6 differ/,
  );
  expect(() => softmaxCrossEntropyLoss(scores, graph.input('c', 'float32', ['n', 5]))).toThrow(
    /"labels"\) is float32.*Allowed are int32, int64/,
  );
  const weights = graph.constant(tensor([1, 2, 3]));
  expect(() => softmaxCrossEntropyLoss(scores, graph.input('d', 'int64', ['n', 5]), { weights })).toThrow(
    /classes and weights: 4 and 3 differ/,
  );
});

test('dropout keeps the shape; its mask is bool', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), 4]);
      const { output, mask } = dropoutWithMask(x, {
        ratio: 0.3,
        trainingMode: graph.input('training', 'bool', []),
        seed: 1,
      });
      return [output, mask, dropout(x)];
    },
    { n: 3 },
  );
  const graph = new Graph();
  const x = graph.input('x', 'float32', [2]);
  expect(() => dropout(x, { ratio: 1 })).toThrow(/the ratio 1 is outside \[0, 1\)/);
  expect(dropout(x).producer?.schema.random).toBe(true);
});
