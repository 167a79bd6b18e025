/**
 * Operators that ONNX Runtime adds to ONNX (domain `com.microsoft`, and `SimplifiedLayerNormalization`, which it keeps
 * in the default domain). Graphs that hold them run on ONNX Runtime only; exports for other runtimes avoid them.
 */
import { apply, applyNode } from '../apply.js';
import { dimAdd, dimFloorDivide, dimMultiply, isStatic, type Dim } from '../dimension.js';
import type { AttributeSchema, InferenceContext, OperatorSchema } from '../schema.js';
import { normalizeAxis, shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, FLOATS_BUT_BFLOAT16 } from '../type-sets.js';
import { checkBroadcastsTo, expectShape, refuseEmpty, requireFilled } from './checks.js';
import {
  convolutionAttributes,
  CONVOLUTION_ATTRIBUTES,
  convolvedShape,
  type ConvolutionOptions,
} from './convolution-shapes.js';
import { GEMM_ATTRIBUTES, gemmAttributes, gemmShape, matMulShape, type GemmOptions } from './matrix-shapes.js';
import { flag } from './operands.js';

const DOMAIN = 'com.microsoft';
const HALF_AND_SINGLE = ['float32', 'float16', 'bfloat16'] as const;

/** [positions..., features] of an operand whose leading positions move to its second-last axis. */
function rolled(shape: Shape): Shape {
  return shape.length < 3 ? shape : [...shape.slice(1, -1), shape[0] as Dim, shape[shape.length - 1] as Dim];
}
function swapped(shape: Shape): Shape {
  return shape.length < 2
    ? shape
    : [...shape.slice(0, -2), shape[shape.length - 1] as Dim, shape[shape.length - 2] as Dim];
}

const FUSED_MAT_MUL: OperatorSchema = {
  type: 'FusedMatMul',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'A', types: FLOATS, typeVariable: 'T' },
    { name: 'B', types: FLOATS, typeVariable: 'T' },
  ],
  attributes: {
    alpha: { kind: 'float', default: 1 },
    transA: { kind: 'int', default: 0 },
    transB: { kind: 'int', default: 0 },
    transBatchA: { kind: 'int', default: 0 },
    transBatchB: { kind: 'int', default: 0 },
  },
  infer(context) {
    const { node } = context;
    const [a, b] = [context.input(0), context.input(1)];
    const view = (shape: Shape, side: 'A' | 'B'): Shape => {
      const batched = node.int(`transBatch${side}`) !== 0 ? rolled(shape) : shape;
      return node.int(`trans${side}`) !== 0 ? swapped(batched) : batched;
    };
    return [{ dataType: a.dataType, shape: matMulShape(context, view(a.shape, 'A'), view(b.shape, 'B')) }];
  },
};

const FUSED_GEMM: OperatorSchema = {
  type: 'FusedGemm',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'A', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'B', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'C', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T', optional: true },
  ],
  attributes: {
    ...GEMM_ATTRIBUTES,
    activation: { kind: 'string' },
    activation_alpha: { kind: 'float' },
    activation_beta: { kind: 'float' },
    activation_gamma: { kind: 'float' },
  },
  infer: (context) => [{ dataType: context.input(0).dataType, shape: gemmShape(context) }],
};

const FUSED_CONV: OperatorSchema = {
  type: 'FusedConv',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'X', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'W', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'B', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T', optional: true },
    { name: 'Z', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T', optional: true },
  ],
  attributes: { ...CONVOLUTION_ATTRIBUTES, activation: { kind: 'string' }, activation_params: { kind: 'floats' } },
  infer(context) {
    const x = context.input(0);
    const shape = convolvedShape(context, x, context.input(1), context.inputs[2]);
    if (context.inputs[3] !== undefined) expectShape(context, context.inputs[3], shape, 'the summand');
    return [{ dataType: x.dataType, shape }];
  },
};

/** One value per feature (last axis). */
function expectFeatures(context: InferenceContext, index: number, x: Tensor): void {
  const value = context.inputs[index];
  if (value === undefined) return;
  if (x.rank === 0) context.fail('a scalar has no features');
  expectShape(context, value, x.shape.slice(-1), `input ${index}`);
}

