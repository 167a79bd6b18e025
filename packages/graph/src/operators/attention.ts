import { apply, applyNode } from '../apply.js';
import { dimAdd, dimFloorDivide, dimMultiply, isStatic, type Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema, TensorType } from '../schema.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS } from '../type-sets.js';
import { checkBroadcastsTo, requireFilled } from './checks.js';
import { flag } from './operands.js';

/** Heads, positions and head size of a query, key or value: [batch, heads, length, size] or [batch, length, heads * size]. */
interface HeadShape {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly length: Dim;
  readonly size: Dim;
}

/** Split `value` into heads; rank 3 needs the number of heads. */
function headShape(context: InferenceContext, value: Tensor, heads: number | undefined, what: string): HeadShape {
  const { shape } = value;
  if (value.rank === 4) {
    const [batch, found, length, size] = shape as readonly [Dim, Dim, Dim, Dim];
    return {
      batch,
      heads: heads === undefined ? found : context.unify(heads, found, `heads of ${what}`),
      length,
      size,
    };
  }
  if (value.rank !== 3)
    context.fail(
      `${what} ${shapeText(shape)} is neither [batch, heads, length, size] nor [batch, length, heads * size]`,
    );
  if (heads === undefined || heads < 1)
    return context.fail(
      `${what} ${shapeText(shape)} does not say its number of heads`,
      'Give the number of heads, or four axes.',
    );
  const [batch, length, width] = shape as readonly [Dim, Dim, Dim];
  if (isStatic(width) && width % heads !== 0)
    context.fail(`${what} ${shapeText(shape)} does not divide into ${heads} heads`);
  return { batch, heads, length, size: dimFloorDivide(width, heads) };
}

const ATTENTION: OperatorSchema = {
  type: 'Attention',
  since: 23,
  inputs: [
    { name: 'Q', types: FLOATS, typeVariable: 'T1' },
    { name: 'K', types: FLOATS, typeVariable: 'T1' },
    { name: 'V', types: FLOATS, typeVariable: 'T2' },
    { name: 'attn_mask', optional: true },
    { name: 'past_key', types: FLOATS, typeVariable: 'T1', optional: true },
    { name: 'past_value', types: FLOATS, typeVariable: 'T2', optional: true },
  ],
  attributes: {
    is_causal: { kind: 'int', default: 0 },
    kv_num_heads: { kind: 'int' },
    q_num_heads: { kind: 'int' },
    qk_matmul_output_mode: { kind: 'int', default: 0 },
    scale: { kind: 'float' },
    softcap: { kind: 'float', default: 0 },
    softmax_precision: { kind: 'int' },
  },
  outputs: [1, 4],
  infer(context) {
    const { node } = context;
    const [q, k, v] = [context.input(0), context.input(1), context.input(2)];
    const int = (name: string): number | undefined => {
      const value = node.attribute(name, 'int');
      return value === undefined ? undefined : Number(value);
    };
    for (const [value, what] of [
      [q, 'the query'],
      [k, 'the key'],
      [v, 'the value'],
    ] as const)
      requireFilled(context, value.shape, what);
    const query = headShape(context, q, int('q_num_heads'), 'the query');
    const key = headShape(context, k, int('kv_num_heads'), 'the key');
    const value = headShape(context, v, int('kv_num_heads'), 'the value');
    context.unify(query.size, key.size, 'head sizes of query and key');
    context.unify(key.heads, value.heads, 'heads of key and value');
    context.unify(key.length, value.length, 'lengths of key and value');
    const batch = context.unify(
      query.batch,
      context.unify(key.batch, value.batch, 'batches of key and value'),
      'batches of query and key',
    );
    if (isStatic(query.heads) && isStatic(key.heads) && query.heads % key.heads !== 0)
      context.fail(`${query.heads} heads of the query do not divide by ${key.heads} heads of key and value`);
    const [pastKey, pastValue] = [context.inputs[4], context.inputs[5]];
    if ((pastKey === undefined) !== (pastValue === undefined)) context.fail('past key and past value go together');
    const total =
      pastKey === undefined
        ? key.length
        : dimAdd(headShape(context, pastKey, undefined, 'the past key').length, key.length);
    const scores = [batch, query.heads, query.length, total];
    const mask = context.inputs[3];
    if (mask !== undefined) checkBroadcastsTo(context, mask, scores, 'the mask');
    const result: TensorType = {
      dataType: q.dataType,
      shape:
        q.rank === 4
          ? [batch, query.heads, query.length, value.size]
          : [batch, query.length, dimMultiply(query.heads, value.size)],
    };
    return [
      result,
      { dataType: k.dataType, shape: [batch, key.heads, total, key.size] },
      { dataType: v.dataType, shape: [batch, key.heads, total, value.size] },
      { dataType: q.dataType, shape: scores },
    ];
  },
};

