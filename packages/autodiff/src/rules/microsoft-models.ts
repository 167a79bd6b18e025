import {
  add,
  bitShift,
  bitwiseAnd,
  concat,
  gather,
  layerNormalization,
  lessOrEqual,
  matMul,
  mul,
  rangeOf,
  reshape,
  shapeNode,
  slice,
  softmax,
  sub,
  transpose,
  where,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Values of `bits` bits out of bytes, the lowest bits first: the last axis grows by 8 / bits. */
function unpacked(bytes: Tensor, bits: number): Tensor {
  if (bits === 8) return bytes;
  const { graph } = bytes;
  const mask = graph.constant(2 ** bits - 1, 'uint8');
  const parts = Array.from({ length: 8 / bits }, (_, index) => {
    const shifted = index === 0 ? bytes : bitShift(bytes, graph.constant(index * bits, 'uint8'), 'RIGHT');
    return bitwiseAnd(shifted, mask).unsqueeze([-1]);
  });
  return reshape(concat(parts, -1), [...bytes.shape.slice(0, -1).map(() => 0), -1]);
}

/** The weights [columns, rows] in floating point. Only activations, scales and the bias carry gradients. */
function dequantizedWeights(context: DerivativeContext): Tensor {
  const { node } = context;
  const [rows, columns, bits, block] = ['K', 'N', 'bits', 'block_size'].map((name) => node.int(name)) as [
    number,
    number,
    number,
    number,
  ];
  const blocks = Math.ceil(rows / block);
  const scales = reshape(context.input(2), [columns, blocks, 1]);
  const values = reshape(unpacked(context.input(1), bits), [columns, blocks, block]).cast(scales.dataType);
  const given = node.inputs[3];
  const centre =
    given === undefined
      ? scales.graph.constant(2 ** (bits - 1), scales.dataType)
      : given.dataType === 'uint8'
        ? reshape(slice(unpacked(reshape(given, [columns, -1]), bits), [0], [blocks], [1]), [columns, blocks, 1]).cast(
            scales.dataType,
          )
        : reshape(given, [columns, blocks, 1]);
  const flat = reshape(mul(sub(values, centre), scales), [columns, blocks * block]);
  return blocks * block === rows ? flat : slice(flat, [0], [rows], [1]);
}

function quantizedProduct(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  if (node.inputs[4] !== undefined)
    context.fail('groups by index have no derivative', 'Give weights whose groups are in order.');
  const product = matMul(context.input(0), transpose(dequantizedWeights(context)));
  const bias = node.inputs[5];
  return [bias === undefined ? product : add(product, bias)];
}

/** 0, 1, 2, ... up to the size of an axis. */
function positions(x: Tensor, axis: number): Tensor {
  const { graph } = x;
  const limit = reshape(shapeNode(x, { start: axis, end: axis + 1 }), []);
  return rangeOf(graph.constant(0, 'int64'), limit, graph.constant(1, 'int64'));
}

function embedded(context: DerivativeContext): readonly (Tensor | undefined)[] {
  const { node } = context;
  const ids = context.input(0);
  const segments = node.inputs[1];
  const places = node.inputs[8] ?? positions(ids, 1).unsqueeze([0]);
  let sum = add(gather(context.input(2), ids), gather(context.input(3), places));
  const segmentTable = node.inputs[4];
  if (segments !== undefined && segmentTable !== undefined) sum = add(sum, gather(segmentTable, segments));
  return [
    layerNormalization(sum, context.input(5), context.input(6), { axis: -1, epsilon: node.float('epsilon') }),
    undefined,
    sum,
  ];
}

/** Projection to queries, keys and values, and self-attention. */
function selfAttention(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  const [x, weights] = [context.input(0), context.input(1)];
  const [, , bias, mask, past, scoreBias, length] = node.inputs;
  if (mask !== undefined || past !== undefined || length !== undefined || node.int('do_rotary') !== 0)
    context.fail('masks, caches and rotation have no derivative', 'Use multiHeadAttention() or attention() instead.');
  const width = weights.shape[1];
  if (typeof width !== 'number') return context.fail('the number of features must be known when the graph is built');
  const heads = node.int('num_heads');
  const declared = node.optionalInts('qkv_hidden_sizes');
  const sizes = declared?.length === 3 ? declared : [width / 3, width / 3, width / 3];
  const projected = bias === undefined ? matMul(x, weights) : add(matMul(x, weights), bias);
  let begin = 0;
  const [q, k, v] = sizes.map((size) => {
    const part = slice(projected, [begin], [begin + size], [2]);
    begin += size;
    return transpose(reshape(part, [0, 0, heads, size / heads]), [0, 2, 1, 3]);
  }) as [Tensor, Tensor, Tensor];
  const given = node.attribute('scale', 'float') ?? 0;
  const factor = given === 0 ? 1 / Math.sqrt((sizes[0] as number) / heads) : given;
  let scores = mul(matMul(q, transpose(k, [0, 1, 3, 2])), factor);
  if (scoreBias !== undefined) scores = add(scores, scoreBias);
  if (node.int('unidirectional') !== 0)
    scores = where(
      lessOrEqual(positions(k, 2).unsqueeze([0]), positions(q, 2).unsqueeze([1])),
      scores,
      scores.graph.constant(scores.dataType === 'float16' ? -6e4 : -1e30, scores.dataType),
    );
  return [reshape(transpose(matMul(softmax(scores, -1), v), [0, 2, 1, 3]), [0, 0, sizes[2] as number])];
}

export const microsoftModelRules: readonly DerivativeRule[] = [
  byDecomposition('com.microsoft.MatMulNBits', quantizedProduct, {
    notes: 'with respect to the activations, the scales, floating-point zero points and the bias; no groups by index',
  }),
  byDecomposition('com.microsoft.EmbedLayerNormalization', embedded),
  byDecomposition('com.microsoft.Attention', selfAttention, { notes: 'without masks, caches and rotation' }),
];