/** An activation of `X` with, in some, a bias per feature. */
const activation = (
  type: string,
  bias: 'none' | 'optional' | 'required',
  attributes: Readonly<Record<string, AttributeSchema>> = {},
): OperatorSchema => ({
  type,
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'X', types: FLOATS, typeVariable: 'T' },
    ...(bias === 'none' ? [] : [{ name: 'bias', types: FLOATS, typeVariable: 'T', optional: bias === 'optional' }]),
  ],
  attributes,
  infer(context) {
    const x = context.input(0);
    expectFeatures(context, 1, x);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
});

const GELU = activation('Gelu', 'none');
const FAST_GELU = activation('FastGelu', 'optional');
const BIAS_GELU = activation('BiasGelu', 'required');
const QUICK_GELU = activation('QuickGelu', 'none', { alpha: { kind: 'float', default: 1.702 } });

const BIAS_SOFTMAX: OperatorSchema = {
  type: 'BiasSoftmax',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'data', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'bias', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
  ],
  attributes: { axis: { kind: 'int', default: 1 }, is_inner_broadcast: { kind: 'int', required: true } },
  infer(context) {
    const x = context.input(0);
    const axis = context.node.int('axis');
    if (axis < -x.rank || axis >= x.rank) context.fail(`axis ${axis} is out of range for ${shapeText(x.shape)}`);
    checkBroadcastsTo(context, context.input(1), x.shape, 'the bias');
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

/** Axes before the normalised ones keep their sizes, normalised ones become 1. */
const statistics = (shape: Shape, axis: number): Shape => shape.map((dim, at) => (at < axis ? dim : 1));

const SIMPLIFIED_LAYER_NORMALIZATION: OperatorSchema = {
  type: 'SimplifiedLayerNormalization',
  since: 1,
  inputs: [
    { name: 'X', types: FLOATS, typeVariable: 'T' },
    { name: 'scale', types: FLOATS, typeVariable: 'V' },
  ],
  attributes: {
    axis: { kind: 'int', default: -1 },
    epsilon: { kind: 'float', default: 1e-5 },
    stash_type: { kind: 'int', default: 1 },
  },
  outputs: [1, 2],
  infer(context) {
    const [x, scale] = [context.input(0), context.input(1)];
    const given = context.node.int('axis');
    if (given < -x.rank || given >= x.rank) context.fail(`axis ${given} is out of range for ${shapeText(x.shape)}`);
    const axis = normalizeAxis(given, x.rank);
    refuseEmpty(context, x.shape.slice(axis), 'the normalised part');
    checkBroadcastsTo(context, scale, x.shape.slice(axis), 'the scale');
    return [
      { dataType: scale.dataType, shape: x.shape },
      { dataType: 'float32', shape: statistics(x.shape, axis) },
    ];
  },
};

const skipNormalization = (type: string, vectors: readonly string[]): OperatorSchema => ({
  type,
  domain: DOMAIN,
  since: 1,
  inputs: ['input', 'skip', 'gamma', ...vectors].map((name, index) => ({
    name,
    types: HALF_AND_SINGLE,
    typeVariable: 'T',
    optional: index > 2,
  })),
  attributes: { epsilon: { kind: 'float', default: 1e-12 } },
  outputs: [1, 4],
  infer(context) {
    const [x, skip] = [context.input(0), context.input(1)];
    if (x.rank !== 2 && x.rank !== 3)
      context.fail(`the input ${shapeText(x.shape)} is neither [batch, length, features] nor [positions, features]`);
    refuseEmpty(context, x.shape.slice(-1), 'the normalised part');
    // The skip may lack the batch axis, or have size 1 there.
    checkBroadcastsTo(context, skip, x.shape, 'the skip');
    for (let index = 2; index < 3 + vectors.length; index++) expectFeatures(context, index, x);
    const whole = { dataType: x.dataType, shape: x.shape };
    const one = { dataType: 'float32', shape: statistics(x.shape, x.rank - 1) } as const;
    return [whole, one, one, whole];
  },
});

const SKIP_LAYER_NORMALIZATION = skipNormalization('SkipLayerNormalization', ['beta', 'bias']);
const SKIP_SIMPLIFIED_LAYER_NORMALIZATION = skipNormalization('SkipSimplifiedLayerNormalization', ['bias']);

const MAT_MUL_N_BITS: OperatorSchema = {
  type: 'MatMulNBits',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'A', types: HALF_AND_SINGLE, typeVariable: 'T1' },
    { name: 'B', types: ['uint8'] },
    { name: 'scales', types: HALF_AND_SINGLE, typeVariable: 'T1' },
    { name: 'zero_points', types: ['uint8', ...HALF_AND_SINGLE], optional: true },
    { name: 'g_idx', types: ['int32'], optional: true },
    { name: 'bias', types: HALF_AND_SINGLE, typeVariable: 'T1', optional: true },
  ],
  attributes: {
    K: { kind: 'int', required: true },
    N: { kind: 'int', required: true },
    accuracy_level: { kind: 'int', default: 0 },
    bits: { kind: 'int', default: 4 },
    block_size: { kind: 'int', required: true },
  },
  infer(context) {
    const { node } = context;
    const a = context.input(0);
    const [rows, columns] = [node.int('K'), node.int('N')];
    const [bits, block] = [node.int('bits'), node.int('block_size')];
    if (rows < 1 || columns < 1) context.fail(`K ${rows} and N ${columns} must be positive`);
    if (bits !== 2 && bits !== 4 && bits !== 8) context.fail(`bits is ${bits}`, 'Weights have 2, 4 or 8 bits.');
    if (block < 16 || Math.log2(block) % 1 !== 0)
      context.fail(`block_size ${block} is not a power of two of at least 16`);
    if (a.rank === 0) context.fail('a scalar cannot be a matrix factor');
    context.unify(rows, a.shape[a.rank - 1] as Dim, `columns of ${shapeText(a.shape)} and K`);
    const blocks = Math.ceil(rows / block);
    expectShape(context, context.input(1), [columns, blocks, (block * bits) / 8], 'the packed weights');
    const scales = context.input(2);
    expectShape(context, scales, scales.rank === 1 ? [columns * blocks] : [columns, blocks], 'the scales');
    if (context.inputs[5] !== undefined) expectShape(context, context.inputs[5], [columns], 'the bias');
    return [{ dataType: a.dataType, shape: [...a.shape.slice(0, -1), columns] }];
  },
};

