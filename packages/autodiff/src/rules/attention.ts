import {
  add,
  concat,
  div,
  gather,
  lessOrEqual,
  matMul,
  mul,
  normalizeAxis,
  rangeOf,
  reshape,
  shapeNode,
  shapeOf,
  slice,
  softmax,
  sub,
  tanh,
  transpose,
  where,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

const HEADS_FORWARD = [0, 2, 1, 3] as const;

const numberOf = (context: DerivativeContext, name: string): number | undefined => {
  const value = context.node.attribute(name, 'int');
  return value === undefined ? undefined : Number(value);
};

/** [batch, length, heads * size] as [batch, heads, length, size]; four axes stay as they are. */
const intoHeads = (x: Tensor, heads: number | undefined): Tensor =>
  x.rank === 4 || heads === undefined ? x : transpose(splitHeads(x, heads), HEADS_FORWARD);

/** [batch, length, heads * size] as [batch, length, heads, size]. */
function splitHeads(x: Tensor, heads: number): Tensor {
  const width = x.shape[2];
  return reshape(x, typeof width === 'number' ? [0, 0, heads, width / heads] : [0, 0, heads, -1]);
}

/** [batch, heads, length, size] as [batch, length, heads * size]. */
function outOfHeads(x: Tensor): Tensor {
  const [, heads, , size] = x.shape;
  const known = typeof heads === 'number' && typeof size === 'number';
  return reshape(transpose(x, HEADS_FORWARD), known ? [0, 0, heads * size] : [0, 0, -1]);
}

/** 0, 1, 2, ... up to the size of an axis. */
function positions(x: Tensor, axis: number): Tensor {
  const at = normalizeAxis(axis, x.rank);
  const { graph } = x;
  const limit = reshape(shapeNode(x, { start: at, end: at + 1 }), []);
  return rangeOf(graph.constant(0, 'int64'), limit, graph.constant(1, 'int64'));
}

/** Every key and value head as often as queries use it, in order. */
function repeatedHeads(context: DerivativeContext, x: Tensor, heads: number): Tensor {
  const own = x.shape[1];
  if (own === heads) return x;
  const size = x.shape[3];
  if (typeof own !== 'number' || typeof size !== 'number')
    return context.fail('the numbers of heads and the head size must be known when the graph is built');
  const lifted = x.unsqueeze([2]);
  return reshape(
    concat(
      Array.from({ length: heads / own }, () => lifted),
      2,
    ),
    [0, heads, -1, size],
  );
}

/** What a score that is forbidden becomes: far below all others, and finite in the element type. */
const forbidden = (like: Tensor): Tensor =>
  like.graph.constant(like.dataType === 'float16' ? -6e4 : -1e30, like.dataType);

/** Attention-23: scaled products, mask, cap, softmax, values. */
function attention(context: DerivativeContext): readonly (Tensor | undefined)[] {
  const { node } = context;
  const queryHeads = numberOf(context, 'q_num_heads');
  const keyHeads = numberOf(context, 'kv_num_heads');
  const [, , , mask, pastKey, pastValue] = node.inputs;
  const query = intoHeads(context.input(0), queryHeads);
  const withPast = (past: Tensor | undefined, now: Tensor): Tensor =>
    past === undefined ? now : concat([past, now], 2);
  const key = withPast(pastKey, intoHeads(context.input(1), keyHeads));
  const value = withPast(pastValue, intoHeads(context.input(2), keyHeads));
  const [, heads, , size] = query.shape;
  if (typeof heads !== 'number' || typeof size !== 'number')
    return context.fail(
      'the number of heads and the head size must be known when the graph is built',
      'Bind those dimensions to numbers.',
    );
  const factor = node.attribute('scale', 'float') ?? 1 / Math.sqrt(size);
  const products = matMul(query, transpose(repeatedHeads(context, key, heads), [0, 1, 3, 2]));
  let scores = mul(products, factor);
  // Before anything forbids a score: what is forbidden would come back as minus the cap.
  const cap = node.float('softcap');
  if (cap !== 0) scores = mul(tanh(div(scores, cap)), cap);
  if (node.int('is_causal') !== 0) {
    const rows = positions(query, 2);
    const first = pastKey === undefined ? rows : add(rows, reshape(shapeNode(pastKey, { start: 2, end: 3 }), []));
    scores = where(lessOrEqual(positions(key, 2).unsqueeze([0]), first.unsqueeze([1])), scores, forbidden(scores));
  }
  if (mask !== undefined)
    scores =
      mask.dataType === 'bool' ? where(mask, scores, forbidden(scores)) : add(scores, mask.cast(scores.dataType));
  const result = matMul(softmax(scores, -1).cast(value.dataType), repeatedHeads(context, value, heads));
  return [context.input(0).rank === 4 ? result : outOfHeads(result), key, value];
}

/** Multi-head attention of the runtime: three axes each, additive bias, no caches. */
function multiHeadAttention(context: DerivativeContext): readonly (Tensor | undefined)[] {
  const { node } = context;
  const heads = node.int('num_heads');
  const [query, key, value, bias, keyMask, scoreBias, ...cached] = node.inputs as readonly (Tensor | undefined)[];
  if (query?.rank !== 3 || key?.rank !== 3 || value?.rank !== 3)
    return context.fail(
      'packed operands have no derivative',
      'Give query, key and value as [batch, length, features].',
    );
  if (cached.some((one) => one !== undefined)) context.fail('caches have no derivative', 'Leave the past out.');
  const width = query.shape[2];
  if (typeof width !== 'number') return context.fail('the number of features must be known when the graph is built');
  const biased = (x: Tensor, index: number): Tensor => {
    if (bias === undefined) return intoHeads(x, heads);
    const end = index === 2 ? Number.MAX_SAFE_INTEGER : (index + 1) * width;
    return intoHeads(add(x, slice(bias, [index * width], [end], [0])), heads);
  };
  const [q, k, v] = [biased(query, 0), biased(key, 1), biased(value, 2)];
  const factor = node.attribute('scale', 'float') ?? 0;
  let scores = mul(matMul(q, transpose(k, [0, 1, 3, 2])), factor === 0 ? 1 / Math.sqrt(width / heads) : factor);
  if (scoreBias !== undefined) scores = add(scores, scoreBias);
  if (keyMask !== undefined) {
    if (keyMask.rank !== 2) context.fail('key padding masks have a derivative as [batch, key length] only');
    scores = where(keyMask.cast('bool').unsqueeze([1, 2]), scores, forbidden(scores));
  }
  if (node.int('unidirectional') !== 0)
    scores = where(
      lessOrEqual(positions(k, 2).unsqueeze([0]), positions(q, 2).unsqueeze([1])),
      scores,
      forbidden(scores),
    );
  return [outOfHeads(matMul(softmax(scores, -1), v)), k, v];
}

/** Rotates pairs of the last axis of [batch, length, heads, size]; the tables are [batch or 1, length, 1, pairs]. */
function rotated(x: Tensor, cosines: Tensor, sines: Tensor, pairs: number, interleaved: boolean): Tensor {
  const size = x.shape[3] as number;
  const first = size === 2 * pairs ? x : slice(x, [0], [2 * pairs], [3]);
  // Pairs are neighbours, or the halves of the rotated part.
  const axis = interleaved ? 4 : 3;
  const grid = reshape(first, interleaved ? [0, 0, 0, pairs, 2] : [0, 0, 0, 2, pairs]);
  const part = (index: number): Tensor => slice(grid, [index], [index + 1], [axis]).squeeze([axis]);
  const [real, imaginary] = [part(0), part(1)];
  const turned = [sub(mul(cosines, real), mul(sines, imaginary)), add(mul(sines, real), mul(cosines, imaginary))].map(
    (one) => one.unsqueeze([axis]),
  );
  const joined = reshape(concat(turned, axis), [0, 0, 0, 2 * pairs]);
  return size === 2 * pairs ? joined : concat([joined, slice(x, [2 * pairs], [size], [3])], 3);
}

/** Common to both rotary operators: `tables` gives cosines and sines as [batch or 1, length, pairs]. */
function rotary(
  context: DerivativeContext,
  heads: number | undefined,
  tables: readonly [Tensor, Tensor],
): readonly Tensor[] {
  const { node } = context;
  const x = context.input(0);
  const [cosines, sines] = tables.map((table) => table.unsqueeze([2])) as [Tensor, Tensor];
  const pairs = cosines.shape[3];
  const split = x.rank === 4 ? transpose(x, HEADS_FORWARD) : heads === undefined ? x : splitHeads(x, heads);
  if (typeof pairs !== 'number' || typeof split.shape[3] !== 'number')
    return context.fail('the head size must be known when the graph is built', 'Bind that dimension to a number.');
  const result = rotated(split, cosines, sines, pairs, node.int('interleaved') !== 0);
  return [x.rank === 4 ? transpose(result, HEADS_FORWARD) : reshape(result, shapeOf(x))];
}

function standardRotary(context: DerivativeContext): readonly Tensor[] {
  const places = context.node.inputs[3];
  const table = (index: number): Tensor =>
    places === undefined ? context.input(index) : gather(context.input(index), places);
  return rotary(context, numberOf(context, 'num_heads'), [table(1), table(2)]);
}

function microsoftRotary(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  if (node.int('is_packed_batching') !== 0) context.fail('packed batches have no derivative');
  const x = context.input(0);
  const given = context.input(1);
  // One number is where the sequences start.
  const places = given.rank === 1 ? add(positions(x, x.rank === 4 ? 2 : 1), given).unsqueeze([0]) : given;
  const [cosines, sines] = [gather(context.input(2), places), gather(context.input(3), places)];
  const declared = node.int('num_heads');
  const [width, pairs] = [x.shape[x.rank - 1], cosines.shape[2]];
  const inferred = typeof width === 'number' && typeof pairs === 'number' ? width / (2 * pairs) : undefined;
  const heads =
    declared === 0 ? (inferred ?? context.fail('its number of heads must be known when the graph is built')) : declared;
  return rotary(context, heads, [cosines, sines]);
}

export const attentionRules: readonly DerivativeRule[] = [
  byDecomposition('Attention', attention, {
    notes: 'known numbers of heads and head size; the raw scores have no derivative',
  }),
  byDecomposition('RotaryEmbedding', standardRotary, { notes: 'known head size' }),
  byDecomposition('com.microsoft.RotaryEmbedding', microsoftRotary, { notes: 'known head size; no packed batches' }),
  byDecomposition('com.microsoft.MultiHeadAttention', multiHeadAttention, {
    notes: 'operands with three axes, without caches',
  }),
];
