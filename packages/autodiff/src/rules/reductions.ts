import {
  broadcastTo,
  cumSum,
  div,
  equal,
  exp,
  mul,
  onesLike,
  reduceProd,
  reduceSum,
  reshape,
  shapeOf,
  sign,
  sizeOf,
  sub,
  where,
  zerosLike,
  greater,
  type Tensor,
} from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Axes that a reduction reduces, non-negative; undefined when it reduces none (`noop_with_empty_axes`). */
function reducedAxes(context: DerivativeContext): readonly number[] | undefined {
  const { node } = context;
  const { rank } = context.input(0);
  const axes = node.inputs[1];
  const known =
    axes === undefined ? [] : (axes.elements ?? context.fail('its axes are not known when the graph is built'));
  if (known.length === 0)
    return node.int('noop_with_empty_axes') === 1 ? undefined : Array.from({ length: rank }, (_, axis) => axis);
  return known.map((axis) => (Number(axis) < 0 ? Number(axis) + rank : Number(axis)));
}

/** A value with reduced axes dropped, with these axes as size 1 again: it broadcasts against the input. */
function keepAxes(context: DerivativeContext, value: Tensor, axes: readonly number[]): Tensor {
  if (context.node.int('keepdims') === 1) return value;
  return axes.length === 0 ? value : value.unsqueeze(axes);
}

/** A reduction whose gradient is elementwise in the input once the output gradient is broadcast back. */
const reduction = (
  operator: string,
  backward: (at: {
    readonly gradient: Tensor;
    readonly x: Tensor;
    readonly y: Tensor;
    readonly axes: readonly number[];
  }) => Tensor,
  notes?: string,
): DerivativeRule => ({
  operator,
  order: 'any',
  ...(notes === undefined ? {} : { notes }),
  backward(context) {
    const axes = reducedAxes(context);
    const x = context.input(0);
    // With no axes to reduce, ONNX passes the input through for every reduction but those that also map elements.
    const over = axes ?? [];
    return [
      broadcastTo(
        backward({
          gradient: keepAxes(context, context.gradient(0), over),
          x,
          y: keepAxes(context, context.output(0), over),
          axes: over,
        }),
        x,
      ),
    ];
  },
});

/** Ties share the gradient equally. */
const extreme = ({
  gradient,
  x,
  y,
  axes,
}: {
  gradient: Tensor;
  x: Tensor;
  y: Tensor;
  axes: readonly number[];
}): Tensor => {
  const hits = equal(x, y).cast(x.dataType);
  const count = axes.length === 0 ? hits : reduceSum(hits, axes, { keepDims: true });
  return mul(hits, div(gradient, count));
};

/**
 * Product of all other elements along the reduced axes, exact with zeros among the factors: products of the elements
 * before and after, from running products of the flattened axes.
 */
function otherFactors(x: Tensor, axes: readonly number[]): Tensor {
  if (axes.length === 0) return onesLike(x);
  const kept = Array.from({ length: x.rank }, (_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  const inverse = order.map((_, axis) => order.indexOf(axis));
  const moved = x.transpose(order);
  const flat = moved.reshape([...kept.map(() => 0), -1]);
  const last = flat.rank - 1;
  const size = flat.shape[last];
  if (typeof size !== 'number')
    // Sizes unknown while building: mask out each element with a matrix of ones off the diagonal would need the size.
    return productByZeroCounting(x, axes);
  const column = flat.unsqueeze([last + 1]);
  const data = new Float32Array(size * size);
  for (let index = 0; index < size; index++) data[index * size + index] = 1;
  const diagonal = x.graph.constant({ dataType: 'float32', dims: [size, size], data }).cast('bool');
  // [.., element, factor]: every row holds all factors, the element's own one replaced by 1.
  const rows = where(diagonal, x.graph.constant(1, x.dataType), column.transpose(swapLast(column.rank)));
  const products = reduceProd(rows, [last + 1], { keepDims: false });
  return reshape(products, shapeOf(moved)).transpose(inverse);
}

const swapLast = (rank: number): number[] => [
  ...Array.from({ length: rank - 2 }, (_, axis) => axis),
  rank - 1,
  rank - 2,
];

/** Product of the others by counting zeros: first-order exact, used when the number of factors is symbolic. */
function productByZeroCounting(x: Tensor, axes: readonly number[]): Tensor {
  const isZero = equal(x, 0);
  const zeros = reduceSum(isZero.cast(x.dataType), axes, { keepDims: true });
  const safe = where(isZero, x.graph.constant(1, x.dataType), x);
  const product = reduceProd(safe, axes, { keepDims: true });
  const withoutZeros = div(product, safe);
  const none = equal(zeros, 0);
  const single = equal(zeros, 1);
  const zero = zerosLike(x);
  return where(none, withoutZeros, where(single, where(isZero, broadcastTo(product, x), zero), zero));
}

export const reductionRules: readonly DerivativeRule[] = [
  reduction('ReduceSum', ({ gradient }) => gradient),
  reduction('ReduceMean', ({ gradient, x, axes }) => (axes.length === 0 ? gradient : div(gradient, sizeOf(x, axes)))),
  reduction('ReduceMax', extreme, 'ties share the gradient equally'),
  reduction('ReduceMin', extreme, 'ties share the gradient equally'),
  reduction('ReduceProd', ({ gradient, x, axes }) => mul(gradient, otherFactors(x, axes)), 'exact with zero factors'),
  reduction('ReduceL1', ({ gradient, x }) => mul(gradient, sign(x)), 'derivative 0 at 0'),
  reduction(
    'ReduceL2',
    ({ gradient, x, y }) => {
      const positive = greater(y, 0);
      const safe = where(positive, y, x.graph.constant(1, x.dataType));
      return mul(x, where(positive, div(gradient, safe), zerosLike(safe)));
    },
    'derivative 0 at 0',
  ),
  reduction('ReduceSumSquare', ({ gradient, x }) => mul(mul(gradient, 2), x)),
  reduction('ReduceLogSum', ({ gradient, y }) => div(gradient, exp(y))),
  reduction('ReduceLogSumExp', ({ gradient, x, y }) => mul(gradient, exp(sub(x, y)))),
  {
    operator: 'Softmax',
    order: 'any',
    backward(context) {
      // y·(g - Σ g·y): four passes, and the product is needed no longer than its sum.
      const y = context.output(0);
      const gradient = context.gradient(0);
      const total = reduceSum(mul(gradient, y), [context.node.int('axis')], { keepDims: true });
      return [mul(sub(gradient, total), y)];
    },
  },
  {
    operator: 'LogSoftmax',
    order: 'any',
    backward(context) {
      const gradient = context.gradient(0);
      const total = reduceSum(gradient, [context.node.int('axis')], { keepDims: true });
      return [sub(gradient, mul(exp(context.output(0)), total))];
    },
  },
  {
    operator: 'CumSum',
    order: 'any',
    backward(context) {
      const { node } = context;
      return [
        cumSum(context.gradient(0), context.input(1), {
          exclusive: node.int('exclusive') === 1,
          reverse: node.int('reverse') === 0,
        }),
      ];
    },
  },
];
