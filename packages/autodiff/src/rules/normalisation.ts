import {
  add,
  div,
  matMul,
  mul,
  neg,
  normalizeAxis,
  pad,
  pow,
  reciprocal,
  reduceL1,
  reduceL2,
  reduceMean,
  reshape,
  shapeOf,
  sizeOf,
  slice,
  sqrt,
  square,
  sub,
  sumTo,
  zerosLike,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

const KEEP = { keepDims: true } as const;
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

/** [channels] as [1, channels, 1, ...] to broadcast over `x` [batch, channels, ...]. */
const perChannel = (value: Tensor, x: Tensor): Tensor => value.unsqueeze([0, ...range(2, x.rank)]);

/** (x - mean) / sqrt(variance + epsilon) over the given axes, population variance. */
function standardised(x: Tensor, axes: readonly number[], epsilon: number): Tensor {
  const centred = sub(x, reduceMean(x, axes, KEEP));
  return div(centred, sqrt(add(reduceMean(square(centred), axes, KEEP), epsilon)));
}

function batchNormalized({ node, input }: DerivativeContext): (Tensor | undefined)[] {
  const [x, scale, bias] = [input(0), input(1), input(2)];
  const epsilon = node.float('epsilon');
  if (node.int('training_mode') === 1) {
    const normalised = standardised(x, [0, ...range(2, x.rank)], epsilon);
    return [add(mul(normalised, perChannel(scale, x)), perChannel(bias, x))];
  }
  const factor = div(scale, sqrt(add(input(4), epsilon)));
  return [add(mul(sub(x, perChannel(input(3), x)), perChannel(factor, x)), perChannel(bias, x))];
}

/** Mean μ and inverse standard deviation r of a layer normalisation: its own outputs where it has them. */
function layerStatistics(
  { node, input, outputs }: DerivativeContext,
  axes: readonly number[],
): { readonly mean: Tensor; readonly inverse: Tensor } {
  const x = input(0);
  const [, mean, inverse] = outputs;
  if (mean?.dataType === x.dataType && inverse?.dataType === x.dataType) return { mean, inverse };
  const computed = reduceMean(x, axes, KEEP);
  const variance = reduceMean(square(sub(x, computed)), axes, KEEP);
  return { mean: computed, inverse: reciprocal(sqrt(add(variance, node.float('epsilon')))) };
}

/** Mean over the normalised axes of `value`·`scale`: a product with a vector where it is one, which saves a pass. */
function scaledMean(value: Tensor, scale: Tensor, axes: readonly number[]): Tensor {
  const width = value.shape[value.rank - 1];
  return axes.length === 1 && scale.rank === 1 && typeof width === 'number' && scale.shape[0] === width
    ? matMul(value, mul(scale, 1 / width).unsqueeze([1]))
    : reduceMean(mul(value, scale), axes, KEEP);
}

/**
 * Layer normalisation. With x̂ = (x - μ)·r and g = dy·scale: dx = r·(g - mean(g) - x̂·mean(g·x̂)). The statistics have
 * derivatives of their own: dμ/dx = 1/n and dr/dx = -r²·x̂/n for n normalised elements.
 */
function layerBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const { node } = context;
  const x = context.input(0);
  const scale = context.input(1);
  const [flowing, ofMean, ofInverse] = context.outputGradients;
  const axes = range(normalizeAxis(node.int('axis'), x.rank), x.rank);
  const { mean, inverse } = layerStatistics(context, axes);
  const normalised = mul(sub(x, mean), inverse);
  const bias = context.inputs[2];
  const results: (Tensor | undefined)[] = [undefined, undefined, undefined];
  const parts: Tensor[] = [];
  if (flowing !== undefined) {
    const weighted = mul(flowing, normalised);
    if (context.needs(0)) {
      const projected = mul(normalised, scaledMean(weighted, scale, axes));
      parts.push(mul(inverse, sub(sub(mul(flowing, scale), scaledMean(flowing, scale, axes)), projected)));
    }
    if (context.needs(1)) results[1] = sumTo(weighted, scale);
    if (bias !== undefined && context.needs(2)) results[2] = sumTo(flowing, bias);
  }
  if (context.needs(0)) {
    const share = (): Tensor => div(1, sizeOf(x, axes));
    if (ofMean !== undefined) parts.push(mul(ofMean.cast(x.dataType), share()));
    if (ofInverse !== undefined)
      parts.push(mul(mul(ofInverse.cast(x.dataType), mul(square(inverse), share())), neg(normalised)));
    const total = parts.reduce<Tensor | undefined>(
      (sum, part) => (sum === undefined ? part : add(sum, part)),
      undefined,
    );
    results[0] = total === undefined ? undefined : flowing === undefined ? add(total, zerosLike(x)) : total;
  }
  return results;
}

