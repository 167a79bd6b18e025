import { defaultLinearAlgebra, type HostMatrix } from '@updraft/core';

interface Moments {
  readonly mean: Float64Array;
  readonly covariance: HostMatrix;
}

function moments(rows: readonly Float32Array[]): Moments {
  const width = rows[0]?.length ?? 0;
  const mean = new Float64Array(width);
  for (const row of rows) row.forEach((value, at) => (mean[at] = (mean[at] as number) + value / rows.length));
  const data = new Float64Array(width * width);
  for (const row of rows)
    for (let a = 0; a < width; a++)
      for (let b = 0; b < width; b++)
        data[a * width + b] =
          (data[a * width + b] as number) +
          (((row[a] as number) - (mean[a] as number)) * ((row[b] as number) - (mean[b] as number))) / (rows.length - 1);
  return { mean, covariance: { rows: width, columns: width, data } };
}

const product = (a: HostMatrix, b: HostMatrix): HostMatrix => {
  const data = new Float64Array(a.rows * b.columns);
  for (let row = 0; row < a.rows; row++)
    for (let column = 0; column < b.columns; column++) {
      let sum = 0;
      for (let at = 0; at < a.columns; at++)
        sum += (a.data[row * a.columns + at] as number) * (b.data[at * b.columns + column] as number);
      data[row * b.columns + column] = sum;
    }
  return { rows: a.rows, columns: b.columns, data };
};

/** The symmetric square root of a covariance; eigenvalues that rounding made negative count as 0. */
function squareRoot(matrix: HostMatrix): HostMatrix {
  const { values, vectors } = defaultLinearAlgebra.eigenSymmetric(matrix);
  const size = matrix.rows;
  const scaled = vectors.data.map((value, at) => value * Math.sqrt(Math.max(0, values[at % size] as number)));
  const transposed = new Float64Array(size * size);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++)
      transposed[column * size + row] = vectors.data[row * size + column] as number;
  return product({ ...vectors, data: scaled }, { ...vectors, data: transposed });
}

const trace = ({ rows, data }: HostMatrix): number =>
  Array.from({ length: rows }, (_, at) => data[at * rows + at] as number).reduce((a, b) => a + b, 0);

/**
 * Fréchet distance between normal distributions with the moments of two sets of feature vectors:
 * ‖m₁ − m₂‖² + tr(C₁ + C₂ − 2(C₁C₂)^½) (Heusel et al. 2017).
 */
export function frechetDistance(left: readonly Float32Array[], right: readonly Float32Array[]): number {
  const [a, b] = [moments(left), moments(right)];
  const between = a.mean.reduce((sum, value, at) => sum + (value - (b.mean[at] as number)) ** 2, 0);
  const root = squareRoot(a.covariance);
  const common = defaultLinearAlgebra.eigenSymmetric(product(product(root, b.covariance), root)).values;
  return (
    between +
    trace(a.covariance) +
    trace(b.covariance) -
    2 * common.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0)
  );
}
