import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { gradients } from '@updraft/autodiff';
import { createBackend, type Backend } from '@updraft/backend';
import { conv, gemm, Graph, matMul, type Tensor, type TensorData } from '@updraft/graph';
import { CoreError } from '../errors.js';
import { isWeightTap, layerRows } from './layer-rows.js';
import { layerTaps } from './taps.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const wave = (...dims: number[]): TensorData => ({
  dataType: 'float32',
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, at) => Math.sin(2.3 * at + dims.length)),
});
const square = (value: Tensor): Tensor => value.square().sum();

interface Case {
  readonly name: string;
  readonly x: readonly number[];
  readonly weight: readonly number[];
  /** Rows and inputs of the layer. */
  readonly size: readonly [number, number];
  readonly layer: (x: Tensor, weight: Tensor) => Tensor;
  /** The output gradient with one row for each application. */
  readonly outputRows?: (gradient: Tensor) => Tensor;
}
const swap = (value: Tensor): Tensor => value.transpose([1, 0]);
const cases: readonly Case[] = [
  { name: 'x·W', x: [5, 3], weight: [3, 2], size: [5, 3], layer: matMul },
  { name: 'x·Wᵀ', x: [5, 3], weight: [2, 3], size: [5, 3], layer: (x, w) => matMul(x, swap(w)) },
  { name: 'leading axes', x: [2, 5, 3], weight: [3, 2], size: [10, 3], layer: matMul, outputRows: (g) => g.reshape([-1, 2]) },
  { name: 'W·x', x: [3, 5], weight: [2, 3], size: [5, 3], layer: (x, w) => matMul(w, x), outputRows: swap },
  { name: 'Wᵀ·x', x: [3, 5], weight: [3, 2], size: [5, 3], layer: (x, w) => matMul(swap(w), x), outputRows: swap },
  { name: 'Gemm', x: [5, 3], weight: [3, 2], size: [5, 3], layer: (x, w) => gemm(x, w) },
  { name: 'Gemm, both turned', x: [3, 5], weight: [2, 3], size: [5, 3], layer: (x, w) => gemm(x, w, undefined, { transposeA: true, transposeB: true }) },
  { name: 'Gemm, weight first', x: [5, 3], weight: [3, 2], size: [5, 3], layer: (x, w) => gemm(w, x, undefined, { transposeA: true, transposeB: true }), outputRows: swap },
  { name: 'convolution along one axis', x: [2, 3, 8], weight: [4, 3, 3], size: [8, 9], layer: (x, w) => conv(x, w, undefined, { strides: [2], pads: [1, 0] }), outputRows: (g) => g.transpose([0, 2, 1]).reshape([-1, 4]) },
  { name: 'convolution with automatic padding', x: [2, 2, 5, 4], weight: [3, 2, 2, 3], size: [40, 12], layer: (x, w) => conv(x, w, undefined, { autoPad: 'SAME_UPPER' }), outputRows: (g) => g.transpose([0, 2, 3, 1]).reshape([-1, 3]) },
]; // prettier-ignore

describe('rows of a layer', () => {
  test.each(cases)(
    '$name: the gradient as a matrix is ∇zᵀ·rows',
    async ({ x, weight, layer, size, outputRows = (g) => g }) => {
      const graph = new Graph('layer');
      const [input, w] = [graph.input('x', 'float32', x), graph.input('w', 'float32', weight)];
      const loss = square(layer(input, w));
      const [gradient] = gradients(loss, [w]) as [Tensor];
      const [tap, ...others] = layerTaps(loss, w).filter(isWeightTap);
      expect(others).toEqual([]);
      if (tap === undefined) throw new Error('no tap');
      const { rows, toMatrix, fromMatrix } = layerRows(tap, w);
      expect(rows.shape).toEqual(size);
      graph.output(matMul(swap(outputRows(tap.outputGradient)), rows), 'expected');
      graph.output(toMatrix(gradient).mul(1), 'matrix');
      graph.output(fromMatrix(toMatrix(gradient)).sub(gradient), 'zero');
      const program = await backend.compile(graph);
      const found = await program.run({ x: wave(...x), w: wave(...weight) });
      await program.dispose();
      const [matrix, expected, zero] = ['matrix', 'expected', 'zero'].map((name) =>
        Array.from(found[name]?.data as Float32Array),
      ) as [number[], number[], number[]];
      expect(matrix.length).toBe(expected.length);
      matrix.forEach((value, at) => {
        expect(value).toBeCloseTo(expected[at] as number, 4);
      });
      expect(Math.max(...zero.map(Math.abs))).toBe(0);
    },
  );

  test('what has no such rows is no weight of a layer, or is refused', () => {
    const graph = new Graph('other');
    const w = graph.input('w', 'float32', [4, 1, 3]);
    const grouped = square(conv(graph.input('x', 'float32', [2, 4, 8]), w, undefined, { group: 4 }));
    const [tap] = layerTaps(grouped, w);
    expect(tap !== undefined && isWeightTap(tap)).toBe(true);
    expect(() => tap && layerRows(tap, w)).toThrow(CoreError);
    const bias = graph.input('b', 'float32', [3]);
    const product = square(gemm(graph.input('y', 'float32', [2, 5]), graph.input('v', 'float32', [5, 3]), bias));
    expect(layerTaps(product, bias).filter(isWeightTap)).toEqual([]);
    const scaled = square(graph.input('z', 'float32', [3]).mul(bias));
    expect(layerTaps(scaled, bias).filter(isWeightTap)).toEqual([]);
  });
});