/** Tables of cosines and sines: [positions, size / 2], or [batch, length, size / 2] without position numbers. */
function checkRotaryTables(context: InferenceContext, cos: Tensor, sin: Tensor, positions: Tensor | undefined): void {
  const rank = positions === undefined ? 3 : 2;
  if (cos.rank !== rank || sin.rank !== rank)
    context.fail(
      `the tables ${shapeText(cos.shape)} and ${shapeText(sin.shape)} do not have rank ${rank}`,
      'They are [positions, size / 2] with position numbers and [batch, length, size / 2] without.',
    );
  cos.shape.forEach((dim, axis) =>
    context.unify(dim, sin.shape[axis] as Dim, `tables of cosines and sines, axis ${axis}`),
  );
}

const ROTARY_EMBEDDING: OperatorSchema = {
  type: 'RotaryEmbedding',
  since: 23,
  inputs: [
    { name: 'X', types: ['float32', 'float16', 'bfloat16'], typeVariable: 'T' },
    { name: 'cos_cache', types: ['float32', 'float16', 'bfloat16'], typeVariable: 'T' },
    { name: 'sin_cache', types: ['float32', 'float16', 'bfloat16'], typeVariable: 'T' },
    { name: 'position_ids', types: ['int64'], optional: true },
  ],
  attributes: {
    interleaved: { kind: 'int', default: 0 },
    num_heads: { kind: 'int' },
    rotary_embedding_dim: { kind: 'int', default: 0 },
  },
  infer(context) {
    const x = context.input(0);
    const heads = context.node.attribute('num_heads', 'int');
    const { size } = headShape(context, x, heads === undefined || heads === 0 ? undefined : Number(heads), 'the input');
    checkRotaryTables(context, context.input(1), context.input(2), context.inputs[3]);
    const rotated = context.node.int('rotary_embedding_dim');
    if (rotated < 0 || rotated % 2 !== 0 || (isStatic(size) && rotated > size))
      context.fail(`rotary_embedding_dim ${rotated} is not an even number within the head size`);
    const half = context.input(1).shape.at(-1) as Dim;
    context.unify(
      dimFloorDivide(rotated === 0 ? size : rotated, 2),
      half,
      'half of the rotated size and width of the tables',
    );
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

export const attentionSchemas: readonly OperatorSchema[] = [ATTENTION, ROTARY_EMBEDDING];

export interface AttentionOptions {
  /** Added to the scores, or where false (bool) forbids; broadcasts to [batch, heads, query length, key length]. */
  readonly mask?: Tensor;
  readonly pastKey?: Tensor;
  readonly pastValue?: Tensor;
  /** Position i sees positions up to i only; default: false. */
  readonly causal?: boolean;
  /** Heads of the query and of key and value; needed for [batch, length, heads * size]. */
  readonly queryHeads?: number;
  readonly keyValueHeads?: number;
  /** Factor of the scores; default: 1 / sqrt(head size). */
  readonly scale?: number;
  /** Bound on the scores, `softcap * tanh(scores / softcap)`; default: none. */
  readonly softcap?: number;
}

const attentionInputs = (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions) => [
  q,
  k,
  v,
  options.mask,
  options.pastKey,
  options.pastValue,
];
const attentionAttributes = (options: AttentionOptions) => ({
  is_causal: flag(options.causal),
  q_num_heads: options.queryHeads,
  kv_num_heads: options.keyValueHeads,
  scale: options.scale,
  softcap: options.softcap,
});

/**
 * Scaled dot-product attention (Vaswani et al. 2017), with fewer key and value heads for grouped queries. Operands are
 * [batch, heads, length, size] or [batch, length, heads * size]. ONNX opset 23.
 */
export const attention = (query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions = {}): Tensor =>
  apply(ATTENTION, attentionInputs(query, key, value, options), attentionAttributes(options));

/** {@link attention} with the keys and values for the next call, [batch, heads, past + length, size]. */
export function attentionWithCache(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): { output: Tensor; presentKey: Tensor; presentValue: Tensor } {
  const [output, presentKey, presentValue] = applyNode(
    ATTENTION,
    attentionInputs(query, key, value, options),
    attentionAttributes(options),
    { outputs: 3 },
  ).outputs as readonly [Tensor, Tensor, Tensor];
  return { output, presentKey, presentValue };
}

export interface RotaryEmbeddingOptions {
  /** Row of the tables for each position, [batch, length]; without it the tables are [batch, length, size / 2]. */
  readonly positions?: Tensor;
  /** Pairs are neighbours instead of halves; default: false. */
  readonly interleaved?: boolean;
  /** Number of heads; needed for [batch, length, heads * size]. */
  readonly heads?: number;
  /** Rotate the first elements of each head only; default: all (0). */
  readonly rotatedSize?: number;
}

/** Rotate pairs of elements by angles that grow with the position (Su et al. 2021). ONNX opset 23. */
export const rotaryEmbedding = (
  x: Tensor,
  cosines: Tensor,
  sines: Tensor,
  options: RotaryEmbeddingOptions = {},
): Tensor =>
  apply(ROTARY_EMBEDDING, [x, cosines, sines, options.positions], {
    interleaved: flag(options.interleaved),
    num_heads: options.heads,
    rotary_embedding_dim: options.rotatedSize,
  });
