import { expect, test } from '@jest/globals';
import { Graph, rnn, type Tensor } from '@updraft/graph';
import { gradients } from '../gradients.js';

test('settings without a derivative are named', () => {
  const graph = new Graph();
  const [x, w, r] = [
    [3, 2, 2],
    [1, 2, 2],
    [1, 2, 2],
  ].map((shape, index) => graph.input(`v${index}`, 'float32', shape)) as [Tensor, Tensor, Tensor];
  expect(() => gradients(rnn(x, w, r, { clip: 1 }).hidden, [w])).toThrow(/clip has no derivative/);
  expect(() => gradients(rnn(x, w, r, { activations: ['Affine'] }).hidden, [w])).toThrow(/activation Affine/);
});
