import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Graph } from '../graph.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { gru, lstm, rnn } from './recurrent.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

const cells = fc.record({
  direction: fc.constantFrom('forward', 'reverse', 'bidirectional'),
  hidden: fc.integer({ min: 1, max: 4 }),
  features: fc.integer({ min: 1, max: 4 }),
  sizes: fc.record({ time: fc.integer({ min: 1, max: 4 }), n: fc.integer({ min: 1, max: 3 }) }),
  withBias: fc.boolean(),
  withState: fc.boolean(),
});

test('inferred shapes of all cells are those of the runtime, and follow from symbolic ones', async () => {
  await fc.assert(
    fc.asyncProperty(cells, async ({ direction, hidden, features, sizes, withBias, withState }) => {
      const directions = direction === 'bidirectional' ? 2 : 1;
      await expectRuntimeTypes((graph, size) => {
        const x = graph.input('x', 'float32', [size('time'), size('n'), features]);
        const state = graph.input('state', 'float32', [directions, size('n'), hidden]);
        const results: Tensor[] = [];
        for (const [gates, cell] of [
          [4, 'lstm'],
          [3, 'gru'],
          [1, 'rnn'],
        ] as const) {
          const inner = (name: string, shape: readonly number[]) => graph.input(`${cell}_${name}`, 'float32', shape);
          const w = inner('w', [directions, gates * hidden, features]);
          const r = inner('r', [directions, gates * hidden, hidden]);
          const bias = withBias ? inner('b', [directions, 2 * gates * hidden]) : undefined;
          const common = { direction, bias, initialHidden: withState ? state : undefined };
          const made =
            cell === 'lstm'
              ? lstm(x, w, r, {
                  ...common,
                  initialCell: withState ? state : undefined,
                  peepholes: inner('p', [directions, 3 * hidden]),
                })
              : cell === 'gru'
                ? gru(x, w, r, { ...common, linearBeforeReset: withBias })
                : rnn(x, w, r, common);
          results.push(...(Object.values(made) as Tensor[]));
        }
        return results;
      }, sizes);
    }),
    { numRuns: 30 },
  );
});

test('batch first, and which input is wrong', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['n', 'time', 3]);
  const w = graph.input('w', 'float32', [1, 20, 3]);
  const r = graph.input('r', 'float32', [1, 20, 5]);
  const { sequence, hidden, cell } = lstm(x, w, r, { batchFirst: true });
  expect([sequence, hidden, cell].map(({ shape }) => shapeText(shape))).toEqual([
    '[n, time, 1, 5]',
    '[n, 1, 5]',
    '[n, 1, 5]',
  ]);
  expect(() => gru(x, w, r)).toThrow(/axis 1 of W \[1, 20, 3\]: 15 and 20 differ/);
  expect(() => lstm(x, w, r, { direction: 'bidirectional' })).toThrow(/axis 0 of W \[1, 20, 3\]: 2 and 1 differ/);
  expect(() => lstm(x, w, r, { bias: graph.input('b', 'float32', [1, 20]) })).toThrow(
    /axis 1 of B \[1, 20\]: 40 and 20 differ/,
  );
  expect(() => lstm(x, w, r, { activations: ['Tanh'] })).toThrow(/1 activations, not 3/);
  expect(() => lstm(graph.input('y', 'float32', ['n', 3]), w, r)).toThrow(
    /the input \[n, 3\] is not three-dimensional/,
  );
});
