import { apply } from '../apply.js';
import { toNumbers } from '../data-type.js';
import { dimFloorDivide, dimMultiply, isStatic, type Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { FLOATS_BUT_BFLOAT16 } from '../type-sets.js';
import { refuseEmpty } from './checks.js';
import { flag, integerList, type IntegerList } from './operands.js';

const COORDINATES = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
  'tf_crop_and_resize',
] as const;
const NEAREST = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;
const POLICIES = ['stretch', 'not_larger', 'not_smaller'] as const;

/** Most digits of a fraction that a float32 scale may stand for: 0.5, 1.5, 0.3125, but no 0.3333. */
const LARGEST_DENOMINATOR = 64;

/** `floor(size * scale)`, for a symbolic size where the scale is a short binary fraction. */
function scaled(size: Dim, scale: number): Dim | undefined {
  if (isStatic(size)) return Math.floor(Math.fround(Math.fround(scale) * size));
  for (let denominator = 1; denominator <= LARGEST_DENOMINATOR; denominator *= 2)
    if (Number.isInteger(scale * denominator))
      return dimFloorDivide(dimMultiply(size, scale * denominator), denominator);
  return undefined;
}

/** Axes that `sizes` and `scales` speak about. */
function resizedAxes(context: InferenceContext, rank: number): readonly number[] {
  const axes = context.node.optionalInts('axes');
  if (axes === undefined || axes.length === 0) return Array.from({ length: rank }, (_, axis) => axis);
  return axes.map((axis) => {
    if (axis < -rank || axis >= rank) context.fail(`axis ${axis} is out of range for rank ${rank}`);
    return axis < 0 ? axis + rank : axis;
  });
}

/** An empty `scales` or `sizes` counts as absent. */
const isGiven = (value: Tensor | undefined): value is Tensor => value !== undefined && value.shape[0] !== 0;

function checkLength(context: InferenceContext, value: Tensor, axes: readonly number[], what: string): void {
  if (value.rank !== 1) context.fail(`${what} ${shapeText(value.shape)} is not one-dimensional`);
  context.unify(axes.length, value.shape[0] as Dim, `number of resized axes and of ${what}`);
}

function resizedShape(context: InferenceContext, x: Tensor): Shape {
  const [, , scales, sizes] = context.inputs;
  const axes = resizedAxes(context, x.rank);
  const shape = [...x.shape];
  if (isGiven(sizes) === isGiven(scales))
    context.fail(
      isGiven(sizes) ? 'it has both scales and sizes' : 'it has neither scales nor sizes',
      'Give one of the two.',
    );
  if (isGiven(sizes)) {
    checkLength(context, sizes, axes, 'sizes');
    const wanted = context.elements(3);
    const ratio = wanted === undefined ? undefined : commonRatio(context, x, axes, wanted);
    axes.forEach((axis, at) => {
      const size = x.shape[axis] as Dim;
      const target = wanted?.[at];
      if (target === undefined) shape[axis] = context.unknownDim('resized');
      else if (isStatic(target) && target < 1) context.fail(`a size is ${target}`);
      else if (ratio === 'stretch') shape[axis] = target;
      else
        shape[axis] =
          ratio !== undefined && isStatic(size) ? Math.round(Math.fround(ratio * size)) : context.unknownDim('resized');
    });
    return shape;
  }
  if (!isGiven(scales)) return shape;
  if (context.node.string('keep_aspect_ratio_policy') !== 'stretch')
    context.fail('keep_aspect_ratio_policy goes with sizes only');
  checkLength(context, scales, axes, 'scales');
  const factors = scales.constant === undefined ? undefined : toNumbers(scales.constant);
  axes.forEach((axis, at) => {
    const factor = factors?.[at];
    if (factor !== undefined && !(factor > 0)) context.fail(`a scale is ${factor}`, 'Scales are positive.');
    const size = factor === undefined ? undefined : scaled(x.shape[axis] as Dim, factor);
    shape[axis] = size ?? context.unknownDim('resized');
  });
  return shape;
}

