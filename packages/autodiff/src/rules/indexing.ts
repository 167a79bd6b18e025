import {
  broadcastTo,
  div,
  equal,
  gatherElements,
  gatherND,
  mul,
  normalizeAxis,
  reshape,
  scatterElements,
  scatterND,
  shapeOf,
  sumTo,
  transpose,
  where,
  zerosLike,
  type Tensor,
} from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Permutation that moves `axis` to the front. */
const frontFirst = (rank: number, axis: number): number[] => [
  axis,
  ...Array.from({ length: rank }, (_, at) => at).filter((at) => at !== axis),
];
const inverse = (permutation: readonly number[]): number[] => permutation.map((_, axis) => permutation.indexOf(axis));

/**
 * Gradient of Gather: rows are added to the rows that they came from, so the cost is that of the gathered rows (tokens ×
 * width), not of a one-hot product (tokens × vocabulary).
 */
function gatherBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const [data, indices] = [context.input(0), context.input(1)];
  const axis = normalizeAxis(context.node.int('axis'), data.rank);
  const gradient = context.gradient(0);
  // [..., indices..., ...] → [indices..., rest...]
  const spread = Array.from({ length: indices.rank }, (_, at) => axis + at);
  const rest = Array.from({ length: gradient.rank }, (_, at) => at).filter((at) => !spread.includes(at));
  const order = [...spread, ...rest];
  const moved = axis === 0 ? gradient : transpose(gradient, order);
  const permutation = frontFirst(data.rank, axis);
  const zeros = axis === 0 ? zerosLike(data) : transpose(zerosLike(data), permutation);
  // ScatterND takes its indices with a last axis of length one: the row number.
  const added = scatterND(zeros, indices.unsqueeze([-1]).cast('int64'), moved, { reduction: 'add' });
  return [axis === 0 ? added : transpose(added, inverse(permutation)), undefined];
}

export const indexingRules: readonly DerivativeRule[] = [
  { operator: 'Gather', order: 'any', backward: gatherBackward },
  {
    operator: 'GatherElements',
    order: 'any',
    backward(context) {
      const zeros = zerosLike(context.input(0));
      const axis = context.node.int('axis');
      return [scatterElements(zeros, context.input(1), context.gradient(0), { axis, reduction: 'add' }), undefined];
    },
  },
  scatter('ScatterElements', {
    read: (context, source) => gatherElements(source, context.input(1), { axis: context.node.int('axis') }),
    write: (context, base, updates, reduction) =>
      scatterElements(base, context.input(1), updates, { axis: context.node.int('axis'), reduction }),
  }),
  scatter('ScatterND', {
    read: (context, source) => gatherND(source, context.input(1)),
    write: (context, base, updates, reduction) => scatterND(base, context.input(1), updates, { reduction }),
  }),
  {
    operator: 'TopK',
    order: 'any',
    notes: 'values; ties go to the lower index',
    backward(context) {
      const x = context.input(0);
      const axis = normalizeAxis(context.node.int('axis'), x.rank);
      const indices = context.output(1);
      return [scatterElements(zerosLike(x), indices, context.gradient(0), { axis, reduction: 'add' }), undefined];
    },
  },
  {
    operator: 'OneHot',
    order: 'any',
    notes: 'with respect to the on and off values',
    backward(context) {
      const values = context.input(2);
      const gradient = context.gradient(0);
      // output = off + (on - off)·mask: the mask is where the output of a distinguishing one-hot is one.
      const mask = oneHotMask(context, gradient);
      const on = mul(gradient, mask).sum();
      const off = gradient.sum().sub(on);
      return [undefined, undefined, reshape(stackScalars(off, on), shapeOf(values))];
    },
  },
];

function oneHotMask(context: DerivativeContext, like: Tensor): Tensor {
  const { node } = context;
  const indices = context.input(0);
  const axis = normalizeAxis(node.int('axis'), like.rank);
  const size = like.shape[axis];
  if (typeof size !== 'number') return context.fail('its depth must be known when the graph is built');
  const positions = like.graph.constant({
    dataType: 'float32',
    dims: like.shape.map((_, at) => (at === axis ? size : 1)),
    data: Float32Array.from({ length: size }, (_, index) => index),
  });
  const rows = indices.cast('float32').unsqueeze([axis]);
  // Negative indices count from the end.
  const wrapped = where(rows.less(0), rows.add(size), rows);
  return equal(broadcastTo(wrapped, like), positions).cast(like.dataType);
}

const stackScalars = (a: Tensor, b: Tensor): Tensor => {
  const first = a.graph.constant({ dataType: 'float32', dims: [2], data: Float32Array.of(1, 0) }).cast(a.dataType);
  const second = a.graph.constant({ dataType: 'float32', dims: [2], data: Float32Array.of(0, 1) }).cast(a.dataType);
  return mul(first, a).add(mul(second, b));
};

type Reduction = 'none' | 'add' | 'mul' | 'max' | 'min';

interface ScatterAccess {
  readonly read: (context: DerivativeContext, source: Tensor) => Tensor;
  readonly write: (context: DerivativeContext, base: Tensor, updates: Tensor, reduction: Reduction) => Tensor;
}

/**
 * Scatters. `none` overwrites (indices must not repeat, as the standard demands), `add` keeps both, `mul`, `max` and `min`
 * combine the old value with one update per position.
 */
function scatter(operator: string, { read, write }: ScatterAccess): DerivativeRule {
  return {
    operator,
    order: 'any',
    notes: 'reduction none and add; mul, max and min for indices that do not repeat (ties share equally)',
    backward(context) {
      const reduction = context.node.string('reduction') as Reduction;
      const data = context.input(0);
      const updates = context.input(2);
      const gradient = context.gradient(0);
      const needs = [context.needs(0), false, context.needs(2)];
      if (reduction === 'add')
        return [needs[0] ? gradient : undefined, undefined, needs[2] ? read(context, gradient) : undefined];
      if (reduction === 'none')
        return [
          needs[0] ? write(context, gradient, zerosLike(updates), 'none') : undefined,
          undefined,
          needs[2] ? read(context, gradient) : undefined,
        ];
      const old = read(context, data);
      const flowing = read(context, gradient);
      let toOld: Tensor;
      let toUpdate: Tensor;
      if (reduction === 'mul') {
        toOld = mul(flowing, updates);
        toUpdate = mul(flowing, old);
      } else {
        const result = read(context, context.output(0));
        const oldHit = equal(old, result).cast(data.dataType);
        const newHit = equal(updates, result).cast(data.dataType);
        const share = div(flowing, oldHit.add(newHit));
        toOld = mul(share, oldHit);
        toUpdate = mul(share, newHit);
      }
      return [
        needs[0] ? write(context, gradient, toOld, 'none') : undefined,
        undefined,
        needs[2] ? sumTo(toUpdate, updates) : undefined,
      ];
    },
  };
}
