import {
  abs,
  add,
  and,
  clip,
  floor,
  gatherND,
  greaterOrEqual,
  isStatic,
  lessOrEqual,
  matMul,
  mul,
  reshape,
  round,
  shapeOf,
  slice,
  sub,
  concat,
  transpose,
  where,
  zerosLike,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Coordinates of one axis in elements, from -1 to 1. */
function unnormalised(coordinate: Tensor, size: number, alignCorners: boolean): Tensor {
  const [factor, centre] = alignCorners ? [(size - 1) / 2, (size - 1) / 2] : [size / 2, (size - 1) / 2];
  return add(mul(coordinate, factor), centre);
}

/** Folded back at the centres (or outer edges) of the outermost elements, as often as needed. */
function reflected(position: Tensor, size: number, alignCorners: boolean): Tensor {
  const [lowest, range] = alignCorners ? [0, size - 1] : [-0.5, size];
  if (range === 0) return zerosLike(position);
  const distance = abs(sub(position, lowest));
  const within = sub(distance, mul(floor(mul(distance, 1 / (2 * range))), 2 * range));
  return clip(add(sub(range, abs(sub(within, range))), lowest), 0, size - 1);
}

/** One neighbour of every point: its index per axis, its weight, and whether it lies within the input. */
interface Neighbour {
  readonly indices: readonly Tensor[];
  readonly weight: Tensor | undefined;
}

function gridSampled(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  const [x, grid] = [context.input(0), context.input(1)];
  const mode = node.string('mode');
  const padding = node.string('padding_mode');
  const alignCorners = node.int('align_corners') !== 0;
  if (mode === 'cubic') context.fail('cubic sampling has no derivative', 'Sample with mode linear.');
  const sizes = x.shape.slice(2);
  if (!sizes.every(isStatic))
    return context.fail('the sampled sizes must be known when the graph is built', 'Bind those dimensions to numbers.');
  const axes = sizes.length;
  const positions = sizes.map((size, axis) => {
    // The last spatial axis comes first in the grid.
    const at = axes - 1 - axis;
    const coordinate = slice(grid, [at], [at + 1], [-1]).cast(x.dataType);
    const position = unnormalised(coordinate, size, alignCorners);
    if (padding === 'border') return clip(position, 0, size - 1);
    return padding === 'reflection' ? reflected(position, size, alignCorners) : position;
  });
  let neighbours: readonly Neighbour[] = [{ indices: [], weight: undefined }];
  for (const position of positions) {
    if (mode === 'nearest') {
      neighbours = neighbours.map(({ indices, weight }) => ({ indices: [...indices, round(position)], weight }));
      continue;
    }
    const lower = floor(position);
    const fraction = sub(position, lower);
    neighbours = neighbours.flatMap(({ indices, weight }) =>
      (
        [
          [lower, sub(1, fraction)],
          [add(lower, 1), fraction],
        ] as const
      ).map(([index, share]) => ({
        indices: [...indices, index],
        weight: weight === undefined ? share : mul(weight, share),
      })),
    );
  }
  // Channels last, so that one gather reads all of them.
  const channelsLast = transpose(x, [0, ...sizes.map((_, axis) => axis + 2), 1]);
  const parts = neighbours.map(({ indices, weight }) => {
    const inside = indices
      .map((index, axis) => and(greaterOrEqual(index, 0), lessOrEqual(index, (sizes[axis] as number) - 1)))
      .reduce((left, right) => and(left, right));
    const places = concat(
      indices.map((index, axis) => clip(index, 0, (sizes[axis] as number) - 1).cast('int64')),
      -1,
    );
    const values = gatherND(channelsLast, places, { batchDims: 1 });
    const shared = weight === undefined ? values : mul(values, weight);
    return padding === 'zeros' ? where(inside, shared, zerosLike(shared)) : shared;
  });
  const total = parts.reduce((left, right) => add(left, right));
  return [transpose(total, [0, axes + 1, ...sizes.map((_, axis) => axis + 1)])];
}

/** The points of a regular grid with a last coordinate 1, the last spatial axis first: [points, axes + 1]. */
function regularGrid(sizes: readonly number[], alignCorners: boolean): Float64Array {
  const total = sizes.reduce((product, size) => product * size, 1);
  const width = sizes.length + 1;
  const points = new Float64Array(total * width).fill(1);
  for (let point = 0; point < total; point++) {
    let rest = point;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      const size = sizes[axis] as number;
      const index = rest % size;
      rest = Math.floor(rest / size);
      points[point * width + sizes.length - 1 - axis] = alignCorners
        ? size === 1
          ? 0
          : (2 * index) / (size - 1) - 1
        : (2 * index + 1) / size - 1;
    }
  }
  return points;
}

/** Every point of a regular grid, multiplied by the matrices. */
function affineGrid(context: DerivativeContext): readonly Tensor[] {
  const theta = context.input(0);
  const sizes = context.output(0).shape.slice(1, -1);
  if (!sizes.every(isStatic))
    return context.fail('the size of the grid must be known when the graph is built', 'Give the size as numbers.');
  const points = regularGrid(sizes, context.node.int('align_corners') !== 0);
  const dims = [points.length / (sizes.length + 1), sizes.length + 1];
  const constant = theta.graph.constant({ dataType: 'float64', dims, data: points }).cast(theta.dataType);
  return [reshape(matMul(constant, transpose(theta, [0, 2, 1])), shapeOf(context.output(0)))];
}

export const samplingRules: readonly DerivativeRule[] = [
  byDecomposition('GridSample', gridSampled, {
    notes: 'modes linear and nearest (no derivative for the grid then), all paddings; known sampled sizes',
  }),
  byDecomposition('AffineGrid', affineGrid, { notes: 'known size' }),
];