const EMBED_LAYER_NORMALIZATION: OperatorSchema = {
  type: 'EmbedLayerNormalization',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'input_ids', types: ['int32'] },
    { name: 'segment_ids', types: ['int32'], optional: true },
    { name: 'word_embedding', types: ['float32', 'float16'], typeVariable: 'T' },
    { name: 'position_embedding', types: ['float32', 'float16'], typeVariable: 'T' },
    { name: 'segment_embedding', types: ['float32', 'float16'], typeVariable: 'T', optional: true },
    { name: 'gamma', types: ['float32', 'float16'], typeVariable: 'T' },
    { name: 'beta', types: ['float32', 'float16'], typeVariable: 'T' },
    { name: 'mask', types: ['int32'], optional: true },
    { name: 'position_ids', types: ['int32'], optional: true },
  ],
  attributes: { epsilon: { kind: 'float', default: 1e-12 }, mask_index_type: { kind: 'int', default: 0 } },
  outputs: [1, 3],
  infer(context) {
    const [ids, words] = [context.input(0), context.input(2)];
    if (ids.rank !== 2 || words.rank !== 2)
      context.fail(
        `the ids ${shapeText(ids.shape)} and the table ${shapeText(words.shape)} must be [batch, length] and [words, features]`,
      );
    for (const index of [1, 7])
      if (context.inputs[index] !== undefined) expectShape(context, context.input(index), ids.shape, `input ${index}`);
    const positions = context.inputs[8];
    if (positions !== undefined) checkBroadcastsTo(context, positions, ids.shape, 'the position ids');
    for (const index of [3, 4]) {
      const table = context.inputs[index];
      if (table === undefined) continue;
      if (table.rank !== 2) context.fail(`the table ${shapeText(table.shape)} is not two-dimensional`);
      context.unify(words.shape[1] as Dim, table.shape[1] as Dim, 'features of the tables');
    }
    for (const index of [5, 6]) expectFeatures(context, index, words);
    const { dataType } = words;
    const shape = [...ids.shape, words.shape[1] as Dim];
    return [
      { dataType, shape },
      { dataType: 'int32', shape: ids.shape.slice(0, 1) },
      { dataType, shape },
    ];
  },
};