function rootMeanSquareNormalized({ node, input }: DerivativeContext): (Tensor | undefined)[] {
  const [x, scale] = [input(0), input(1)];
  const axes = range(normalizeAxis(node.int('axis'), x.rank), x.rank);
  return [mul(mul(x, reciprocal(sqrt(add(reduceMean(square(x), axes, KEEP), node.float('epsilon'))))), scale)];
}

/** [n, c, ...] → [n, groups, elements of a group]. */
const grouped = (x: Tensor, groups: number): Tensor => x.reshape([0, groups, -1]);

function localResponse(context: DerivativeContext): (Tensor | undefined)[] {
  const { node } = context;
  const x = context.input(0);
  const size = node.int('size');
  const before = Math.floor((size - 1) / 2);
  const after = Math.ceil((size - 1) / 2);
  const channels = x.shape[1];
  if (typeof channels !== 'number') return context.fail('its number of channels must be known when the graph is built');
  const pads = new Array<number>(2 * x.rank).fill(0);
  pads[1] = before;
  pads[x.rank + 1] = after;
  const padded = pad(square(x), pads);
  const windows = range(0, size).map((offset) => slice(padded, [offset], [offset + channels], [1]));
  const sum = windows.reduce((total, window) => add(total, window));
  const base = add(node.float('bias'), mul(node.float('alpha') / size, sum));
  return [mul(x, pow(base, -node.float('beta')))];
}

export const normalisationRules: readonly DerivativeRule[] = [
  byDecomposition('BatchNormalization', batchNormalized, {
    notes: 'inference and training form; running statistics carry no gradient',
  }),
  { operator: 'LayerNormalization', order: 'any', backward: layerBackward },
  byDecomposition('RMSNormalization', rootMeanSquareNormalized),
  byDecomposition('InstanceNormalization', ({ node, input }) => {
    const x = input(0);
    const normalised = standardised(x, range(2, x.rank), node.float('epsilon'));
    return [add(mul(normalised, perChannel(input(1), x)), perChannel(input(2), x))];
  }),
  byDecomposition('GroupNormalization', ({ node, input }) => {
    const x = input(0);
    const normalised = reshape(
      standardised(grouped(x, node.int('num_groups')), [2], node.float('epsilon')),
      shapeOf(x),
    );
    return [add(mul(normalised, perChannel(input(1), x)), perChannel(input(2), x))];
  }),
  byDecomposition('MeanVarianceNormalization', ({ node, input }) => {
    // The standard adds 1e-9 to the standard deviation.
    const x = input(0);
    const axes = node.ints('axes');
    const centred = sub(x, reduceMean(x, axes, KEEP));
    return [div(centred, add(sqrt(reduceMean(square(centred), axes, KEEP)), 1e-9))];
  }),
  byDecomposition('LpNormalization', ({ node, input }) => {
    const x = input(0);
    const axes = [node.int('axis')];
    return [div(x, node.int('p') === 1 ? reduceL1(x, axes, KEEP) : reduceL2(x, axes, KEEP))];
  }),
  byDecomposition('LRN', localResponse),
  byDecomposition('SimplifiedLayerNormalization', rootMeanSquareNormalized),
];
