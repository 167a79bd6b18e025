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
  maximum,
  mul,
  reduceMean,
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
        ? // A single point lies at the end of the range for the kernel.
          size === 1
          ? 1
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

/**
 * How much each element of an axis counts in each bin of each region: [regions, bins, size]. Samples lie between
 * elements with the weights of linear interpolation; those more than one element outside count as zero.
 */
function binWeights(
  from: Tensor,
  to: Tensor,
  at: { readonly bins: number; readonly samples: number; readonly size: number; readonly shift: number },
): Tensor {
  const { bins, samples, size, shift } = at;
  const { graph, dataType } = from;
  const constant = (dims: readonly number[], data: number[]): Tensor =>
    graph.constant({ dataType: 'float64', dims, data: Float64Array.from(data) }).cast(dataType);
  const extent = sub(to, from);
  // Without the shift by half an element, regions have at least the size of one.
  const length = shift === 0 ? maximum(extent, 1) : extent;
  const places = Array.from({ length: bins * samples }, (_, index) => (index + 0.5) / (bins * samples));
  // [regions, bins · samples, 1]
  const position = add(from, mul(length, constant([places.length], places))).unsqueeze([2]);
  const inside = and(greaterOrEqual(position, -1), lessOrEqual(position, size));
  const clipped = clip(position, 0, size - 1);
  const elements = constant(
    [size],
    Array.from({ length: size }, (_, index) => index),
  );
  const tent = maximum(sub(1, abs(sub(clipped, elements))), 0);
  const weights = where(inside, tent, zerosLike(tent));
  return reduceMean(reshape(weights, [0, bins, samples, size]), [2], { keepDims: false });
}

/** Averages of linear samples work on one axis after the other: two matrix products for every region. */
function regionAligned(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  const [x, regions, batch] = [context.input(0), context.input(1), context.input(2)];
  if (node.string('mode') !== 'avg') context.fail('the maximum of samples has no derivative', 'Use mode avg.');
  const samples = node.int('sampling_ratio');
  if (samples < 1)
    context.fail('a number of samples that adapts to the region has no derivative', 'Give a sampling ratio.');
  const sizes = x.shape.slice(2);
  if (!sizes.every(isStatic))
    return context.fail('the sizes of the image must be known when the graph is built', 'Bind them to numbers.');
  const shift = node.string('coordinate_transformation_mode') === 'half_pixel' ? 0.5 : 0;
  const scaled = sub(mul(regions, node.float('spatial_scale')), shift);
  const edge = (column: number): Tensor => slice(scaled, [column], [column + 1], [1]);
  const [height, width] = sizes as [number, number];
  const rows = binWeights(edge(1), edge(3), { bins: node.int('output_height'), samples, size: height, shift });
  const columns = binWeights(edge(0), edge(2), { bins: node.int('output_width'), samples, size: width, shift });
  const images = x.gather(batch, 0);
  return [matMul(matMul(rows.unsqueeze([1]), images), transpose(columns.unsqueeze([1]), [0, 1, 3, 2]))];
}

export const samplingRules: readonly DerivativeRule[] = [
  byDecomposition('GridSample', gridSampled, {
    notes: 'modes linear and nearest (no derivative for the grid then), all paddings; known sampled sizes',
  }),
  byDecomposition('RoiAlign', regionAligned, {
    notes: 'mode avg with a given sampling ratio; with respect to the regions too; known image sizes',
  }),
  byDecomposition('AffineGrid', affineGrid, { notes: 'known size' }),
];
