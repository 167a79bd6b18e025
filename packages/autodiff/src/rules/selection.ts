import {
  concat,
  cumSum,
  expand,
  isStatic,
  normalizeAxis,
  pad,
  rangeOf,
  reshape,
  reverseSequence,
  scatterND,
  shapeNode,
  shapeOf,
  slice,
  sub,
  where,
  zerosLike,
  gather,
  type Tensor,
} from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** 0, 1, 2, ... up to the size of an axis, int64. */
function positions(x: Tensor, axis: number): Tensor {
  const { graph } = x;
  const limit = reshape(shapeNode(x, { start: axis, end: axis + 1 }), []);
  return rangeOf(graph.constant(0, 'int64'), limit, graph.constant(1, 'int64'));
}

/** Indices with the coordinates of the batch axes in front of their own. */
function withBatchCoordinates(indices: Tensor, batchAxes: number): Tensor {
  const places = slice(indices, [0], [1], [-1]);
  const coordinates = Array.from({ length: batchAxes }, (_, axis) => {
    const others = Array.from({ length: indices.rank }, (_unused, at) => at).filter((at) => at !== axis);
    return expand(positions(indices, axis).unsqueeze(others), shapeOf(places));
  });
  return concat([...coordinates, indices], -1);
}

function gatherNDBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const batchAxes = context.node.int('batch_dims');
  const [data, indices] = [context.input(0), context.input(1)];
  const all = batchAxes === 0 ? indices : withBatchCoordinates(indices, batchAxes);
  return [scatterND(zerosLike(data), all, context.gradient(0), { reduction: 'add' }), undefined];
}

/**
 * Every kept slice goes back to its place and a slice of zeros to all others: a gather, with the running number of the
 * kept slice as index, and the zeros as last slice, which -1 names.
 */
function compressBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const [x, condition] = [context.input(0), context.input(1)];
  const gradient = context.gradient(0);
  const declared = context.node.attribute('axis', 'int');
  const axis = declared === undefined ? 0 : normalizeAxis(Number(declared), x.rank);
  const pads = new Array<number>(2 * gradient.rank).fill(0);
  pads[gradient.rank + axis] = 1;
  const padded = pad(gradient, pads);
  const kept = condition.cast('int64');
  const numbers = where(condition, sub(cumSum(kept, 0), 1), x.graph.constant(-1, 'int64'));
  const [length, known] = [declared === undefined ? undefined : x.shape[axis], condition.shape[0]];
  const total = declared === undefined && x.shape.every(isStatic) ? x.shape.reduce((a, b) => a * b, 1) : length;
  // A short condition drops what lies beyond it.
  const short = typeof total === 'number' && typeof known === 'number' ? total - known : 0;
  const indices = short > 0 ? pad(numbers, [0, short], { value: x.graph.constant(-1, 'int64') }) : numbers;
  const placed = gather(padded, indices, axis);
  return [declared === undefined ? reshape(placed, shapeOf(x)) : placed, undefined];
}

export const selectionRules: readonly DerivativeRule[] = [
  { operator: 'GatherND', order: 'any', backward: gatherNDBackward },
  {
    operator: 'ReverseSequence',
    order: 'any',
    backward: (context) => [
      reverseSequence(context.gradient(0), context.input(1), {
        batchAxis: context.node.int('batch_axis'),
        timeAxis: context.node.int('time_axis'),
      }),
      undefined,
    ],
  },
  {
    operator: 'Compress',
    order: 'any',
    notes: 'a condition that is shorter than its axis needs known sizes',
    backward: compressBackward,
  },
];
