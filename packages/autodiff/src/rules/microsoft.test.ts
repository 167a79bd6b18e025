import { describe, test } from '@jest/globals';
import {
  biasGelu,
  fastGelu,
  fusedConv,
  fusedGemm,
  fusedMatMul,
  microsoftGelu,
  quickGelu,
  skipLayerNormalization,
  skipSimplifiedLayerNormalization,
} from '@updraft/graph';
import { expectDerivatives, type Build, type InputSpec } from './testing/central-differences.js';

const of = (...shapes: readonly (readonly number[])[]): InputSpec[] => shapes.map((shape) => ({ shape }));

const CASES: readonly [string, readonly InputSpec[], Build][] = [
  ['Gelu', of([2, 3]), (x) => [microsoftGelu(x)]],
  ['FastGelu', of([2, 3]), (x) => [fastGelu(x)]],
  ['FastGelu with bias', of([2, 3], [3]), (x, bias) => [fastGelu(x, bias)]],
  ['BiasGelu', of([2, 3], [3]), (x, bias) => [biasGelu(x, bias)]],
  ['QuickGelu', of([2, 3]), (x) => [quickGelu(x)]],
  ['QuickGelu, other slope', of([2, 3]), (x) => [quickGelu(x, 1)]],
  [
    'FusedMatMul',
    of([3, 2], [2, 3]),
    (a, b) => [fusedMatMul(a, b, { alpha: 0.5, transposeA: true, transposeB: true })],
  ],
  ['FusedMatMul, batch', of([2, 2, 3], [2, 3, 2]), (a, b) => [fusedMatMul(a, b)]],
  [
    'FusedMatMul, batch axes moved',
    of([2, 3, 2], [2, 3, 2]),
    (a, b) => [fusedMatMul(a, b, { transposeBatchA: true, transposeBatchB: true, transposeB: true })],
  ],
  [
    'FusedGemm',
    of([3, 2], [3, 2], [2]),
    (a, b, c) => [fusedGemm(a, b, c, { transposeA: true, alpha: 0.5, beta: 2, activation: 'Tanh' })],
  ],
  [
    'FusedGemm, slope',
    of([2, 3], [3, 2]),
    (a, b) => [fusedGemm(a, b, undefined, { activation: 'LeakyRelu', activationAlpha: 0.2 })],
  ],
  [
    'FusedConv',
    of([1, 2, 4, 4], [2, 2, 3, 3], [2]),
    (x, w, b) => [fusedConv(x, w, b, { pads: [1, 1, 1, 1], strides: [2, 2], activation: 'Sigmoid' })],
  ],
  [
    'SkipLayerNormalization',
    of([1, 2, 4], [1, 2, 4], [4]),
    (x, skip, scale) => [skipLayerNormalization(x, skip, scale, { epsilon: 1e-3 })],
  ],
  [
    'SkipLayerNormalization, all inputs',
    of([1, 2, 4], [2, 4], [4], [4], [4]),
    (x, skip, scale, shift, bias) => [skipLayerNormalization(x, skip, scale, { shift, bias, epsilon: 1e-3 })],
  ],
  [
    'SkipSimplifiedLayerNormalization',
    of([1, 2, 4], [1, 2, 4], [4], [4]),
    (x, skip, scale, bias) => [skipSimplifiedLayerNormalization(x, skip, scale, { bias, epsilon: 1e-3 })],
  ],
];

describe('derivatives of fused operators are central differences of the kernels', () => {
  test.each(CASES)('%s', async (_, inputs, build) => {
    await expectDerivatives(inputs, build, { dataType: 'float32', step: 1e-2 });
  });
});
