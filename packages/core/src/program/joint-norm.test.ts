import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { Graph } from '@updraft/graph';
import { jointNorm } from './joint-norm.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

async function norm(a: readonly number[], b: number): Promise<number> {
  const graph = new Graph('norm');
  const parts = { a: graph.input('a', 'float32', [a.length]), b: graph.input('b', 'float32', []) };
  graph.output(jointNorm(parts), 'norm');
  const program = await backend.compile(graph);
  const found = await program.run({
    a: { dataType: 'float32', dims: [a.length], data: Float32Array.from(a) },
    b: { dataType: 'float32', dims: [], data: Float32Array.of(b) },
  });
  await program.dispose();
  return (found['norm']?.data as Float32Array)[0] as number;
}

test.each([1, 1e-30, 1e30, 1e-12, 2e37])('of 2, 3 and 6 it is 7, at the scale %d', async (scale) => {
  expect((await norm([2 * scale, -3 * scale], 6 * scale)) / (7 * scale)).toBeCloseTo(1, 6);
});

test('zeros have norm 0, and what is no number has none', async () => {
  expect(await norm([0, 0], 0)).toBe(0);
  for (const wrong of [Number.NaN, Infinity, -Infinity]) {
    expect(await norm([wrong, 1], 2)).toBeNaN();
    expect(await norm([3, 1], wrong)).toBeNaN();
  }
});
