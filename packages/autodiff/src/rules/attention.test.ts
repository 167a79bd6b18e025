import { describe, test } from '@jest/globals';
import {
  attention,
  attentionWithCache,
  microsoftRotaryEmbedding,
  multiHeadAttention,
  rotaryEmbedding,
} from '@updraft/graph';
import { expectDerivatives, type Build, type InputSpec } from './testing/central-differences.js';

const of = (...shapes: readonly (readonly number[])[]): InputSpec[] => shapes.map((shape) => ({ shape }));
const whole = (
  dataType: 'int64' | 'bool' | 'int32',
  shape: readonly number[],
  values: readonly number[],
): InputSpec => ({
  shape,
  dataType,
  values,
});

const QKV = of([1, 2, 3, 2], [1, 2, 3, 2], [1, 2, 3, 2]);
const FLAT = of([2, 2, 4], [2, 3, 4], [2, 3, 4]);

const CASES: readonly [string, readonly InputSpec[], Build][] = [
  ['Attention', QKV, (q, k, v) => [attention(q, k, v)]],
  ['Attention, causal', QKV, (q, k, v) => [attention(q, k, v, { causal: true })]],
  ['Attention, own scale', QKV, (q, k, v) => [attention(q, k, v, { scale: 0.3 })]],
  ['Attention, capped', QKV, (q, k, v) => [attention(q, k, v, { softcap: 0.8, scale: 2 })]],
  ['Attention, additive mask', [...QKV, ...of([1, 2, 3, 3])], (q, k, v, mask) => [attention(q, k, v, { mask })]],
  [
    'Attention, boolean mask',
    [...QKV, whole('bool', [3, 3], [1, 1, 0, 0, 1, 1, 1, 0, 1])],
    (q, k, v, mask) => [attention(q, k, v, { mask })],
  ],
  ['Attention, three axes', FLAT, (q, k, v) => [attention(q, k, v, { queryHeads: 2, keyValueHeads: 2 })]],
  ['Attention, grouped heads', of([1, 4, 2, 2], [1, 2, 3, 2], [1, 2, 3, 2]), (q, k, v) => [attention(q, k, v)]],
  [
    'Attention with the past',
    [...of([1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 1, 2], [1, 1, 1, 2])],
    (q, k, v, pastKey, pastValue) => {
      const { output, presentKey, presentValue } = attentionWithCache(q, k, v, { pastKey, pastValue });
      return [output, presentKey, presentValue];
    },
  ],
  ['MultiHeadAttention', FLAT, (q, k, v) => [multiHeadAttention(q, k, v, { heads: 2 })]],
  [
    'MultiHeadAttention, biases and scale',
    [...FLAT, ...of([12], [1, 1, 2, 3])],
    (q, k, v, bias, attentionBias) => [multiHeadAttention(q, k, v, { heads: 2, bias, attentionBias, scale: 0.4 })],
  ],
  [
    'MultiHeadAttention, padded keys',
    [...FLAT, whole('int32', [2, 3], [1, 1, 0, 1, 1, 1])],
    (q, k, v, keyPaddingMask) => [multiHeadAttention(q, k, v, { heads: 2, keyPaddingMask })],
  ],
  [
    'MultiHeadAttention, causal',
    of([1, 3, 4], [1, 3, 4], [1, 3, 4]),
    (q, k, v) => [multiHeadAttention(q, k, v, { heads: 2, causal: true })],
  ],
  ['RotaryEmbedding', of([1, 2, 3, 4], [1, 3, 2], [1, 3, 2]), (x, cos, sin) => [rotaryEmbedding(x, cos, sin)]],
  [
    'RotaryEmbedding, neighbours',
    of([1, 2, 3, 4], [1, 3, 2], [1, 3, 2]),
    (x, cos, sin) => [rotaryEmbedding(x, cos, sin, { interleaved: true })],
  ],
  [
    'RotaryEmbedding, part of the head, three axes, positions',
    [...of([1, 3, 12], [5, 2], [5, 2]), whole('int64', [1, 3], [4, 0, 2])],
    (x, cos, sin, places) => [rotaryEmbedding(x, cos, sin, { positions: places, heads: 2, rotatedSize: 4 })],
  ],
  [
    'RotaryEmbedding of the runtime, start',
    [...of([1, 3, 8]), whole('int64', [1], [1]), ...of([5, 2], [5, 2])],
    (x, places, cos, sin) => [microsoftRotaryEmbedding(x, places, cos, sin)],
  ],
  [
    'RotaryEmbedding of the runtime, positions, neighbours',
    [...of([1, 2, 3, 4]), whole('int64', [1, 3], [4, 0, 2]), ...of([5, 2], [5, 2])],
    (x, places, cos, sin) => [microsoftRotaryEmbedding(x, places, cos, sin, { interleaved: true })],
  ],
];

describe('derivatives of attention are central differences of the kernels', () => {
  test.each(CASES)('%s', async (_, inputs, build) => {
    await expectDerivatives(inputs, build, { dataType: 'float32' });
  });
});
