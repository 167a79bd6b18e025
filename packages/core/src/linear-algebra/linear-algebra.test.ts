import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CoreError } from '../errors.js';
import { defaultLinearAlgebra as algebra, matrixOf, type HostMatrix } from './index.js';

const at = (a: HostMatrix, row: number, column: number): number => a.data[row * a.columns + column] as number;
const transpose = (a: HostMatrix): HostMatrix => ({
  rows: a.columns,
  columns: a.rows,
  data: Float64Array.from({ length: a.data.length }, (_, index) => at(a, index % a.rows, Math.floor(index / a.rows))),
});
function multiply(a: HostMatrix, b: HostMatrix): HostMatrix {
  const data = new Float64Array(a.rows * b.columns);
  for (let row = 0; row < a.rows; row++)
    for (let column = 0; column < b.columns; column++)
      for (let inner = 0; inner < a.columns; inner++)
        data[row * b.columns + column]! += at(a, row, inner) * at(b, inner, column);
  return { rows: a.rows, columns: b.columns, data };
}
const diagonal = (values: Float64Array): HostMatrix =>
  matrixOf(Array.from(values, (value, row) => Array.from(values, (_, column) => (row === column ? value : 0))));
const identity = (size: number): HostMatrix => diagonal(new Float64Array(size).fill(1));

function expectClose(a: HostMatrix, b: HostMatrix, scale = 1): void {
  expect([a.rows, a.columns]).toEqual([b.rows, b.columns]);
  for (let index = 0; index < a.data.length; index++)
    expect(Math.abs((a.data[index] as number) - (b.data[index] as number))).toBeLessThan(1e-9 * Math.max(1, scale));
}
const size = fc.integer({ min: 1, max: 6 });
/** Numbers whose squares are neither zero nor subnormal, which no library keeps apart; zero itself is one of them. */
const number = fc.double({ min: -10, max: 10, noNaN: true }).map((value) => (Math.abs(value) < 1e-100 ? 0 : value));
const entry = fc.oneof(number, fc.integer({ min: -2, max: 2 }));
const matrix = (rows: number, columns: number): fc.Arbitrary<HostMatrix> =>
  fc
    .array(entry, { minLength: rows * columns, maxLength: rows * columns })
    .map((values) => ({ rows, columns, data: Float64Array.from(values) }));
const anyMatrix = fc.tuple(size, size).chain(([rows, columns]) => matrix(rows, columns));
const squareMatrix = size.chain((n) => matrix(n, n));

/** The entry of largest magnitude of each column is positive. */
function expectSigns(a: HostMatrix): void {
  for (let column = 0; column < a.columns; column++) {
    const values = Array.from({ length: a.rows }, (_, row) => at(a, row, column));
    const largest = Math.max(...values.map(Math.abs));
    if (largest > 1e-12) expect(Math.max(...values)).toBeGreaterThan(largest * (1 - 1e-6));
  }
}