/** The one ratio that keeps the aspect; 'stretch' where every axis has its own, undefined where it is unknown. */
function commonRatio(
  context: InferenceContext,
  x: Tensor,
  axes: readonly number[],
  wanted: readonly Dim[],
): number | 'stretch' | undefined {
  const policy = context.node.string('keep_aspect_ratio_policy');
  if (policy === 'stretch') return 'stretch';
  const sizes = axes.map((axis) => x.shape[axis] as Dim);
  if (!sizes.every(isStatic) || !wanted.every(isStatic)) return undefined;
  const ratios = sizes.map((size, at) => Math.fround((wanted[at] as number) / size));
  return policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
}

const RESIZE: OperatorSchema = {
  type: 'Resize',
  since: 19,
  inputs: [
    { name: 'X' },
    { name: 'roi', types: FLOATS_BUT_BFLOAT16, optional: true },
    { name: 'scales', types: ['float32'], optional: true },
    { name: 'sizes', types: ['int64'], optional: true },
  ],
  attributes: {
    antialias: { kind: 'int', default: 0 },
    axes: { kind: 'ints' },
    coordinate_transformation_mode: { kind: 'string', default: 'half_pixel', values: COORDINATES },
    cubic_coeff_a: { kind: 'float', default: -0.75 },
    exclude_outside: { kind: 'int', default: 0 },
    extrapolation_value: { kind: 'float', default: 0 },
    keep_aspect_ratio_policy: { kind: 'string', default: 'stretch', values: POLICIES },
    mode: { kind: 'string', default: 'nearest', values: ['nearest', 'linear', 'cubic'] },
    nearest_mode: { kind: 'string', default: 'round_prefer_floor', values: NEAREST },
  },
  infer(context) {
    const x = context.input(0);
    refuseEmpty(context, x.shape, 'the input');
    const roi = context.inputs[1];
    if (context.node.string('coordinate_transformation_mode') === 'tf_crop_and_resize') {
      if (roi === undefined) return context.fail('tf_crop_and_resize needs a region (roi)');
      context.unify(2 * resizedAxes(context, x.rank).length, roi.shape[0] as Dim, 'length of the region');
    }
    return [{ dataType: x.dataType, shape: resizedShape(context, x) }];
  },
};

const GRID_SAMPLE: OperatorSchema = {
  type: 'GridSample',
  since: 20,
  inputs: [{ name: 'X' }, { name: 'grid', types: FLOATS_BUT_BFLOAT16 }],
  attributes: {
    align_corners: { kind: 'int', default: 0 },
    mode: { kind: 'string', default: 'linear', values: ['linear', 'nearest', 'cubic'] },
    padding_mode: { kind: 'string', default: 'zeros', values: ['zeros', 'border', 'reflection'] },
  },
  infer(context) {
    const [x, grid] = [context.input(0), context.input(1)];
    if (x.rank < 3 || grid.rank !== x.rank)
      context.fail(
        `the input ${shapeText(x.shape)} and the grid ${shapeText(grid.shape)} do not fit`,
        'They are [batch, channels, ...sizes] and [batch, ...output sizes, number of spatial axes].',
      );
    refuseEmpty(context, x.shape.slice(2), 'the sampled part');
    const batch = context.unify(x.shape[0] as Dim, grid.shape[0] as Dim, 'batch of input and grid');
    context.unify(x.rank - 2, grid.shape[grid.rank - 1] as Dim, 'coordinates per point');
    return [{ dataType: x.dataType, shape: [batch, x.shape[1] as Dim, ...grid.shape.slice(1, -1)] }];
  },
};

const AFFINE_GRID: OperatorSchema = {
  type: 'AffineGrid',
  since: 20,
  inputs: [
    { name: 'theta', types: FLOATS_BUT_BFLOAT16 },
    { name: 'size', types: ['int64'] },
  ],
  attributes: { align_corners: { kind: 'int', default: 0 } },
  infer(context) {
    const theta = context.input(0);
    if (theta.rank !== 3) context.fail(`the matrices ${shapeText(theta.shape)} are not [batch, 2, 3] or [batch, 3, 4]`);
    const rows = theta.shape[1];
    const axes =
      rows === 2 || rows === 3
        ? rows
        : context.fail(`the matrices ${shapeText(theta.shape)} have neither 2 nor 3 rows`);
    context.unify(axes + 1, theta.shape[2] as Dim, 'columns of the matrices');
    context.unify(axes + 2, context.input(1).shape[0] ?? 1, 'length of size');
    const size = context.elements(1);
    const batch =
      size === undefined ? (theta.shape[0] as Dim) : context.unify(theta.shape[0] as Dim, size[0] as Dim, 'batch');
    const spatial = size?.slice(2) ?? Array.from({ length: axes }, () => context.unknownDim('grid'));
    return [{ dataType: theta.dataType, shape: [batch, ...spatial, axes] }];
  },
};

