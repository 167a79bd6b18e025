import { expect, test } from '@jest/globals';
import { Graph } from '../graph.js';
import { attention, attentionWithCache, rotaryEmbedding } from './attention.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

test('attention over three and four axes, grouped and with a cache', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), size('t'), 8]);
      const query = graph.input('query', 'float32', [size('n'), 4, size('t'), 8]);
      const key = graph.input('key', 'float32', [size('n'), 2, size('s'), 8]);
      const value = graph.input('value', 'float32', [size('n'), 2, size('s'), 6]);
      const past = graph.input('past', 'float32', [size('n'), 2, 3, 8]);
      const cached = attentionWithCache(query, key, key, { pastKey: past, pastValue: past });
      return [
        attention(x, x, x, { queryHeads: 2, keyValueHeads: 2, causal: true }),
        attention(query, key, value, { mask: graph.input('mask', 'bool', [size('t'), size('s')]) }),
        cached.output,
        cached.presentKey,
        cached.presentValue,
      ];
    },
    { n: 2, t: 4, s: 5 },
  );
});

test('rotary embedding', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), size('t'), 8]);
      const [cosines, sines] = [graph.input('cos', 'float32', [9, 2]), graph.input('sin', 'float32', [9, 2])];
      const table = graph.input('table', 'float32', [size('n'), size('t'), 1]);
      return [
        rotaryEmbedding(x, cosines, sines, { heads: 2, positions: graph.input('p', 'int64', [size('n'), size('t')]) }),
        rotaryEmbedding(x, table, table, { heads: 2, rotatedSize: 2, interleaved: true }),
      ];
    },
    { n: 2, t: 4 },
  );
});

test('errors', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['n', 't', 6]);
  expect(() => attention(x, x, x)).toThrow(/the query \[n, t, 6\] does not say its number of heads/);
  expect(() => attention(x, x, x, { queryHeads: 4, keyValueHeads: 2 })).toThrow(/does not divide into 4 heads/);
  expect(() => attention(x, x, x, { queryHeads: 3, keyValueHeads: 2 })).toThrow(
    /head sizes of query and key: 2 and 3 differ/,
  );
  const q = graph.input('q', 'float32', [1, 3, 4, 8]);
  const k = graph.input('k', 'float32', [1, 2, 4, 8]);
  expect(() => attention(q, k, k)).toThrow(/3 heads of the query do not divide by 2/);
  expect(() => attention(k, k, k, { pastKey: k })).toThrow(/go together/);
  const table = graph.input('table', 'float32', [9, 2]);
  expect(() => rotaryEmbedding(x, table, table, { heads: 2 })).toThrow(/do not have rank 3/);
});