const ATTENTION: OperatorSchema = {
  type: 'Attention',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'input', types: HALF_AND_SINGLE, typeVariable: 'T' },
    { name: 'weights', types: HALF_AND_SINGLE, typeVariable: 'T' },
    { name: 'bias', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'mask_index', types: ['int32'], optional: true },
    { name: 'past', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'attention_bias', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'past_sequence_length', types: ['int32'], optional: true },
  ],
  attributes: {
    do_rotary: { kind: 'int', default: 0 },
    mask_filter_value: { kind: 'float' },
    num_heads: { kind: 'int', required: true },
    past_present_share_buffer: { kind: 'int', default: 0 },
    qkv_hidden_sizes: { kind: 'ints' },
    rotary_embedding_dim: { kind: 'int' },
    scale: { kind: 'float' },
    unidirectional: { kind: 'int', default: 0 },
  },
  outputs: [1, 2],
  infer(context) {
    const { node } = context;
    const [x, weights] = [context.input(0), context.input(1)];
    if (x.rank !== 3 || weights.rank !== 2)
      context.fail(
        `the input ${shapeText(x.shape)} and the weights ${shapeText(weights.shape)} must have three and two axes`,
      );
    requireFilled(context, x.shape, 'the input');
    requireFilled(context, weights.shape, 'the weights');
    context.unify(x.shape[2] as Dim, weights.shape[0] as Dim, 'features and rows of the weights');
    const width = weights.shape[1] as Dim;
    if (context.inputs[2] !== undefined) expectShape(context, context.inputs[2], [width], 'the bias');
    const sizes = node.optionalInts('qkv_hidden_sizes');
    const heads = node.int('num_heads');
    const values = sizes === undefined || sizes.length !== 3 ? dimFloorDivide(width, 3) : (sizes[2] as number);
    if (heads < 1 || (isStatic(values) && values % heads !== 0))
      context.fail(`the values do not divide into ${heads} heads`);
    const past = context.inputs[4];
    const [batch, length] = x.shape as readonly [Dim, Dim, Dim];
    const shared = node.int('past_present_share_buffer') !== 0;
    const total = past === undefined ? length : shared ? (past.shape[3] as Dim) : dimAdd(past.shape[3] as Dim, length);
    return [
      { dataType: x.dataType, shape: [batch, length, values] },
      { dataType: x.dataType, shape: [2, batch, heads, total, dimFloorDivide(values, heads)] },
    ];
  },
};

const MULTI_HEAD_ATTENTION: OperatorSchema = {
  type: 'MultiHeadAttention',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'query', types: HALF_AND_SINGLE, typeVariable: 'T' },
    { name: 'key', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'value', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'bias', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'key_padding_mask', types: ['int32'], optional: true },
    { name: 'attention_bias', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'past_key', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'past_value', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'past_sequence_length', types: ['int32'], optional: true },
    { name: 'cache_indirection', types: ['int32'], optional: true },
  ],
  attributes: {
    mask_filter_value: { kind: 'float' },
    num_heads: { kind: 'int', required: true },
    scale: { kind: 'float' },
    unidirectional: { kind: 'int', default: 0 },
  },
  outputs: [1, 4],
  infer(context) {
    const heads = context.node.int('num_heads');
    if (heads < 1) context.fail(`num_heads is ${heads}`);
    const [query, key, value] = [context.input(0), context.inputs[1], context.inputs[2]];
    for (const operand of [query, key, value])
      if (operand !== undefined) requireFilled(context, operand.shape, 'an operand');
    const packed = query.rank === 5;
    if (!packed && query.rank !== 3)
      context.fail(
        `the query ${shapeText(query.shape)} is neither [batch, length, features] nor packed [batch, length, heads, 3, size]`,
      );
    const [batch, length] = query.shape as readonly [Dim, Dim, ...Dim[]];
    const width = packed ? dimMultiply(query.shape[2] as Dim, query.shape[4] as Dim) : (query.shape[2] as Dim);
    if (isStatic(width) && width % heads !== 0) context.fail(`${width} features do not divide into ${heads} heads`);
    const size = dimFloorDivide(width, heads);
    if (key !== undefined) {
      context.unify(batch, key.shape[0] as Dim, 'batches of query and key');
      if (key.rank === 3) context.unify(width, key.shape[2] as Dim, 'features of query and key');
    }
    // [batch, length, features], [batch, heads, length, size], or keys and values packed as [batch, length, heads, 2, size].
    const keys = key === undefined ? length : ((key.rank === 4 ? key.shape[2] : key.shape[1]) as Dim);
    const valueSize =
      value === undefined
        ? size
        : value.rank === 4
          ? (value.shape[3] as Dim)
          : dimFloorDivide(value.shape[2] as Dim, heads);
    const past = context.inputs[6];
    const total = past === undefined ? keys : dimAdd(past.shape[2] as Dim, keys);
    const { dataType } = query;
    return [
      { dataType, shape: [batch, length, dimMultiply(valueSize, heads)] },
      { dataType, shape: [batch, heads, total, size] },
      { dataType, shape: [batch, heads, total, valueSize] },
      { dataType, shape: [batch, heads, length, total] },
    ];
  },
};

