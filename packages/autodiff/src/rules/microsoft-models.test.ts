import { describe, test } from '@jest/globals';
import { applyNode, matMulNBits, standardOperators, type Operand, type Tensor } from '@updraft/graph';
import { expectDerivatives, type Build, type InputSpec } from './testing/central-differences.js';

const of = (...shapes: readonly (readonly number[])[]): InputSpec[] => shapes.map((shape) => ({ shape }));
const bytes = (shape: readonly number[]): InputSpec => ({
  shape,
  dataType: 'uint8',
  values: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) => (index * 37 + 11) % 256),
});
const ids = (shape: readonly number[], values: readonly number[]): InputSpec => ({ shape, dataType: 'int32', values });

/** Operators without a function of their own. */
function applied(
  type: string,
  operands: readonly (Operand | undefined)[],
  attributes: Readonly<Record<string, number>>,
  outputs = 1,
): readonly Tensor[] {
  const schema = standardOperators().find('com.microsoft', type);
  if (schema === undefined) throw new Error(`no operator ${type}`);
  return applyNode(schema, operands, attributes, { outputs }).outputs as readonly Tensor[];
}

const packed = (bits: 4 | 8, rows: number): InputSpec[] => [
  ...of([2, rows]),
  bytes([3, Math.ceil(rows / 16), (16 * bits) / 8]),
  { shape: [3, Math.ceil(rows / 16)], offset: 0.02, scale: 0.01 },
];

const CASES: readonly [string, readonly InputSpec[], Build][] = [
  [
    'MatMulNBits, 4 bits',
    packed(4, 32),
    (x, weights, scales) => [matMulNBits(x, weights, scales, { rows: 32, columns: 3, blockSize: 16 })],
  ],
  [
    'MatMulNBits, 8 bits',
    packed(8, 16),
    (x, weights, scales) => [matMulNBits(x, weights, scales, { rows: 16, columns: 3, blockSize: 16, bits: 8 })],
  ],
  [
    'MatMulNBits, zero points, bias, last block shorter',
    [...packed(4, 40), bytes([3, 2]), ...of([3])],
    (x, weights, scales, zeroPoints, bias) => [
      matMulNBits(x, weights, scales, { rows: 40, columns: 3, blockSize: 16, zeroPoints, bias }),
    ],
  ],
  [
    'EmbedLayerNormalization',
    [ids([2, 3], [0, 4, 1, 2, 2, 3]), ids([2, 3], [0, 0, 1, 1, 0, 1]), ...of([5, 4], [3, 4], [2, 4], [4], [4])],
    (words, segments, wordTable, positionTable, segmentTable, scale, shift) => [
      applied(
        'EmbedLayerNormalization',
        [words, segments, wordTable, positionTable, segmentTable, scale, shift],
        { epsilon: 1e-2 },
        2,
      )[0] as Tensor,
    ],
  ],
  [
    'Attention',
    of([1, 3, 4], [4, 12], [12]),
    (x, weights, bias) => applied('Attention', [x, weights, bias], { num_heads: 2 }),
  ],
  [
    'Attention, causal',
    of([1, 3, 4], [4, 12], [12]),
    (x, weights, bias) => applied('Attention', [x, weights, bias], { num_heads: 2, unidirectional: 1, scale: 0.4 }),
  ],
];

describe('derivatives of model operators of the runtime are central differences of the kernels', () => {
  test.each(CASES)('%s', async (_, inputs, build) => {
    await expectDerivatives(inputs, build, { dataType: 'float32', step: 1e-2 });
  });
});
