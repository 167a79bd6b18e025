import { describe, expect, test } from '@jest/globals';
import type { Dim } from '../dimension.js';
import { symbol } from '../dimension.js';
import { Graph } from '../graph.js';
import { substituteShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { conv, convTranspose } from './convolution.js';
import { multiHeadAttention } from './microsoft.js';
import { instanceNormalization } from './normalisation.js';
import { roiAlign } from './pooling.js';
import { quantizeLinear } from './quantisation.js';
import { topK } from './reductions.js';
import { gru } from './recurrent.js';
import { dft } from './signal.js';

/** Graphs on which onnxruntime-node 1.30 ends the process (signals 6, 8 and 11) or never returns where `size` is 0. */
const killers: Readonly<Record<string, (graph: Graph, size: Dim) => Tensor>> = {
  InstanceNormalization(graph, size) {
    const scale = graph.input('scale', 'float32', [2]);
    return instanceNormalization(graph.input('x', 'float32', [1, 2, size]), scale, scale);
  },
  TopK: (graph, size) => topK(graph.input('x', 'float32', [size, 3]), 2).values,
  DFT: (graph, size) => dft(graph.input('x', 'float32', [1, size, 1])),
  Conv: (graph, size) => conv(graph.input('x', 'float32', [1, size, 8]), graph.input('w', 'float32', [2, size, 2])),
  ConvTranspose: (graph, size) =>
    convTranspose(graph.input('x', 'float32', [1, 2, size]), graph.input('w', 'float32', [2, 2, 2])),
  GRU: (graph, size) =>
    gru(
      graph.input('x', 'float32', [size, 2, 3]),
      graph.input('w', 'float32', [1, 12, 3]),
      graph.input('r', 'float32', [1, 12, 4]),
    ).sequence,
  RoiAlign: (graph, size) =>
    roiAlign(
      graph.input('x', 'float32', [1, 2, size, 4]),
      graph.input('r', 'float32', [1, 4]),
      graph.input('b', 'int64', [1]),
    ),
  QuantizeLinear: (graph, size) =>
    quantizeLinear(graph.input('x', 'float32', [2, size]), graph.input('s', 'float32', [2, size]), { blockSize: 1 }),
  MultiHeadAttention(graph, size) {
    const x = graph.input('x', 'float32', [1, size, 4]);
    return multiHeadAttention(x, x, x, { heads: 2 });
  },
};

describe.each(Object.entries(killers))('empty operands of %s', (type, build) => {
  test('are refused', () => {
    expect(() => build(new Graph(), 0)).toThrow(new RegExp(`^${type}: .* is empty, in ${type}`));
  });

  test('are noted for sizes that a run brings', () => {
    const graph = new Graph();
    build(graph, symbol('size'));
    const holds = (size: number): boolean =>
      graph.assumptions.every(({ left, right }) => {
        const [a, b] = substituteShape([left, right], new Map([['size', size]]));
        return a === b;
      });
    expect(holds(3)).toBe(true);
    expect(holds(0)).toBe(false);
  });
});
