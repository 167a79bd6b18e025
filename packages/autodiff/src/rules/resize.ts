import { isStatic, matMul, normalizeAxis, toNumbers, transpose, type Tensor } from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

const { fround } = Math;

/** How one axis is resized. */
interface AxisResize {
  readonly axis: number;
  readonly size: number;
  readonly resized: number;
  /** Factor from input to output, as float32. */
  readonly scale: number;
  /** Begin and end of the region, from 0 to 1. */
  readonly region: readonly [number, number];
}

interface Interpolation {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubicCoefficient: number;
  readonly excludeOutside: boolean;
  readonly antialias: boolean;
}

/** Where output element `index` lies in the input; in float32 like the runtime, whose rounding decides ties. */
function sourcePosition(
  index: number,
  { size, resized, scale, region: [begin, end] }: AxisResize,
  mode: string,
): number {
  // As the runtime, which leaves axes of scale 1 alone in every mode.
  if (scale === 1) return index;
  const half = (): number => fround(fround(fround(index + 0.5) / scale) - 0.5);
  switch (mode) {
    case 'asymmetric':
      return fround(index / scale);
    case 'pytorch_half_pixel':
      return resized > 1 ? half() : 0;
    case 'align_corners':
      return resized === 1 ? 0 : fround(fround(index * (size - 1)) / (resized - 1));
    case 'half_pixel_symmetric': {
      const adjustment = fround(resized / fround(scale * size));
      // In double precision from here, as the literals of the kernel have it.
      const offset = (size / 2) * (1 - adjustment);
      return fround(offset + (index + 0.5) / scale - 0.5);
    }
    case 'tf_crop_and_resize':
      return resized > 1
        ? fround(begin * (size - 1)) + fround(fround(index * fround(end - begin) * (size - 1)) / (resized - 1))
        : fround(0.5 * (begin + end) * (size - 1));
    default:
      return half();
  }
}

function nearestIndex(position: number, mode: string): number {
  const floor = Math.floor(position);
  switch (mode) {
    case 'floor':
      return floor;
    case 'ceil':
      return Math.ceil(position);
    case 'round_prefer_ceil':
      return Math.floor(position + 0.5);
    default:
      return position === floor + 0.5 ? floor : Math.floor(position + 0.5);
  }
}

/** Weights of the four neighbours of a point (Keys 1981), from one before its left neighbour. */
function cubicWeights(fraction: number, a: number): readonly number[] {
  const near = (t: number): number => ((a + 2) * t - (a + 3)) * t * t + 1;
  const far = (t: number): number => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return [far(fraction + 1), near(fraction), near(1 - fraction), far(2 - fraction)];
}

/** Input elements and their weights for one output element; empty where the output is the extrapolation value. */
function contributions(index: number, resize: AxisResize, how: Interpolation): readonly (readonly [number, number])[] {
  const { size } = resize;
  const position = sourcePosition(index, resize, how.coordinates);
  if (how.coordinates === 'tf_crop_and_resize' && (position < 0 || position > size - 1)) return [];
  const inside = (at: number): number => Math.min(Math.max(at, 0), size - 1);
  if (how.mode === 'nearest') return [[inside(nearestIndex(position, how.nearest)), 1]];
  const left = Math.floor(position);
  const fraction = position - left;
  if (how.mode === 'linear')
    return [
      [inside(left), 1 - fraction],
      [inside(left + 1), fraction],
    ];
  const taps = cubicWeights(fraction, how.cubicCoefficient).map((weight, tap) => [left - 1 + tap, weight] as const);
  if (!how.excludeOutside) return taps.map(([at, weight]) => [inside(at), weight]);
  const kept = taps.filter(([at]) => at >= 0 && at < size);
  const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
  return kept.map(([at, weight]) => [at, weight / total]);
}

/** The constant matrix [resized, size] that resizes one axis. */
function resizeMatrix(resize: AxisResize, how: Interpolation): Float64Array {
  const { size, resized } = resize;
  const matrix = new Float64Array(resized * size);
  for (let index = 0; index < resized; index++)
    for (const [at, weight] of contributions(index, resize, how)) {
      const cell = index * size + at;
      matrix[cell] = (matrix[cell] ?? 0) + weight;
    }
  return matrix;
}

const isIdentity = (matrix: Float64Array, { size, resized }: AxisResize): boolean =>
  size === resized && matrix.every((value, cell) => value === (cell % (size + 1) === 0 ? 1 : 0));