const GROUP_QUERY_ATTENTION: OperatorSchema = {
  type: 'GroupQueryAttention',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'query', types: HALF_AND_SINGLE, typeVariable: 'T' },
    { name: 'key', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'value', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'past_key', types: HALF_AND_SINGLE, optional: true },
    { name: 'past_value', types: HALF_AND_SINGLE, optional: true },
    { name: 'seqlens_k', types: ['int32'] },
    { name: 'total_sequence_length', types: ['int32'] },
    { name: 'cos_cache', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'sin_cache', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'position_ids', types: ['int64'], optional: true },
    { name: 'attention_bias', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
    { name: 'head_sink', types: HALF_AND_SINGLE, typeVariable: 'T', optional: true },
  ],
  attributes: {
    do_rotary: { kind: 'int', default: 0 },
    kv_num_heads: { kind: 'int', required: true },
    local_window_size: { kind: 'int', default: -1 },
    num_heads: { kind: 'int', required: true },
    qk_output: { kind: 'int', default: 0 },
    rotary_interleaved: { kind: 'int', default: 0 },
    scale: { kind: 'float' },
    smooth_softmax: { kind: 'int', default: -1 },
    softcap: { kind: 'float' },
  },
  outputs: [1, 4],
  infer(context) {
    const { node } = context;
    const query = context.input(0);
    const [heads, groups] = [node.int('num_heads'), node.int('kv_num_heads')];
    if (heads < 1 || groups < 1 || heads % groups !== 0)
      context.fail(`${heads} heads do not divide by ${groups} key and value heads`);
    if (query.rank !== 3) context.fail(`the query ${shapeText(query.shape)} is not [batch, length, features]`);
    const [batch, length, width] = query.shape as readonly [Dim, Dim, Dim];
    for (const operand of context.inputs.slice(0, 3))
      if (operand !== undefined) requireFilled(context, operand.shape, 'an operand');
    const packed = context.inputs[1] === undefined;
    const parts = packed ? heads + 2 * groups : heads;
    if (isStatic(width) && width % parts !== 0) context.fail(`${width} features do not divide into ${parts} heads`);
    const size = dimFloorDivide(width, parts);
    const past = context.inputs[3];
    const wanted = context.elements(6)?.[0];
    // The buffer is as long as the longer of the past and the sequence so far; a long past is reused in place.
    const known = isStatic(wanted ?? NaN) && (past === undefined || isStatic(past.shape[2] as Dim));
    const total: Dim = known
      ? Math.max(wanted as number, (past?.shape[2] as number | undefined) ?? 0)
      : context.unknownDim('total');
    const { dataType } = query;
    const cache = { dataType: past?.dataType ?? dataType, shape: [batch, groups, total, size] };
    return [
      { dataType, shape: [batch, length, dimMultiply(size, heads)] },
      cache,
      cache,
      { dataType, shape: [batch, heads, length, total] },
    ];
  },
};

