import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Graph } from '../graph.js';
import { shapeText } from '../shape.js';
import { gemm, matMul, matMulInteger, qLinearMatMul } from './matrix.js';
import { dynamicQuantizeLinear } from './quantisation.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

test('MatMul broadcasts batches and drops the axes of vectors', async () => {
  const cases = fc.record({
    rank: fc.integer({ min: 1, max: 4 }),
    otherRank: fc.integer({ min: 1, max: 4 }),
    sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 5, maxLength: 5 }),
    ones: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ rank, otherRank, sizes, ones }) => {
      const names = ['outer', 'batch', 'rows', 'inner', 'columns'];
      await expectRuntimeTypes(
        (graph, size) => {
          const batch = (from: number) =>
            ['outer', 'batch'].map((name, at) => (ones[from + at] === true ? 1 : size(name)));
          const left = rank === 1 ? [size('inner')] : [...batch(0), size('rows'), size('inner')].slice(-rank);
          const right =
            otherRank === 1 ? [size('inner')] : [...batch(2), size('inner'), size('columns')].slice(-otherRank);
          return [matMul(graph.input('a', 'float32', left), graph.input('b', 'float32', right))];
        },
        // The sizes 2 and up: a symbol never stands for a broadcast 1.
        Object.fromEntries(names.map((name, index) => [name, (sizes[index] ?? 0) + 1])),
      );
    }),
    { numRuns: 40 },
  );
});

test('Gemm with every transposition and form of addend', async () => {
  for (const transposeA of [false, true])
    for (const transposeB of [false, true])
      for (const addend of [[], [1], ['columns'], ['rows', 1], [1, 'columns'], ['rows', 'columns'], undefined] as const)
        await expectRuntimeTypes(
          (graph, size) => {
            const [rows, inner, columns] = ['rows', 'inner', 'columns'].map(size) as [number, number, number];
            const a = graph.input('a', 'float32', transposeA ? [inner, rows] : [rows, inner]);
            const b = graph.input('b', 'float32', transposeB ? [columns, inner] : [inner, columns]);
            const shape = addend?.map((dim) => (dim === 1 ? 1 : size(dim)));
            const c = shape === undefined ? undefined : graph.input('c', 'float32', shape);
            return [gemm(a, b, c, { transposeA, transposeB, alpha: 0.5, beta: 2 })];
          },
          { rows: 2, inner: 3, columns: 4 },
        );
});

test('integer and quantised products', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const a = dynamicQuantizeLinear(graph.input('a', 'float32', [size('n'), 3]));
      const b = dynamicQuantizeLinear(graph.input('b', 'float32', [3, 4]));
      return [matMulInteger(a.values, b.values, { a: a.zeroPoint, b: b.zeroPoint }), qLinearMatMul(a, b, a)];
    },
    { n: 2 },
  );
});

describe('errors', () => {
  test('show shapes and expression', () => {
    const graph = new Graph();
    const a = graph.input('a', 'float32', ['n', 3]);
    const b = graph.input('b', 'float32', [4, 5]);
    expect(() => matMul(a, b)).toThrow(
      'inner dimensions of [n, 3] · [4, 5]: 3 and 4 differ, in MatMul(a[n, 3], b[4, 5])',
    );
    expect(() => gemm(a, b, undefined, { transposeB: true })).toThrow(
      'inner dimensions of [n, 3] · [4, 5]ᵀ: 3 and 5 differ',
    );
    expect(() => gemm(a, graph.input('c', 'float32', [3, 4]), graph.input('d', 'float32', [7]))).toThrow(
      /the addend \[7\] against \[n, 4\]: 4 and 7 differ/,
    );
    expect(() => matMul(a, graph.input('s', 'float32', []))).toThrow(/a scalar cannot be a matrix factor/);
    expect(() => gemm(graph.input('e', 'float32', [2, 3, 4]), b)).toThrow(/is not a matrix.*Use matMul/);
  });

  test('sizes that may be equal are noted', () => {
    const graph = new Graph();
    const y = matMul(graph.input('a', 'float32', [2, 'inner']), graph.input('b', 'float32', [5, 3]));
    expect(shapeText(y.shape)).toBe('[2, 3]');
    expect(graph.assumptions).toHaveLength(1);
  });
});
