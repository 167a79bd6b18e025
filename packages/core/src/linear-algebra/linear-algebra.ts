import {
  CholeskyDecomposition,
  EigenvalueDecomposition,
  LuDecomposition,
  Matrix,
  QrDecomposition,
  SingularValueDecomposition,
} from 'ml-matrix';
import { CoreError } from '../errors.js';

/** A dense float64 matrix, row-major. */
export interface HostMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/**
 * Exact linear algebra on the host, in float64, for rare refreshes. Signs are fixed where a decomposition leaves them open,
 * so that the same matrix gives the same factors everywhere. Every function throws a `CoreError` for operands of wrong
 * sizes and for entries that are not finite.
 */
export interface LinearAlgebra {
  /**
   * A = U·diag(s)·Vᵀ, thin (U is rows × k, V is columns × k with k = min(rows, columns)), s descending; the entry of largest
   * magnitude of each column of U is positive (the first one of equals).
   */
  svd(a: HostMatrix): { u: HostMatrix; s: Float64Array; v: HostMatrix };
  /** A = Q·R, thin (Q is rows × k, R is k × columns with k = min(rows, columns)), with a non-negative diagonal of R. */
  qr(a: HostMatrix): { q: HostMatrix; r: HostMatrix };
  /**
   * Eigenvalues ascending and vectors as columns, of a symmetric matrix; the entry of largest magnitude of each vector is
   * positive.
   */
  eigenSymmetric(a: HostMatrix): { values: Float64Array; vectors: HostMatrix };
  /** A = L·Lᵀ with lower triangular L; throws when A is not positive definite. */
  cholesky(a: HostMatrix): HostMatrix;
  /** X with A·X = B for a square A (throws when it is singular); for others as `leastSquares`. */
  solve(a: HostMatrix, b: HostMatrix): HostMatrix;
  /**
   * The X of smallest norm among those that minimise ‖A·X − B‖, through the SVD; singular values up to `tolerance` times
   * the largest count as 0 (default: max(rows, columns) times the machine epsilon).
   */
  leastSquares(a: HostMatrix, b: HostMatrix, tolerance?: number): { x: HostMatrix; rank: number };
}

/** A matrix from its rows. @throws CoreError when they differ in length. */
export function matrixOf(rows: readonly (readonly number[])[]): HostMatrix {
  const columns = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== columns)) refuse('The rows of a matrix differ in length.');
  return { rows: rows.length, columns, data: Float64Array.from(rows.flat()) };
}

function refuse(message: string, hint?: string): never {
  throw new CoreError('linear-algebra', message, hint === undefined ? {} : { hint });
}

const sizeText = ({ rows, columns }: HostMatrix): string => `${rows} × ${columns}`;

/** The library loops forever on NaN and reads beyond short arrays. */
function toMatrix(a: HostMatrix): Matrix {
  if (
    !Number.isInteger(a.rows) ||
    !Number.isInteger(a.columns) ||
    a.rows < 1 ||
    a.columns < 1 ||
    a.data.length !== a.rows * a.columns
  )
    refuse(
      `A ${sizeText(a)} matrix cannot hold ${a.data.length} numbers.`,
      'Matrices have at least one row and column.',
    );
  const at = a.data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    refuse(
      `The entry (${Math.floor(at / a.columns)}, ${at % a.columns}) of a ${sizeText(a)} matrix is ${a.data[at]}.`,
      'Only finite matrices can be decomposed: look for the NaN where they come from.',
    );
  return Matrix.from1DArray(a.rows, a.columns, a.data);
}

const fromMatrix = (a: Matrix): HostMatrix => ({
  rows: a.rows,
  columns: a.columns,
  data: Float64Array.from(a.to1DArray()),
});

function requireSquare(a: HostMatrix, what: string): void {
  if (a.rows !== a.columns) refuse(`${what} needs a square matrix; this one is ${sizeText(a)}.`);
}

/** Rounding may not decide between entries that are equal in magnitude: a later one must be larger by more than that. */
const TIE = 1 + 1e-10;

/** Signs that make the entry of largest magnitude of each column positive. */
const columnSigns = (a: Matrix): number[] =>
  Array.from({ length: a.columns }, (_, column) => {
    let best = 0;
    for (let row = 0; row < a.rows; row++)
      if (Math.abs(a.get(row, column)) > Math.abs(best) * TIE) best = a.get(row, column);
    return best < 0 ? -1 : 1;
  });

function scaleColumns(a: Matrix, signs: readonly number[]): Matrix {
  const result = a.clone();
  signs.forEach((sign, column) => {
    if (sign < 0) result.mulColumn(column, -1);
  });
  return result;
}

function svd(a: HostMatrix): { u: Matrix; s: Float64Array; v: Matrix } {
  const {
    leftSingularVectors: u,
    rightSingularVectors: v,
    diagonal,
  } = new SingularValueDecomposition(toMatrix(a), { autoTranspose: true });
  const signs = columnSigns(u);
  return { u: scaleColumns(u, signs), s: Float64Array.from(diagonal), v: scaleColumns(v, signs) };
}

