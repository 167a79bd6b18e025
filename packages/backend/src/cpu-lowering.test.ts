import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { gradients } from '@updraft/autodiff';
import { emptyTensor, Graph, scatterND, type Tensor, type TensorData } from '@updraft/graph';
import type { Backend } from './backend.js';
import { createBackend } from './create-backend.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const ROWS = 64;
const WIDTH = 96;
const TOKENS = 4096;
/** Few rows and many updates, so that threads meet at the same elements. */
const tokens = BigInt64Array.from({ length: TOKENS }, (_, index) => BigInt((index * index * 7 + index) % ROWS));
const updates = Float32Array.from({ length: TOKENS * WIDTH }, (_, index) => Math.sin(index * 12.9898));
const int64 = (data: BigInt64Array, dims: readonly number[]): TensorData => ({ dataType: 'int64', dims, data });
const float32 = (data: Float32Array, dims: readonly number[]): TensorData => ({ dataType: 'float32', dims, data });

function expectedSums(): Float64Array {
  const sums = new Float64Array(ROWS * WIDTH);
  tokens.forEach((token, row) => {
    for (let column = 0; column < WIDTH; column++) {
      const at = Number(token) * WIDTH + column;
      sums[at] = (sums[at] as number) + (updates[row * WIDTH + column] as number);
    }
  });
  return sums;
}

const worst = (found: TensorData | undefined, expected: Float64Array): number =>
  expected.reduce((most, value, index) => Math.max(most, Math.abs(value - Number(found?.data[index]))), 0);

describe('sums of many updates at few places', () => {
  test('the gradient of an embedding loses nothing and has the same bits at every run', async () => {
    const graph = new Graph('embedding');
    const table = graph.input('table', 'float32', [ROWS, WIDTH]);
    const taken = table.gather(graph.input('tokens', 'int64', [TOKENS]));
    const loss = taken.mul(graph.input('weights', 'float32', [TOKENS, WIDTH])).sum();
    graph.output(gradients(loss, [table])[0] as Tensor, 'gradient');
    const program = await backend.compile(graph);
    const feeds = {
      table: emptyTensor('float32', [ROWS, WIDTH]),
      tokens: int64(tokens, [TOKENS]),
      weights: float32(updates, [TOKENS, WIDTH]),
    };
    const fed = Object.fromEntries(program.inputs.map(({ name }) => [name, feeds[name as keyof typeof feeds]]));
    const first = (await program.run(fed))['gradient'];
    expect(worst(first, expectedSums())).toBeLessThan(1e-4);
    for (let run = 0; run < 50; run++) expect((await program.run(fed))['gradient']).toEqual(first);
    await program.dispose();
  });

  test.each([
    ['whole rows, also counted from the end', 1],
    ['single elements', 2],
  ])('%s', async (_, depth) => {
    const graph = new Graph('scatter');
    const at = graph.input('at', 'int64', [TOKENS, depth]);
    const values = graph.input('values', 'float32', depth === 1 ? [TOKENS, WIDTH] : [TOKENS]);
    const base = graph.input('base', 'float32', [ROWS, WIDTH]);
    graph.output(scatterND(base, at, values, { reduction: 'add' }), 'sums');
    const program = await backend.compile(graph);
    const indices = new BigInt64Array(TOKENS * depth);
    const sums = new Float64Array(ROWS * WIDTH);
    tokens.forEach((token, row) => {
      const fromEnd = row % 3 === 0;
      indices[row * depth] = fromEnd ? token - BigInt(ROWS) : token;
      const column = row % WIDTH;
      if (depth === 2) indices[row * depth + 1] = BigInt(fromEnd ? column - WIDTH : column);
      for (let each = 0; each < WIDTH; each++) {
        if (depth === 2 && each !== column) continue;
        const place = Number(token) * WIDTH + each;
        sums[place] = (sums[place] as number) + (updates[depth === 1 ? row * WIDTH + each : row] as number);
      }
    });
    const result = await program.run({
      base: emptyTensor('float32', [ROWS, WIDTH]),
      at: int64(indices, [TOKENS, depth]),
      values: depth === 1 ? float32(updates, [TOKENS, WIDTH]) : float32(updates.slice(0, TOKENS), [TOKENS]),
    });
    expect(worst(result['sums'], sums)).toBeLessThan(1e-4);
    await program.dispose();
  });
});
