import { CholeskyDecomposition, EigenvalueDecomposition, Matrix, QrDecomposition, SingularValueDecomposition, solve } from 'ml-matrix';
import { CoreError } from '../errors.js';

/** A dense float64 matrix, row-major. */
export interface HostMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** Exact linear algebra on the host, in float64. */
export interface LinearAlgebra {
  /** A = U·diag(s)·Vᵀ, s descending; the largest entry of each column of U is positive. */
  svd(a: HostMatrix): { u: HostMatrix; s: Float64Array; v: HostMatrix };
  /** A = Q·R with a non-negative diagonal of R. */
  qr(a: HostMatrix): { q: HostMatrix; r: HostMatrix };
  /** Eigenvalues ascending and vectors as columns, of a symmetric matrix; the largest entry of each vector is positive. */
  eigenSymmetric(a: HostMatrix): { values: Float64Array; vectors: HostMatrix };
  /** A = L·Lᵀ; throws when A is not positive definite. */
  cholesky(a: HostMatrix): HostMatrix;
  /** X with A·X = B; least squares when A is not square. */
  solve(a: HostMatrix, b: HostMatrix): HostMatrix;
}

const toMatrix = (a: HostMatrix): Matrix => Matrix.from1DArray(a.rows, a.columns, a.data);
const fromMatrix = (a: Matrix): HostMatrix => ({ rows: a.rows, columns: a.columns, data: Float64Array.from(a.to1DArray()) });

/** Signs that make the entry of largest magnitude of each column positive. */
function columnSigns(a: Matrix): number[] {
  return Array.from({ length: a.columns }, (_, column) => {
    let best = 0;
    for (let row = 0; row < a.rows; row++) if (Math.abs(a.get(row, column)) > Math.abs(best) * (1 + 1e-12)) best = a.get(row, column);
    return best < 0 ? -1 : 1;
  });
}
const scaleColumns = (a: Matrix, signs: readonly number[]): Matrix => {
  const result = a.clone();
  signs.forEach((sign, column) => {
    if (sign < 0) result.mulColumn(column, -1);
  });
  return result;
};

/** The service behind `LinearAlgebra`, on ml-matrix. */
export const defaultLinearAlgebra: LinearAlgebra = {
  svd(a) {
    const result = new SingularValueDecomposition(toMatrix(a), { autoTranspose: true });
    const u = result.leftSingularVectors;
    const signs = columnSigns(u);
    return {
      u: fromMatrix(scaleColumns(u, signs)),
      s: Float64Array.from(result.diagonal),
      v: fromMatrix(scaleColumns(result.rightSingularVectors, signs)),
    };
  },
  qr(a) {
    const result = new QrDecomposition(toMatrix(a));
    const r = result.upperTriangularMatrix;
    const signs = Array.from({ length: r.rows }, (_, index) => (r.get(index, index) < 0 ? -1 : 1));
    const q = scaleColumns(result.orthogonalMatrix, signs);
    signs.forEach((sign, row) => {
      if (sign < 0) r.mulRow(row, -1);
    });
    return { q: fromMatrix(q), r: fromMatrix(r) };
  },
  eigenSymmetric(a) {
    const result = new EigenvalueDecomposition(toMatrix(a), { assumeSymmetric: true });
    const order = result.realEigenvalues.map((_, index) => index).sort((x, y) => (result.realEigenvalues[x] as number) - (result.realEigenvalues[y] as number));
    const vectors = result.eigenvectorMatrix.subMatrixColumn(order);
    return {
      values: Float64Array.from(order, (index) => result.realEigenvalues[index] as number),
      vectors: fromMatrix(scaleColumns(vectors, columnSigns(vectors))),
    };
  },
  cholesky(a) {
    const result = new CholeskyDecomposition(toMatrix(a));
    if (!result.isPositiveDefinite())
      throw new CoreError('linear-algebra', `A ${a.rows} × ${a.columns} matrix is not positive definite.`, {
        hint: 'Add a small multiple of the identity.',
      });
    return fromMatrix(result.lowerTriangularMatrix);
  },
  solve: (a, b) => fromMatrix(solve(toMatrix(a), toMatrix(b), a.rows !== a.columns)),
};
