import { expect, test } from '@jest/globals';
import { applyNode, type AttributeValues } from '../apply.js';
import { tensor } from '../data-type.js';
import type { Dim } from '../dimension.js';
import { Graph } from '../graph.js';
import type { Tensor } from '../tensor.js';
import {
  biasGelu,
  biasSoftmax,
  fastGelu,
  fusedConv,
  fusedGemm,
  fusedMatMul,
  matMulNBits,
  microsoftGelu,
  microsoftRotaryEmbedding,
  microsoftSchemas,
  multiHeadAttention,
  quickGelu,
  simplifiedLayerNormalizationWithStatistics,
  skipLayerNormalization,
  skipSimplifiedLayerNormalization,
} from './microsoft.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

const nodeOf = (
  type: string,
  inputs: readonly (Tensor | undefined)[],
  attributes: AttributeValues,
  outputs: number,
): readonly Tensor[] => {
  const schema = microsoftSchemas.find((one) => one.type === type && one.domain === 'com.microsoft');
  if (schema === undefined) throw new Error(`no operator ${type}`);
  return applyNode(schema, inputs, attributes, { outputs }).outputs as readonly Tensor[];
};

test('FusedMatMul with every transposition of matrices and batches', async () => {
  for (let bits = 0; bits < 16; bits++) {
    const [transposeA, transposeB, transposeBatchA, transposeBatchB] = [1, 2, 4, 8].map(
      (bit) => (bits & bit) !== 0,
    ) as [boolean, boolean, boolean, boolean];
    await expectRuntimeTypes(
      (graph, size) => {
        const operand = (name: string, rows: Dim, columns: Dim, transposed: boolean, batched: boolean): Tensor => {
          const [first, last] = transposed ? [columns, rows] : [rows, columns];
          return graph.input(name, 'float32', batched ? [first, size('batch'), last] : [size('batch'), first, last]);
        };
        const a = operand('a', size('rows'), size('inner'), transposeA, transposeBatchA);
        const b = operand('b', size('inner'), size('columns'), transposeB, transposeBatchB);
        return [fusedMatMul(a, b, { alpha: 0.5, transposeA, transposeB, transposeBatchA, transposeBatchB })];
      },
      { batch: 2, rows: 3, inner: 4, columns: 5 },
    );
  }
});

test('fused activations', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), size('t'), 8]);
      const bias = graph.input('bias', 'float32', [8]);
      return [
        fusedGemm(graph.input('a', 'float32', [size('n'), 3]), graph.input('b', 'float32', [5, 3]), undefined, {
          transposeB: true,
          activation: 'Relu',
        }),
        fusedConv(graph.input('c', 'float32', [size('n'), 3, 6]), graph.input('w', 'float32', [5, 3, 2]), undefined, {
          activation: 'Relu',
          strides: [2],
        }),
        microsoftGelu(x),
        fastGelu(x),
        fastGelu(x, bias),
        biasGelu(x, bias),
        quickGelu(x, 1.5),
      ];
    },
    { n: 2, t: 4 },
  );
});

test('fused normalisations', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), size('t'), 8]);
      const skip = graph.input('skip', 'float32', [size('n'), size('t'), 8]);
      const scale = graph.input('scale', 'float32', [8]);
      const { output, inverseRootMeanSquare } = simplifiedLayerNormalizationWithStatistics(x, scale);
      return [
        output,
        inverseRootMeanSquare,
        skipLayerNormalization(x, skip, scale, { shift: scale, bias: scale }),
        skipLayerNormalization(x, graph.input('shared', 'float32', [size('t'), 8]), scale),
        skipSimplifiedLayerNormalization(x, skip, scale),
        ...nodeOf('SkipLayerNormalization', [x, skip, scale], {}, 4),
      ];
    },
    { n: 2, t: 4 },
  );
});

test('attention and embeddings', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), size('t'), 16]);
      const [key, value] = [
        graph.input('key', 'float32', [size('n'), 6, 16]),
        graph.input('value', 'float32', [size('n'), 6, 12]),
      ];
      const table = graph.input('table', 'float32', [9, 4]);
      const ids = graph.input('ids', 'int32', [size('n'), size('t')]);
      const words = graph.input('words', 'float32', [9, 16]);
      const features = graph.input('features', 'float32', [16]);
      const groups = graph.input('groups', 'float32', [size('n'), size('t'), 8]);
      const past = graph.input('past', 'float32', [size('n'), 1, 6, 8]);
      return [
        multiHeadAttention(x, x, x, { heads: 2, causal: true }),
        multiHeadAttention(x, key, value, { heads: 2 }),
        microsoftRotaryEmbedding(x, graph.input('p', 'int64', [size('n'), size('t')]), table, table, { heads: 2 }),
        ...nodeOf(
          'Attention',
          [x, graph.input('w', 'float32', [16, 48]), graph.input('b', 'float32', [48])],
          { num_heads: 2 },
          2,
        ),
        ...nodeOf('EmbedLayerNormalization', [ids, undefined, words, words, undefined, features, features], {}, 3),
        ...nodeOf(
          'GroupQueryAttention',
          [x, groups, groups, past, past, graph.constant(tensor([3, 3], 'int32')), graph.constant(4, 'int32')],
          { num_heads: 2, kv_num_heads: 1 },
          3,
        ),
      ];
    },
    { n: 2, t: 4 },
  );
});

test('packed weights', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), size('t'), 64]);
      return ([4, 8] as const).map((bits) =>
        matMulNBits(x, graph.input(`w${bits}`, 'uint8', [5, 2, 4 * bits]), graph.input(`s${bits}`, 'float32', [5, 2]), {
          rows: 64,
          columns: 5,
          blockSize: 32,
          bits,
        }),
      );
    },
    { n: 2, t: 4 },
  );
});

test('errors', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['n', 't', 8]);
  const seven = graph.input('seven', 'float32', [7]);
  const y = graph.input('y', 'float32', ['n', 't', 7]);
  expect(() => fusedMatMul(x, y, { transposeB: true })).toThrow(
    /inner dimensions of \[n, t, 8\] · \[n, 7, t\]: 8 and 7 differ/,
  );
  expect(() => biasGelu(x, seven)).toThrow(/axis 0 of input 1 \[7\]: 8 and 7 differ/);
  expect(() => skipLayerNormalization(x, x, seven)).toThrow(/axis 0 of input 2 \[7\]: 8 and 7 differ/);
  expect(() => multiHeadAttention(x, x, x, { heads: 3 })).toThrow(/8 features do not divide into 3 heads/);
  expect(() => biasSoftmax(x, seven, { innerBroadcast: true })).toThrow(/8 and 7 differ/);
});