function qr(a: HostMatrix): { q: Matrix; r: Matrix } {
  const whole = toMatrix(a);
  // The library wants at least as many rows as columns: a wide matrix has the Q of its first square, and R = Qᵀ·A.
  const wide = a.columns > a.rows;
  const result = new QrDecomposition(wide ? whole.subMatrix(0, a.rows - 1, 0, a.rows - 1) : whole);
  const q = result.orthogonalMatrix;
  const r = wide ? q.transpose().mmul(whole) : result.upperTriangularMatrix;
  if (wide) for (let row = 1; row < r.rows; row++) for (let column = 0; column < row; column++) r.set(row, column, 0);
  const signs = Array.from({ length: r.rows }, (_, index) => (r.get(index, index) < 0 ? -1 : 1));
  signs.forEach((sign, row) => {
    if (sign < 0) r.mulRow(row, -1);
  });
  return { q: scaleColumns(q, signs), r };
}

function leastSquares(
  a: HostMatrix,
  b: HostMatrix,
  tolerance = Math.max(a.rows, a.columns) * Number.EPSILON,
): { x: HostMatrix; rank: number } {
  if (a.rows !== b.rows) refuse(`A ${sizeText(a)} matrix and a right-hand side of ${sizeText(b)} do not fit.`);
  const right = toMatrix(b);
  const { u, s, v } = svd(a);
  const limit = tolerance * (s[0] as number);
  const rank = s.filter((value) => value > limit).length;
  const x = Matrix.zeros(a.columns, b.columns);
  if (rank === 0) return { x: fromMatrix(x), rank };
  const scaled = u
    .subMatrix(0, a.rows - 1, 0, rank - 1)
    .transpose()
    .mmul(right);
  for (let row = 0; row < rank; row++) scaled.mulRow(row, 1 / (s[row] as number));
  return { x: fromMatrix(v.subMatrix(0, a.columns - 1, 0, rank - 1).mmul(scaled)), rank };
}

/** The service behind `LinearAlgebra`, on ml-matrix. */
export const defaultLinearAlgebra: LinearAlgebra = {
  svd(a) {
    const { u, s, v } = svd(a);
    return { u: fromMatrix(u), s, v: fromMatrix(v) };
  },
  qr(a) {
    const { q, r } = qr(a);
    return { q: fromMatrix(q), r: fromMatrix(r) };
  },
  eigenSymmetric(a) {
    requireSquare(a, 'An eigenvalue decomposition');
    requireSymmetric(a);
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(toMatrix(a), { assumeSymmetric: true });
    const order = realEigenvalues
      .map((_, index) => index)
      .sort((x, y) => (realEigenvalues[x] as number) - (realEigenvalues[y] as number));
    const vectors = eigenvectorMatrix.subMatrixColumn(order);
    return {
      values: Float64Array.from(order, (index) => realEigenvalues[index] as number),
      vectors: fromMatrix(scaleColumns(vectors, columnSigns(vectors))),
    };
  },
  cholesky(a) {
    requireSquare(a, 'A Cholesky decomposition');
    requireSymmetric(a);
    const result = new CholeskyDecomposition(toMatrix(a));
    if (!result.isPositiveDefinite())
      refuse(`A ${sizeText(a)} matrix is not positive definite.`, 'Add a small multiple of the identity.');
    return fromMatrix(result.lowerTriangularMatrix);
  },
  solve(a, b) {
    if (a.rows !== a.columns) return leastSquares(a, b).x;
    if (a.rows !== b.rows) refuse(`A ${sizeText(a)} matrix and a right-hand side of ${sizeText(b)} do not fit.`);
    const result = new LuDecomposition(toMatrix(a));
    const right = toMatrix(b);
    if (result.isSingular())
      refuse(`A ${sizeText(a)} matrix is singular.`, 'Use leastSquares, or add a small multiple of the identity.');
    return fromMatrix(result.solve(right));
  },
  leastSquares,
};

/** Relative difference up to which mirrored entries count as equal: sums of float32 in other orders differ so. */
const ASYMMETRY = 1e-5;

function requireSymmetric(a: HostMatrix): void {
  let largest = 0;
  for (const value of a.data) largest = Math.max(largest, Math.abs(value));
  for (let row = 0; row < a.rows; row++)
    for (let column = 0; column < row; column++) {
      const [lower, upper] = [a.data[row * a.columns + column] as number, a.data[column * a.columns + row] as number];
      if (Math.abs(lower - upper) > ASYMMETRY * largest)
        refuse(
          `A ${sizeText(a)} matrix is not symmetric: ${lower} at (${row}, ${column}), ${upper} mirrored.`,
          'Give (A + Aᵀ) / 2 where that is meant.',
        );
    }
}