export const resizeSchemas: readonly OperatorSchema[] = [RESIZE, GRID_SAMPLE, AFFINE_GRID];

export interface ResizeOptions {
  /** Size of each resized axis. Either this or `scales`. */
  readonly sizes?: IntegerList;
  /** Factor of each resized axis: the output has floor(size * scale) elements. */
  readonly scales?: readonly number[] | Tensor;
  /** Axes that `sizes`, `scales` and `roi` speak about; default: all. */
  readonly axes?: readonly number[];
  /** Interpolation; default: nearest. */
  readonly mode?: 'nearest' | 'linear' | 'cubic';
  /** Where an output element lies in the input; default: half_pixel. */
  readonly coordinateTransformationMode?: (typeof COORDINATES)[number];
  /** How `nearest` rounds; default: round_prefer_floor. */
  readonly nearestMode?: (typeof NEAREST)[number];
  /** Coefficient of cubic interpolation; default: -0.75. */
  readonly cubicCoefficient?: number;
  /** Give elements outside of the input no weight in cubic interpolation; default: false. */
  readonly excludeOutside?: boolean;
  /** Value outside of the region in tf_crop_and_resize; default: 0. */
  readonly extrapolationValue?: number;
  /** Widen the filter when shrinking; default: false. */
  readonly antialias?: boolean;
  /** Fit `sizes` by one common factor; default: stretch, every axis by its own. */
  readonly keepAspectRatioPolicy?: (typeof POLICIES)[number];
  /** Begin of each resized axis, then end of each, from 0 to 1; for tf_crop_and_resize. */
  readonly region?: readonly number[] | Tensor;
}

function floats(x: Tensor, values: readonly number[] | Tensor | undefined): Tensor | undefined {
  if (values === undefined || values instanceof Tensor) return values;
  return x.graph.constant({ dataType: 'float32', dims: [values.length], data: Float32Array.from(values) });
}

/** Interpolate `x` to other sizes. */
export const resize = (x: Tensor, options: ResizeOptions): Tensor =>
  apply(RESIZE, [x, floats(x, options.region), floats(x, options.scales), integerList(x.graph, options.sizes)], {
    axes: options.axes,
    mode: options.mode,
    coordinate_transformation_mode: options.coordinateTransformationMode,
    nearest_mode: options.nearestMode,
    cubic_coeff_a: options.cubicCoefficient,
    exclude_outside: flag(options.excludeOutside),
    extrapolation_value: options.extrapolationValue,
    antialias: flag(options.antialias),
    keep_aspect_ratio_policy: options.keepAspectRatioPolicy,
  });

export interface GridSampleOptions {
  readonly mode?: 'linear' | 'nearest' | 'cubic';
  readonly paddingMode?: 'zeros' | 'border' | 'reflection';
  /** Whether -1 and 1 are the centres of the outermost elements instead of their outer edges; default: false. */
  readonly alignCorners?: boolean;
}

/**
 * Sample `x` [batch, channels, ...sizes] at the points of `grid` [batch, ...output sizes, axes], whose coordinates run
 * from -1 to 1 with the last spatial axis first (Jaderberg et al. 2015).
 */
export const gridSample = (x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor =>
  apply(GRID_SAMPLE, [x, grid], {
    mode: options.mode,
    padding_mode: options.paddingMode,
    align_corners: flag(options.alignCorners),
  });

/** Grid for {@link gridSample} from affine matrices [batch, 2, 3] or [batch, 3, 4]; `size` is [batch, channels, ...sizes]. */
export const affineGrid = (
  theta: Tensor,
  size: IntegerList,
  options: { readonly alignCorners?: boolean } = {},
): Tensor => apply(AFFINE_GRID, [theta, integerList(theta.graph, size)], { align_corners: flag(options.alignCorners) });
