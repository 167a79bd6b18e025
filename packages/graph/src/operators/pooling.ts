import { apply, applyNode } from '../apply.js';
import { dimAdd, dimMultiply, dimSubtract, dimText, type Dim } from '../dimension.js';
import type { Node } from '../node.js';
import type { AttributeSchema, InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { BYTES, FLOATS_BUT_BFLOAT16 } from '../type-sets.js';
import { refuseEmpty, requireFilled } from './checks.js';
import { flag, integerList, type IntegerList } from './operands.js';
import {
  axisList,
  failPlainly,
  resolveWindow,
  runnableWindow,
  spatialShape,
  windowAttributes,
  windowOutput,
  WINDOW_ATTRIBUTES,
  type Fail,
  type SpatialWindow,
  type WindowOptions,
} from './window.js';

const POOLING_ATTRIBUTES: Readonly<Record<string, AttributeSchema>> = {
  ...WINDOW_ATTRIBUTES,
  kernel_shape: { kind: 'ints', required: true },
  ceil_mode: { kind: 'int', default: 0 },
};

function pooled(context: InferenceContext): Shape {
  const { node } = context;
  const x = context.input(0);
  const fail: Fail = (message, hint) => context.fail(message, hint);
  const spatial = spatialShape(x.shape, fail);
  refuseEmpty(context, x.shape.slice(1), 'the input');
  const kernel = node.ints('kernel_shape');
  if (kernel.length !== spatial.length)
    context.fail(
      `kernel_shape [${kernel.join(', ')}] has ${kernel.length} entries for the input ${shapeText(x.shape)}`,
      'Give one per spatial axis.',
    );
  const window = resolveWindow(node, spatial, kernel, fail);
  if (window.autoPad === 'NOTSET')
    kernel.forEach((size, axis) => {
      for (const padding of [window.padsBegin[axis], window.padsEnd[axis]] as number[])
        if (padding >= size)
          fail(`padding ${padding} is not smaller than the kernel size ${size}`, 'A window would see padding only.');
    });
  const output = windowOutput(spatial, window, node.int('ceil_mode') !== 0, fail);
  return [...x.shape.slice(0, 2), ...output];
}

const X = [{ name: 'X', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' }] as const;

const MAX_POOL: OperatorSchema = {
  type: 'MaxPool',
  since: 12,
  inputs: [{ name: 'X', types: [...FLOATS_BUT_BFLOAT16, ...BYTES], typeVariable: 'T' }],
  attributes: { ...POOLING_ATTRIBUTES, storage_order: { kind: 'int', default: 0 } },
  outputs: [1, 2],
  infer(context) {
    const shape = pooled(context);
    return [
      { dataType: context.input(0).dataType, shape },
      { dataType: 'int64', shape },
    ];
  },
};

const pooling = (
  type: string,
  since: number,
  attributes: Readonly<Record<string, AttributeSchema>>,
): OperatorSchema => ({
  type,
  since,
  inputs: X,
  attributes: { ...POOLING_ATTRIBUTES, ...attributes },
  infer: (context) => [{ dataType: context.input(0).dataType, shape: pooled(context) }],
});

const AVERAGE_POOL = pooling('AveragePool', 19, { count_include_pad: { kind: 'int', default: 0 } });
const LP_POOL = pooling('LpPool', 18, { p: { kind: 'int', default: 2 } });

const globalPooling = (
  type: string,
  since: number,
  attributes: Readonly<Record<string, AttributeSchema>>,
): OperatorSchema => ({
  type,
  since,
  inputs: X,
  attributes,
  infer(context) {
    const { dataType, shape } = context.input(0);
    const spatial = spatialShape(shape, (message, hint) => context.fail(message, hint));
    refuseEmpty(context, shape.slice(1), 'the input');
    return [{ dataType, shape: [...shape.slice(0, 2), ...spatial.map(() => 1)] }];
  },
});

const GLOBAL_AVERAGE_POOL = globalPooling('GlobalAveragePool', 1, {});
const GLOBAL_MAX_POOL = globalPooling('GlobalMaxPool', 1, {});
const GLOBAL_LP_POOL = globalPooling('GlobalLpPool', 2, { p: { kind: 'int', default: 2 } });

const MAX_UNPOOL: OperatorSchema = {
  type: 'MaxUnpool',
  since: 11,
  inputs: [
    { name: 'X', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'I', types: ['int64'] },
    { name: 'output_shape', types: ['int64'], optional: true },
  ],
  attributes: { kernel_shape: { kind: 'ints', required: true }, strides: { kind: 'ints' }, pads: { kind: 'ints' } },
  infer(context) {
    const [x, indices] = [context.input(0), context.input(1)];
    const fail: Fail = (message, hint) => context.fail(message, hint);
    if (x.rank !== indices.rank)
      context.fail(`values ${shapeText(x.shape)} and indices ${shapeText(indices.shape)} differ in shape`);
    x.shape.forEach((dim, axis) => context.unify(dim, indices.shape[axis] as Dim, `values and indices, axis ${axis}`));
    const spatial = spatialShape(x.shape, fail);
    const kernel = context.node.ints('kernel_shape');
    if (kernel.length !== spatial.length)
      context.fail(`kernel_shape has ${kernel.length} entries for ${shapeText(x.shape)}`);
    const strides = axisList(context.node, 'strides', spatial.length, 1, 1, fail);
    const pads = axisList(context.node, 'pads', 2 * spatial.length, 0, 0, fail);
    if (context.inputs[2] !== undefined) {
      const wanted = context.elements(2);
      if (wanted !== undefined && wanted.length !== x.rank)
        context.fail(
          `output_shape has ${wanted.length} entries for ${shapeText(x.shape)}`,
          'It holds the full shape, batch and channels included.',
        );
      return [{ dataType: x.dataType, shape: wanted ?? x.shape.map(() => context.unknownDim('unpooled')) }];
    }
    const sizes = spatial.map((size, axis) =>
      dimSubtract(
        dimAdd(dimMultiply(dimSubtract(size, 1), strides[axis] as number), kernel[axis] as number),
        (pads[axis] as number) + (pads[axis + spatial.length] as number),
      ),
    );
    return [{ dataType: x.dataType, shape: [...x.shape.slice(0, 2), ...sizes] }];
  },
};

const MAX_ROI_POOL: OperatorSchema = {
  type: 'MaxRoiPool',
  since: 1,
  inputs: [
    { name: 'X', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'rois', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
  ],
  attributes: { pooled_shape: { kind: 'ints', required: true }, spatial_scale: { kind: 'float', default: 1 } },
  infer(context) {
    const [x, rois] = [context.input(0), context.input(1)];
    const size = context.node.ints('pooled_shape');
    if (x.rank !== 4 || rois.rank !== 2 || size.length !== 2)
      context.fail(
        `it needs an image [N, C, H, W], regions [count, 5] and two sizes, not ${shapeText(x.shape)} and ${shapeText(rois.shape)}`,
      );
    requireFilled(context, x.shape, 'the input');
    context.unify(5, rois.shape[1] as Dim, 'numbers per region');
    return [{ dataType: x.dataType, shape: [rois.shape[0] as Dim, x.shape[1] as Dim, ...size] }];
  },
};

const ROI_ALIGN: OperatorSchema = {
  type: 'RoiAlign',
  since: 16,
  inputs: [
    { name: 'X', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T1' },
    { name: 'rois', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T1' },
    { name: 'batch_indices', types: ['int64'] },
  ],
  attributes: {
    coordinate_transformation_mode: {
      kind: 'string',
      default: 'half_pixel',
      values: ['half_pixel', 'output_half_pixel'],
    },
    mode: { kind: 'string', default: 'avg', values: ['avg', 'max'] },
    output_height: { kind: 'int', default: 1 },
    output_width: { kind: 'int', default: 1 },
    sampling_ratio: { kind: 'int', default: 0 },
    spatial_scale: { kind: 'float', default: 1 },
  },
  infer(context) {
    const [x, rois, batch] = [context.input(0), context.input(1), context.input(2)];
    if (x.rank !== 4 || rois.rank !== 2 || batch.rank !== 1)
      context.fail(
        `it needs [N, C, H, W], [count, 4] and [count], not ${[x, rois, batch].map(({ shape }) => shapeText(shape)).join(', ')}`,
      );
    requireFilled(context, x.shape, 'the input');
    context.unify(4, rois.shape[1] as Dim, 'numbers per region');
    const count = context.unify(rois.shape[0] as Dim, batch.shape[0] as Dim, 'number of regions');
    const size = [context.node.int('output_height'), context.node.int('output_width')];
    for (const value of size) if (value < 1) context.fail(`an output size is ${dimText(value)}`);
    return [{ dataType: x.dataType, shape: [count, x.shape[1] as Dim, ...size] }];
  },
};

export const poolingSchemas: readonly OperatorSchema[] = [
  MAX_POOL,
  AVERAGE_POOL,
  LP_POOL,
  GLOBAL_AVERAGE_POOL,
  GLOBAL_MAX_POOL,
  GLOBAL_LP_POOL,
  MAX_UNPOOL,
  MAX_ROI_POOL,
  ROI_ALIGN,
];

/** The window of a `MaxPool`, `AveragePool` or `LpPool` node with its padding resolved. */
export const poolingWindow = (node: Node): SpatialWindow => {
  const [x] = node.inputs as readonly [Tensor];
  return resolveWindow(node, x.shape.slice(2), node.ints('kernel_shape'), failPlainly(node));
};

export interface PoolingOptions extends WindowOptions {
  /** Size of the window on each spatial axis. */
  readonly kernelShape: readonly number[];
  /** Round the number of windows up instead of down; default: false. */
  readonly ceilMode?: boolean;
}
export interface MaxPoolOptions extends PoolingOptions {
  /** Indices count row-major ('row', default) or column-major. */
  readonly storageOrder?: 'row' | 'column';
}

const poolingAttributes = (x: Tensor, options: PoolingOptions) => ({
  ...windowAttributes(runnableWindow(options, x.shape.slice(2), options.kernelShape)),
  kernel_shape: options.kernelShape,
  ceil_mode: flag(options.ceilMode),
});
const maxPoolAttributes = (x: Tensor, options: MaxPoolOptions) => ({
  ...poolingAttributes(x, options),
  storage_order: options.storageOrder === undefined ? undefined : options.storageOrder === 'row' ? 0 : 1,
});

/** Maximum of every window of `x` [batch, channels, ...sizes]. Padding never wins. */
export const maxPool = (x: Tensor, options: MaxPoolOptions): Tensor =>
  apply(MAX_POOL, [x], maxPoolAttributes(x, options));

/** {@link maxPool} with the flat index of each maximum in `x` (int64), as {@link maxUnpool} takes it. */
export function maxPoolWithIndices(x: Tensor, options: MaxPoolOptions): { values: Tensor; indices: Tensor } {
  const [values, indices] = applyNode(MAX_POOL, [x], maxPoolAttributes(x, options), { outputs: 2 }).outputs as [
    Tensor,
    Tensor,
  ];
  return { values, indices };
}

/** Mean of every window of `x` [batch, channels, ...sizes]; padding counts only with `countIncludePad`. */
export const averagePool = (x: Tensor, options: PoolingOptions & { readonly countIncludePad?: boolean }): Tensor =>
  apply(AVERAGE_POOL, [x], { ...poolingAttributes(x, options), count_include_pad: flag(options.countIncludePad) });

/** p-norm of every window of `x` [batch, channels, ...sizes]; p defaults to 2. */
export const lpPool = (x: Tensor, options: PoolingOptions & { readonly p?: number }): Tensor =>
  apply(LP_POOL, [x], { ...poolingAttributes(x, options), p: options.p });

/** Mean over all spatial axes, kept with size 1. */
export const globalAveragePool = (x: Tensor): Tensor => apply(GLOBAL_AVERAGE_POOL, [x]);
/** Maximum over all spatial axes, kept with size 1. */
export const globalMaxPool = (x: Tensor): Tensor => apply(GLOBAL_MAX_POOL, [x]);
/** p-norm over all spatial axes, kept with size 1; p defaults to 2. */
export const globalLpPool = (x: Tensor, p?: number): Tensor => apply(GLOBAL_LP_POOL, [x], { p });

/** Put pooled values back at their indices, zeros elsewhere. `outputShape` is the full shape of the result. */
export const maxUnpool = (
  values: Tensor,
  indices: Tensor,
  options: Pick<PoolingOptions, 'kernelShape' | 'strides' | 'pads'> & { readonly outputShape?: IntegerList },
): Tensor => {
  const shape = integerList(values.graph, options.outputShape);
  return apply(MAX_UNPOOL, [values, indices, shape], {
    kernel_shape: options.kernelShape,
    strides: options.strides,
    pads: options.pads,
  });
};

/** Maximum over each region [batch index, x1, y1, x2, y2] of an image, divided into a grid. */
export const maxRoiPool = (
  x: Tensor,
  regions: Tensor,
  options: { readonly pooledShape: readonly [number, number]; readonly spatialScale?: number },
): Tensor =>
  apply(MAX_ROI_POOL, [x, regions], { pooled_shape: options.pooledShape, spatial_scale: options.spatialScale });

export interface RoiAlignOptions {
  readonly outputHeight?: number;
  readonly outputWidth?: number;
  /** Samples per bin and axis; 0 (default) adapts to the size of the region. */
  readonly samplingRatio?: number;
  readonly spatialScale?: number;
  readonly mode?: 'avg' | 'max';
  readonly coordinateTransformationMode?: 'half_pixel' | 'output_half_pixel';
}

/** Bilinear samples of regions [x1, y1, x2, y2] of an image (Mask R-CNN, He et al. 2017). */
export const roiAlign = (x: Tensor, regions: Tensor, batchIndices: Tensor, options: RoiAlignOptions = {}): Tensor =>
  apply(ROI_ALIGN, [x, regions, batchIndices], {
    output_height: options.outputHeight,
    output_width: options.outputWidth,
    sampling_ratio: options.samplingRatio,
    spatial_scale: options.spatialScale,
    mode: options.mode,
    coordinate_transformation_mode: options.coordinateTransformationMode,
  });