/** Contents of an input that has to be constant; an empty tensor counts as absent. */
function constantNumbers(context: DerivativeContext, index: number, what: string): readonly number[] | undefined {
  const value = context.node.inputs[index];
  if (value === undefined || value.shape[0] === 0) return undefined;
  const { constant, elements } = value;
  if (constant !== undefined) return toNumbers(constant);
  if (elements?.every(isStatic) === true) return elements as readonly number[];
  return context.fail(`its ${what} must be known when the graph is built`, 'Give them as constants.');
}

function axisResizes(context: DerivativeContext): readonly AxisResize[] {
  const { node } = context;
  const [x, y] = [context.input(0), context.output(0)];
  const axes = node.optionalInts('axes') ?? [];
  const resizedAxes =
    axes.length === 0 ? x.shape.map((_, axis) => axis) : axes.map((axis) => normalizeAxis(axis, x.rank));
  const scales = constantNumbers(context, 2, 'scales');
  const crops = node.string('coordinate_transformation_mode') === 'tf_crop_and_resize';
  const region = crops ? constantNumbers(context, 1, 'region') : undefined;
  const pairs = resizedAxes.map((axis, at) => {
    const [size, resized] = [x.shape[axis], y.shape[axis]];
    if (typeof size !== 'number' || typeof resized !== 'number')
      return context.fail(
        `the sizes of axis ${axis} must be known when the graph is built`,
        'Bind that dimension to a number.',
      );
    return { axis, size, resized, scale: fround(scales?.[at] ?? resized / size) };
  });
  const policy = node.string('keep_aspect_ratio_policy');
  const wanted = policy === 'stretch' ? undefined : constantNumbers(context, 3, 'sizes');
  const ratios = pairs.map(({ size }, at) => fround((wanted?.[at] ?? 0) / size));
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return pairs.map((pair, at) => ({
    ...pair,
    scale: wanted === undefined ? pair.scale : common,
    region: [region?.[at] ?? 0, region?.[at + pairs.length] ?? 1],
  }));
}

/** Contract `axis` of `gradient` with the rows of a constant [resized, size] matrix. */
function contracted(gradient: Tensor, resize: AxisResize, matrix: Float64Array): Tensor {
  const { axis, size, resized } = resize;
  const { dataType, graph, rank } = gradient;
  const weights = graph
    .constant(
      dataType === 'float64'
        ? { dataType: 'float64', dims: [resized, size], data: matrix }
        : { dataType: 'float32', dims: [resized, size], data: Float32Array.from(matrix) },
    )
    .cast(dataType);
  if (axis === rank - 1) return matMul(gradient, weights);
  const order = Array.from({ length: rank }, (_, at) => (at === axis ? rank - 1 : at === rank - 1 ? axis : at));
  return transpose(matMul(transpose(gradient, order), weights), order);
}

/** Resizing is linear and works on one axis after the other: its gradient is the product with the transposed matrices. */
function resizeBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const { node } = context;
  if (context.needs(1))
    context.fail('it has no derivative with respect to its region', 'Give the region as a constant.');
  const how: Interpolation = {
    mode: node.string('mode'),
    coordinates: node.string('coordinate_transformation_mode'),
    nearest: node.string('nearest_mode'),
    cubicCoefficient: node.float('cubic_coeff_a'),
    excludeOutside: node.int('exclude_outside') !== 0,
    antialias: node.int('antialias') !== 0,
  };
  const resizes = axisResizes(context);
  // The runtime copies its input where no size changes, whatever the scales are.
  if (resizes.every(({ size, resized }) => size === resized)) return [context.gradient(0)];
  if (how.antialias && how.mode !== 'nearest' && resizes.some(({ scale }) => scale < 1))
    context.fail('shrinking with antialias has no derivative', 'Shrink with averagePool() instead.');
  return [
    resizes.reduce((gradient, resize) => {
      const matrix = resizeMatrix(resize, how);
      return isIdentity(matrix, resize) ? gradient : contracted(gradient, resize, matrix);
    }, context.gradient(0)),
  ];
}

export const resizeRules: readonly DerivativeRule[] = [
  {
    operator: 'Resize',
    order: 'any',
    notes:
      'all modes and coordinates, without antialias when shrinking; resized axes of static size, constant scales; nearest at exact ties may round as the kernel does not',
    backward: resizeBackward,
  },
];