describe('decompositions of random matrices', () => {
  test('A = U·S·Vᵀ with orthonormal columns, falling values and fixed signs', () => {
    fc.assert(
      fc.property(anyMatrix, (a) => {
        const { u, s, v } = algebra.svd(a);
        const k = Math.min(a.rows, a.columns);
        expect(s.length).toBe(k);
        expectClose(multiply(multiply(u, diagonal(s)), transpose(v)), a, 100);
        expectClose(multiply(transpose(u), u), identity(k));
        expectClose(multiply(transpose(v), v), identity(k));
        expect([...s]).toEqual([...s].sort((x, y) => y - x));
        expect(s.every((value) => value >= 0)).toBe(true);
        expectSigns(u);
      }),
      { numRuns: 300 },
    );
  });

  test('A = Q·R with orthonormal Q and a triangle with a non-negative diagonal', () => {
    fc.assert(
      fc.property(anyMatrix, (a) => {
        const { q, r } = algebra.qr(a);
        expectClose(multiply(q, r), a, 100);
        for (let row = 0; row < r.rows; row++) {
          expect(at(r, row, row)).toBeGreaterThanOrEqual(0);
          for (let column = 0; column < row; column++) expect(Math.abs(at(r, row, column))).toBe(0);
        }
        if (
          r.rows > 0 &&
          Array.from({ length: r.rows }, (_, index) => at(r, index, index)).every((value) => value > 1e-6)
        )
          expectClose(multiply(transpose(q), q), identity(q.columns));
      }),
      { numRuns: 300 },
    );
  });

  test('A·V = V·Λ with orthonormal V, rising values and fixed signs', () => {
    fc.assert(
      fc.property(squareMatrix, (square) => {
        const a = {
          ...square,
          data: square.data.map((value, index) => value + (transpose(square).data[index] as number)),
        };
        const { values, vectors } = algebra.eigenSymmetric(a);
        expectClose(multiply(a, vectors), multiply(vectors, diagonal(values)), 100);
        expectClose(multiply(transpose(vectors), vectors), identity(a.rows));
        expect([...values]).toEqual([...values].sort((x, y) => x - y));
        expectSigns(vectors);
      }),
      { numRuns: 300 },
    );
  });

  test('A = L·Lᵀ, and A·X = B', () => {
    fc.assert(
      fc.property(
        size.chain((n) => fc.tuple(matrix(n, n), matrix(n, 2))),
        ([root, b]) => {
          const gram = multiply(root, transpose(root));
          const a = {
            ...gram,
            data: gram.data.map((value, index) => value + (identity(root.rows).data[index] as number)),
          };
          const lower = algebra.cholesky(a);
          expectClose(multiply(lower, transpose(lower)), a, 1000);
          expectClose(multiply(a, algebra.solve(a, b)), b, 1000);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('least squares: the residual is orthogonal to the columns, the solution to the null space', () => {
    fc.assert(
      fc.property(
        fc.tuple(size, size).chain(([rows, columns]) => fc.tuple(matrix(rows, columns), matrix(rows, 1))),
        ([a, b]) => {
          const { x, rank } = algebra.leastSquares(a, b, 1e-9);
          const { s, v } = algebra.svd(a);
          fc.pre((s[rank - 1] ?? 1) > 1e-3);
          const fitted = multiply(a, x);
          const residual = { ...fitted, data: fitted.data.map((value, index) => value - (b.data[index] as number)) };
          expectClose(
            multiply(transpose(a), residual),
            { rows: a.columns, columns: 1, data: new Float64Array(a.columns) },
            1e4,
          );
          for (let column = rank; column < v.columns; column++) {
            const along = Array.from({ length: v.rows }, (_, row) => at(v, row, column) * at(x, row, 0)).reduce(
              (sum, value) => sum + value,
              0,
            );
            expect(Math.abs(along)).toBeLessThan(1e-6);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

test('known values', () => {
  // Eigenvalues 1 and 3 by hand.
  expect(
    [
      ...algebra.eigenSymmetric(
        matrixOf([
          [2, 1],
          [1, 2],
        ]),
      ).values,
    ].map((value) => Number(value.toFixed(12))),
  ).toEqual([1, 3]);
  // Equal magnitudes: the first one is positive.
  const { vectors } = algebra.eigenSymmetric(
    matrixOf([
      [2, 1],
      [1, 2],
    ]),
  );
  expect(at(vectors, 0, 0)).toBeCloseTo(Math.SQRT1_2, 12);
  expect(at(vectors, 1, 0)).toBeCloseTo(-Math.SQRT1_2, 12);
  // The line through (0, 1), (1, 3), (2, 5).
  const line = algebra.solve(
    matrixOf([
      [0, 1],
      [1, 1],
      [2, 1],
    ]),
    matrixOf([[1], [3], [5]]),
  );
  expect([...line.data].map((value) => Number(value.toFixed(10)))).toEqual([2, 1]);
  expect(
    algebra.leastSquares(
      matrixOf([
        [1, 1],
        [1, 1],
      ]),
      matrixOf([[2], [2]]),
    ).rank,
  ).toBe(1);
  expect(algebra.leastSquares(matrixOf([[0]]), matrixOf([[2]]))).toEqual({ x: matrixOf([[0]]), rank: 0 });
  expect([
    ...algebra.cholesky(
      matrixOf([
        [4, 2],
        [2, 5],
      ]),
    ).data,
  ]).toEqual([2, 0, 1, 2]);
});

test.each<[string, () => unknown, RegExp]>([
  ['NaN', () => algebra.svd(matrixOf([[1, NaN]])), /entry \(0, 1\) of a 1 × 2 matrix is NaN/],
  ['infinity on the right', () => algebra.solve(matrixOf([[1]]), matrixOf([[Infinity]])), /is Infinity/],
  ['an empty matrix', () => algebra.qr({ rows: 0, columns: 3, data: new Float64Array() }), /0 × 3/],
  ['too few numbers', () => algebra.qr({ rows: 2, columns: 3, data: new Float64Array(5) }), /cannot hold 5 numbers/],
  [
    'a singular system',
    () =>
      algebra.solve(
        matrixOf([
          [1, 2],
          [2, 4],
        ]),
        matrixOf([[1], [1]]),
      ),
    /2 × 2 matrix is singular.*leastSquares/,
  ],
  [
    'sizes that do not fit',
    () =>
      algebra.solve(
        matrixOf([
          [1, 0],
          [0, 1],
        ]),
        matrixOf([[1]]),
      ),
    /do not fit/,
  ],
  [
    'a matrix that is not definite',
    () =>
      algebra.cholesky(
        matrixOf([
          [1, 2],
          [2, 1],
        ]),
      ),
    /not positive definite/,
  ],
  [
    'a matrix that is not symmetric',
    () =>
      algebra.eigenSymmetric(
        matrixOf([
          [1, 2],
          [0, 1],
        ]),
      ),
    /not symmetric: 0 at \(1, 0\), 2 mirrored/,
  ],
  ['a matrix that is not square', () => algebra.cholesky(matrixOf([[1, 2]])), /square/],
  ['ragged rows', () => matrixOf([[1], [1, 2]]), /differ in length/],
])('%s is refused', (_, run, message) => {
  expect(run).toThrow(CoreError);
  expect(run).toThrow(message);
});
