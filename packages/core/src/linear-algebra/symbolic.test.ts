import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { Graph } from '@updraft/graph';
import { RandomStream } from '../random/index.js';
import { defaultLinearAlgebra } from './linear-algebra.js';
import { inversePositiveDefinite } from './symbolic.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

async function inverseOf(matrix: Float32Array, size: number, iterations?: number): Promise<number[]> {
  const graph = new Graph('inverse');
  const input = graph.input('matrix', 'float32', [size, size]);
  graph.output(inversePositiveDefinite(input, iterations === undefined ? {} : { iterations }), 'inverse');
  const program = await backend.compile(graph);
  const found = await program.run({ matrix: { dataType: 'float32', dims: [size, size], data: matrix } });
  await program.dispose();
  return Array.from(found['inverse']?.data as Float32Array);
}

/** Σ over rows xxᵀ / count + ridge·I of normal rows, the features scaled by powers of `spread`. */
function covariance(size: number, ridge: number, spread: number): Float32Array {
  const rows = new Float32Array(3 * size * size);
  RandomStream.fromSeed(size).fillNormal(rows);
  return Float32Array.from({ length: size * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    let sum = 0;
    for (let row = 0; row < 3 * size; row++) sum += (rows[row * size + i] as number) * (rows[row * size + j] as number);
    return (sum / (3 * size)) * spread ** i * spread ** j + (i === j ? ridge : 0);
  });
}

test.each([
  [1, 0.1, 1],
  [5, 0.1, 1],
  [40, 0.01, 1],
  [12, 1e-9, 3],
  [6, 1e-12, 1e-3],
])(
  '%d rows with a ridge of %d and scales %d apart: the inverse of an exact decomposition',
  async (size, ridge, spread) => {
    const matrix = covariance(size, ridge, spread);
    const found = await inverseOf(matrix, size);
    const identity = Float64Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0));
    const square = (data: Float64Array) => ({ rows: size, columns: size, data });
    const exact = defaultLinearAlgebra.solve(square(Float64Array.from(matrix)), square(identity)).data;
    // Rows differ in scale: each element against the geometric mean of its diagonal elements.
    exact.forEach((value, at) => {
      const [i, j] = [Math.floor(at / size), at % size];
      const scale = Math.sqrt((exact[i * size + i] as number) * (exact[j * size + j] as number));
      expect(Math.abs((found[at] as number) - value) / scale).toBeLessThan(1e-4);
    });
  },
);

test('a matrix that is as good as singular gives something finite', async () => {
  const ones = new Float32Array(64).fill(1);
  for (const value of await inverseOf(ones, 8, 22)) expect(Number.isFinite(value)).toBe(true);
});

test('the error after k iterations is (1 − λ/‖A‖₁)^(2^k)', async () => {
  // diag scaled to 1 leaves eigenvalues 1 ± 0.8; ‖A‖₁ = 1.8.
  const [a, b] = await inverseOf(Float32Array.of(1, 0.8, 0.8, 1), 2, 3);
  const sum = (a as number) + (b as number);
  const difference = (a as number) - (b as number);
  // Eigenvalues of the inverse on (1, 1) and (1, −1).
  expect(sum).toBeCloseTo(1 / 1.8, 5);
  expect(difference).toBeCloseTo((1 - (1 - 0.2 / 1.8) ** 8) / 0.2, 4);
});