const ROTARY_EMBEDDING: OperatorSchema = {
  type: 'RotaryEmbedding',
  domain: DOMAIN,
  since: 1,
  inputs: [
    { name: 'input', types: HALF_AND_SINGLE, typeVariable: 'T' },
    { name: 'position_ids', types: ['int64'] },
    { name: 'cos_cache', types: HALF_AND_SINGLE, typeVariable: 'T' },
    { name: 'sin_cache', types: HALF_AND_SINGLE, typeVariable: 'T' },
  ],
  attributes: {
    interleaved: { kind: 'int', default: 0 },
    is_packed_batching: { kind: 'int', default: 0 },
    num_heads: { kind: 'int', default: 0 },
    rotary_embedding_dim: { kind: 'int', default: 0 },
    scale: { kind: 'float', default: 1 },
  },
  infer(context) {
    const [x, cos, sin] = [context.input(0), context.input(2), context.input(3)];
    if (x.rank !== 3 && x.rank !== 4)
      context.fail(
        `the input ${shapeText(x.shape)} is neither [batch, length, features] nor [batch, heads, length, size]`,
      );
    if (cos.rank !== 2) context.fail(`the table ${shapeText(cos.shape)} is not [positions, size / 2]`);
    expectShape(context, sin, cos.shape, 'the table of sines');
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

export const microsoftSchemas: readonly OperatorSchema[] = [
  FUSED_MAT_MUL,
  FUSED_GEMM,
  FUSED_CONV,
  GELU,
  FAST_GELU,
  BIAS_GELU,
  QUICK_GELU,
  BIAS_SOFTMAX,
  SIMPLIFIED_LAYER_NORMALIZATION,
  SKIP_LAYER_NORMALIZATION,
  SKIP_SIMPLIFIED_LAYER_NORMALIZATION,
  MAT_MUL_N_BITS,
  EMBED_LAYER_NORMALIZATION,
  ATTENTION,
  MULTI_HEAD_ATTENTION,
  GROUP_QUERY_ATTENTION,
  ROTARY_EMBEDDING,
];

export interface FusedMatMulOptions {
  /** Factor of the product; default: 1. */
  readonly alpha?: number;
  /** Swap the last two axes of a factor. */
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Move the first axis of a factor to the second-last place before anything else. */
  readonly transposeBatchA?: boolean;
  readonly transposeBatchB?: boolean;
}

/** `alpha * a · b` with transposed factors in one kernel. */
export const fusedMatMul = (a: Tensor, b: Tensor, options: FusedMatMulOptions = {}): Tensor =>
  apply(FUSED_MAT_MUL, [a, b], {
    alpha: options.alpha,
    transA: flag(options.transposeA),
    transB: flag(options.transposeB),
    transBatchA: flag(options.transposeBatchA),
    transBatchB: flag(options.transposeBatchB),
  });

/** {@link gemm} followed by an activation such as `Relu`, in one kernel. */
export const fusedGemm = (
  a: Tensor,
  b: Tensor,
  c: Tensor | undefined,
  options: GemmOptions & {
    readonly activation: string;
    readonly activationAlpha?: number;
    readonly activationBeta?: number;
    readonly activationGamma?: number;
  },
): Tensor =>
  apply(FUSED_GEMM, [a, b, c], {
    ...gemmAttributes(options),
    activation: options.activation,
    activation_alpha: options.activationAlpha,
    activation_beta: options.activationBeta,
    activation_gamma: options.activationGamma,
  });

/** {@link conv}, plus `summand`, followed by an activation such as `Relu`, in one kernel. */
export const fusedConv = (
  x: Tensor,
  weights: Tensor,
  bias: Tensor | undefined,
  options: ConvolutionOptions & {
    readonly activation?: string;
    readonly activationParameters?: readonly number[];
    readonly summand?: Tensor;
  },
): Tensor =>
  apply(FUSED_CONV, [x, weights, bias, options.summand], {
    ...convolutionAttributes(options),
    activation: options.activation,
    activation_params: options.activationParameters,
  });

/** Exact Gelu as one kernel of ONNX Runtime. */
export const microsoftGelu = (x: Tensor): Tensor => apply(GELU, [x]);
/** Gelu by tanh approximation of `x + bias`; `bias` is [features]. */
export const fastGelu = (x: Tensor, bias?: Tensor): Tensor => apply(FAST_GELU, [x, bias]);
/** Exact Gelu of `x + bias`; `bias` is [features]. */
export const biasGelu = (x: Tensor, bias: Tensor): Tensor => apply(BIAS_GELU, [x, bias]);
/** `x * sigmoid(alpha * x)`; alpha defaults to 1.702. */
export const quickGelu = (x: Tensor, alpha?: number): Tensor => apply(QUICK_GELU, [x], { alpha });

/** Softmax of `x + bias` over the axes from `axis` on, where `bias` broadcasts over inner or outer batch axes. */
export const biasSoftmax = (
  x: Tensor,
  bias: Tensor,
  options: { readonly axis?: number; readonly innerBroadcast: boolean },
): Tensor => apply(BIAS_SOFTMAX, [x, bias], { axis: options.axis, is_inner_broadcast: flag(options.innerBroadcast) });

export interface SimplifiedLayerNormalizationOptions {
  /** First normalised axis; default: -1. */
  readonly axis?: number;
  /** Added to the mean square; default: 1e-5. */
  readonly epsilon?: number;
}

/** RMS normalisation as ONNX Runtime has had it before opset 23. */
export const simplifiedLayerNormalization = (
  x: Tensor,
  scale: Tensor,
  options: SimplifiedLayerNormalizationOptions = {},
): Tensor => apply(SIMPLIFIED_LAYER_NORMALIZATION, [x, scale], { axis: options.axis, epsilon: options.epsilon });

/** {@link simplifiedLayerNormalization} with the inverse root mean square, normalised axes kept with size 1. */
export function simplifiedLayerNormalizationWithStatistics(
  x: Tensor,
  scale: Tensor,
  options: SimplifiedLayerNormalizationOptions = {},
): { output: Tensor; inverseRootMeanSquare: Tensor } {
  const [output, inverseRootMeanSquare] = applyNode(
    SIMPLIFIED_LAYER_NORMALIZATION,
    [x, scale],
    { axis: options.axis, epsilon: options.epsilon },
    { outputs: 2 },
  ).outputs as readonly [Tensor, Tensor];
  return { output, inverseRootMeanSquare };
}

export interface SkipNormalizationOptions {
  /** Added to the sum of input and skip, [features]. */
  readonly bias?: Tensor;
  /** Default: 1e-12. */
  readonly epsilon?: number;
}

/** Layer normalisation of `x + skip + bias`; CPU kernels give the normalised values and the sum, no statistics. */
export function skipLayerNormalization(
  x: Tensor,
  skip: Tensor,
  scale: Tensor,
  options: SkipNormalizationOptions & { readonly shift?: Tensor } = {},
): Tensor {
  return apply(SKIP_LAYER_NORMALIZATION, [x, skip, scale, options.shift, options.bias], { epsilon: options.epsilon });
}

/** RMS normalisation of `x + skip + bias`. */
export const skipSimplifiedLayerNormalization = (
  x: Tensor,
  skip: Tensor,
  scale: Tensor,
  options: SkipNormalizationOptions = {},
): Tensor => apply(SKIP_SIMPLIFIED_LAYER_NORMALIZATION, [x, skip, scale, options.bias], { epsilon: options.epsilon });

/** Matrix product with weights of 2, 4 or 8 bits, packed as [columns, blocks, block size * bits / 8]. */
export const matMulNBits = (
  x: Tensor,
  weights: Tensor,
  scales: Tensor,
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly blockSize: number;
    readonly bits?: 2 | 4 | 8;
    readonly zeroPoints?: Tensor;
    readonly bias?: Tensor;
    readonly accuracyLevel?: number;
  },
): Tensor =>
  apply(MAT_MUL_N_BITS, [x, weights, scales, options.zeroPoints, undefined, options.bias], {
    K: options.rows,
    N: options.columns,
    block_size: options.blockSize,
    bits: options.bits,
    accuracy_level: options.accuracyLevel,
  });

export interface MultiHeadAttentionOptions {
  readonly heads: number;
  /** Biases of query, key and value, [3 * features]. */
  readonly bias?: Tensor;
  /** Added to the scores, [batch or 1, heads or 1, query length, key length]. */
  readonly attentionBias?: Tensor;
  /** 1 where a key counts (int32), [batch, key length]. */
  readonly keyPaddingMask?: Tensor;
  readonly causal?: boolean;
  readonly scale?: number;
}

/** Multi-head attention over [batch, length, heads * size] in one kernel. */
export const multiHeadAttention = (
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: MultiHeadAttentionOptions,
): Tensor =>
  apply(MULTI_HEAD_ATTENTION, [query, key, value, options.bias, options.keyPaddingMask, options.attentionBias], {
    num_heads: options.heads,
    unidirectional: flag(options.causal),
    scale: options.scale,
  });

/** Rotary position embedding as ONNX Runtime has had it before opset 23; `positions` is [1] or [batch, length]. */
export const microsoftRotaryEmbedding = (
  x: Tensor,
  positions: Tensor,
  cosines: Tensor,
  sines: Tensor,
  options: { readonly heads?: number; readonly interleaved?: boolean; readonly rotatedSize?: number } = {},
): Tensor =>
  apply(ROTARY_EMBEDDING, [x, positions, cosines, sines], {
    num_heads: options.heads,
    interleaved: flag(options.interleaved),
    rotary_embedding_dim: options.rotatedSize,
  });
