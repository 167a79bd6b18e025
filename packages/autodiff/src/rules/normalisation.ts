import {
  add,
  div,
  mul,
  normalizeAxis,
  pad,
  pow,
  reciprocal,
  reduceL1,
  reduceL2,
  reduceMean,
  reshape,
  shapeOf,
  slice,
  sqrt,
  square,
  sub,
  sumTo,
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

/**
 * Layer normalisation, with the statistics of the forward pass. With x̂ = (x - μ)·r and g = dy·scale:
 * dx = r·(g - mean(g) - x̂·mean(g·x̂)).
 */
function layerBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const { node } = context;
  const x = context.input(0);
  const scale = context.input(1);
  const gradient = context.gradient(0);
  if (context.outputGradients[1] !== undefined || context.outputGradients[2] !== undefined)
    context.fail('its statistics have no derivative', 'Compute mean and variance with reduceMean where they need one.');
  const axes = range(normalizeAxis(node.int('axis'), x.rank), x.rank);
  const mean = reduceMean(x, axes, KEEP);
  const centred = sub(x, mean);
  const inverse = reciprocal(sqrt(add(reduceMean(square(centred), axes, KEEP), node.float('epsilon'))));
  const normalised = mul(centred, inverse);
  const bias = context.inputs[2];
  const results: (Tensor | undefined)[] = [undefined, undefined, undefined];
  if (context.needs(0)) {
    const scaled = mul(gradient, scale);
    const projected = mul(normalised, reduceMean(mul(scaled, normalised), axes, KEEP));
    results[0] = mul(inverse, sub(sub(scaled, reduceMean(scaled, axes, KEEP)), projected));
  }
  if (context.needs(1)) results[1] = sumTo(mul(gradient, normalised), scale);
  if (bias !== undefined && context.needs(2)) results[2] = sumTo(gradient, bias);
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
