import { apply } from '../apply.js';
import {
  dimAdd,
  dimFloorDivide,
  dimMax,
  dimMin,
  dimMultiply,
  dimSubtract,
  dimText,
  isStatic,
  type Dim,
} from '../dimension.js';
import type { Node } from '../node.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { BYTES, FLOATS_BUT_BFLOAT16 } from '../type-sets.js';
import {
  checkBias,
  checkPads,
  convolutionAttributes,
  CONVOLUTION_ATTRIBUTES,
  convolvedShape,
  groupOf,
  kernelOf,
  type ConvolutionOptions,
} from './convolution-shapes.js';
import { requireFilled } from './checks.js';
import { integerList, type IntegerList } from './operands.js';
import {
  axisList,
  failPlainly,
  isSame,
  resolveWindow,
  runnableWindow,
  spannedBy,
  spatialShape,
  splitPadding,
  type AutoPad,
  type Fail,
  type SpatialWindow,
  type WindowOptions,
} from './window.js';

export type { ConvolutionOptions } from './convolution-shapes.js';

const CONV: OperatorSchema = {
  type: 'Conv',
  since: 11,
  inputs: [
    { name: 'X', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'W', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'B', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T', optional: true },
  ],
  attributes: CONVOLUTION_ATTRIBUTES,
  infer(context) {
    const x = context.input(0);
    return [{ dataType: x.dataType, shape: convolvedShape(context, x, context.input(1), context.inputs[2]) }];
  },
};

const CONV_INTEGER: OperatorSchema = {
  type: 'ConvInteger',
  since: 10,
  inputs: [
    { name: 'x', types: BYTES, typeVariable: 'T1' },
    { name: 'w', types: BYTES, typeVariable: 'T2' },
    { name: 'x_zero_point', types: BYTES, typeVariable: 'T1', optional: true },
    { name: 'w_zero_point', types: BYTES, typeVariable: 'T2', optional: true },
  ],
  attributes: CONVOLUTION_ATTRIBUTES,
  infer(context) {
    checkZeroPoint(context, 2, 1);
    checkZeroPoint(context, 3, context.input(1).shape[0] ?? 1);
    return [{ dataType: 'int32', shape: convolvedShape(context, context.input(0), context.input(1), undefined) }];
  },
};

const Q_LINEAR_CONV: OperatorSchema = {
  type: 'QLinearConv',
  since: 10,
  inputs: [
    { name: 'x', types: BYTES, typeVariable: 'T1' },
    { name: 'x_scale', types: ['float32'] },
    { name: 'x_zero_point', types: BYTES, typeVariable: 'T1' },
    { name: 'w', types: BYTES, typeVariable: 'T2' },
    { name: 'w_scale', types: ['float32'] },
    { name: 'w_zero_point', types: BYTES, typeVariable: 'T2' },
    { name: 'y_scale', types: ['float32'] },
    { name: 'y_zero_point', types: BYTES, typeVariable: 'T3' },
    { name: 'B', types: ['int32'], optional: true },
  ],
  attributes: CONVOLUTION_ATTRIBUTES,
  infer(context) {
    const channels = context.input(3).shape[0] ?? 1;
    for (const index of [1, 2, 6, 7]) checkZeroPoint(context, index, 1);
    for (const index of [4, 5]) checkZeroPoint(context, index, channels);
    return [
      {
        dataType: context.input(7).dataType,
        shape: convolvedShape(context, context.input(0), context.input(3), context.inputs[8]),
      },
    ];
  },
};

/** A scale or zero point is a scalar, or holds one value per channel. */
function checkZeroPoint(context: InferenceContext, index: number, channels: Dim): void {
  const value = context.inputs[index];
  if (value === undefined || value.rank === 0) return;
  if (value.rank !== 1) context.fail(`input ${index} ${shapeText(value.shape)} must be a scalar or one-dimensional`);
  if (value.shape[0] !== 1) context.unify(channels, value.shape[0] as Dim, `channels and input ${index}`);
}

interface TransposedWindow extends SpatialWindow {
  readonly outputPadding: readonly number[];
  readonly output: Shape;
}

function resolveTransposed(node: Node, spatial: Shape, kernelShape: readonly Dim[], fail: Fail): TransposedWindow {
  const axes = spatial.length;
  const strides = axisList(node, 'strides', axes, 1, 1, fail);
  const dilations = axisList(node, 'dilations', axes, 1, 1, fail);
  const outputPadding = axisList(node, 'output_padding', axes, 0, 0, fail);
  const pads = axisList(node, 'pads', 2 * axes, 0, 0, fail);
  const autoPad = node.string('auto_pad') as AutoPad;
  const wantedList = node.optionalInts('output_shape');
  const wanted =
    wantedList === undefined || wantedList.length === 0 ? undefined : axisList(node, 'output_shape', axes, 1, 1, fail);
  const padsBegin: Dim[] = [];
  const padsEnd: Dim[] = [];
  const output = spatial.map((size, axis): Dim => {
    const stride = strides[axis] as number;
    const extra = outputPadding[axis] as number;
    if (extra >= stride)
      fail(
        `output_padding ${extra} is not smaller than stride ${stride} on spatial axis ${axis}`,
        'It restores what a strided convolution drops.',
      );
    const span = spannedBy(kernelShape[axis] as Dim, dilations[axis] as number);
    const full = dimAdd(dimAdd(dimMultiply(dimSubtract(size, 1), stride), span), extra);
    let begin: Dim = autoPad === 'NOTSET' ? (pads[axis] as number) : 0;
    let end: Dim = autoPad === 'NOTSET' ? (pads[axis + axes] as number) : 0;
    const target = wanted?.[axis] ?? (isSame(autoPad) ? dimMin(dimMultiply(size, stride), full) : undefined);
    if (target !== undefined) {
      if (isStatic(target) && isStatic(full) && target > full)
        fail(
          `output_shape asks for ${target} elements on spatial axis ${axis}; the window reaches only ${full}`,
          'Use a smaller output_shape or more output_padding.',
        );
      // ONNX: total padding is what is too much; the odd element goes to the begin except for SAME_UPPER.
      const total = dimMax(dimSubtract(full, target), 0);
      [begin, end] = splitPadding(total, autoPad === 'SAME_UPPER' ? 'SAME_UPPER' : 'SAME_LOWER');
    }
    padsBegin.push(begin);
    padsEnd.push(end);
    const result = target ?? dimSubtract(full, dimAdd(begin, end));
    if (isStatic(result) && result < 1)
      fail(`pads leave ${dimText(result)} elements on spatial axis ${axis}`, 'Use less padding.');
    return result;
  });
  return { kernelShape, strides, dilations, padsBegin, padsEnd, autoPad, outputPadding, output };
}

const CONV_TRANSPOSE: OperatorSchema = {
  type: 'ConvTranspose',
  since: 11,
  inputs: CONV.inputs,
  attributes: {
    ...CONVOLUTION_ATTRIBUTES,
    output_padding: { kind: 'ints' },
    output_shape: { kind: 'ints' },
  },
  infer(context) {
    const x = context.input(0);
    const w = context.input(1);
    const fail: Fail = (message, hint) => context.fail(message, hint);
    const spatial = spatialShape(x.shape, fail);
    checkPads(context);
    requireFilled(context, x.shape.slice(1), 'the input');
    requireFilled(context, w.shape, 'the kernel');
    const kernel = kernelOf(context, x, w);
    const group = groupOf(context);
    const channels = context.unify(
      x.shape[1] as Dim,
      w.shape[0] as Dim,
      `channels of ${shapeText(x.shape)} against weights ${shapeText(w.shape)}`,
    );
    if (isStatic(channels) && channels % group !== 0)
      context.fail(`${channels} input channels do not divide into ${group} groups`);
    const outputs = dimMultiply(w.shape[1] as Dim, group);
    checkBias(context, context.inputs[2], outputs);
    const { output } = resolveTransposed(context.node, spatial, kernel, fail);
    return [{ dataType: x.dataType, shape: [x.shape[0] as Dim, outputs, ...output] }];
  },
};

const DEFORM_CONV: OperatorSchema = {
  type: 'DeformConv',
  since: 19,
  inputs: [
    { name: 'X', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'W', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'offset', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T' },
    { name: 'B', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T', optional: true },
    { name: 'mask', types: FLOATS_BUT_BFLOAT16, typeVariable: 'T', optional: true },
  ],
  attributes: {
    ...CONVOLUTION_ATTRIBUTES,
    auto_pad: { kind: 'string', default: 'NOTSET', values: ['NOTSET'] },
    offset_group: { kind: 'int', default: 1 },
  },
  infer(context) {
    const x = context.input(0);
    const shape = convolvedShape(context, x, context.input(1), context.inputs[3]);
    const positions = context.input(1).shape.slice(2).reduce<Dim>(dimMultiply, 1);
    const offsets = dimMultiply(positions, context.node.int('offset_group'));
    const check = (value: Tensor | undefined, channels: Dim, what: string): void => {
      if (value === undefined) return;
      if (value.rank !== shape.length)
        context.fail(`the ${what} ${shapeText(value.shape)} differs in rank from the output`);
      const expected = [shape[0] as Dim, channels, ...shape.slice(2)];
      expected.forEach((dim, axis) => context.unify(dim, value.shape[axis] as Dim, `${what}, axis ${axis}`));
    };
    check(context.input(2), dimMultiply(offsets, x.rank - 2), 'offset');
    check(context.inputs[4], offsets, 'mask');
    return [{ dataType: x.dataType, shape }];
  },
};

/** Columns summed back into an image: the reverse of unfolding windows. */
const COL2IM: OperatorSchema = {
  type: 'Col2Im',
  since: 18,
  inputs: [
    { name: 'input', typeVariable: 'T' },
    { name: 'image_shape', types: ['int64'] },
    { name: 'block_shape', types: ['int64'] },
  ],
  attributes: { dilations: { kind: 'ints' }, pads: { kind: 'ints' }, strides: { kind: 'ints' } },
  infer(context) {
    const columns = context.input(0);
    const fail: Fail = (message, hint) => context.fail(message, hint);
    if (columns.rank !== 3)
      context.fail(`the columns ${shapeText(columns.shape)} are not [batch, channels * block, positions]`);
    const axes = context.input(1).shape[0];
    if (axes === undefined || !isStatic(axes)) return fail('the length of image_shape must be known');
    const image = context.elements(1) ?? Array.from({ length: axes }, () => context.unknownDim('image'));
    const block = context.elements(2);
    for (const [name, count, least] of [
      ['strides', axes, 1],
      ['dilations', axes, 1],
      ['pads', 2 * axes, 0],
    ] as const)
      axisList(context.node, name, count, 1, least, fail);
    const rows = columns.shape[1] as Dim;
    if (block !== undefined && block.every(isStatic) && isStatic(rows) && rows % block.reduce((a, b) => a * b, 1) !== 0)
      context.fail(`${rows} rows do not divide into blocks of [${block.join(', ')}]`);
    const channels =
      block === undefined ? context.unknownDim('channels') : dimFloorDivide(rows, block.reduce<Dim>(dimMultiply, 1));
    return [{ dataType: columns.dataType, shape: [columns.shape[0] as Dim, channels, ...image] }];
  },
};

export const convolutionSchemas: readonly OperatorSchema[] = [
  CONV,
  CONV_TRANSPOSE,
  CONV_INTEGER,
  Q_LINEAR_CONV,
  DEFORM_CONV,
  COL2IM,
];

/** The window of a `Conv` node with its padding resolved. */
export const convolutionWindow = (node: Node): SpatialWindow => {
  const [x, w] = node.inputs as readonly [Tensor, Tensor];
  return resolveWindow(node, x.shape.slice(2), w.shape.slice(2), failPlainly(node));
};

/** The window of a `ConvTranspose` node with its padding resolved. */
export const transposedConvolutionWindow = (
  node: Node,
): SpatialWindow & { readonly outputPadding: readonly number[] } => {
  const [x, w] = node.inputs as readonly [Tensor, Tensor];
  return resolveTransposed(node, x.shape.slice(2), w.shape.slice(2), failPlainly(node));
};

const runnable = (x: Tensor, weights: Tensor, options: ConvolutionOptions): ConvolutionOptions =>
  runnableWindow(options, x.shape.slice(2), weights.shape.slice(2));

/**
 * Convolution (cross-correlation) over 1, 2 or 3 spatial axes. `x` is [batch, channels, ...sizes], `weights` is
 * [output channels, channels / group, ...kernel], `bias` is [output channels].
 */
export const conv = (x: Tensor, weights: Tensor, bias?: Tensor, options: ConvolutionOptions = {}): Tensor =>
  apply(CONV, [x, weights, bias], convolutionAttributes(runnable(x, weights, options)));

export interface TransposedConvolutionOptions extends ConvolutionOptions {
  /** Elements added at the end of each axis, which a strided convolution would have dropped; default: 0. */
  readonly outputPadding?: readonly number[];
  /** Spatial sizes of the result; the padding follows from it. */
  readonly outputShape?: readonly number[];
}

/**
 * Transposed convolution, the gradient of {@link conv} with respect to its input. `x` is [batch, channels, ...sizes],
 * `weights` is [channels, output channels / group, ...kernel], `bias` is [output channels].
 */
export const convTranspose = (
  x: Tensor,
  weights: Tensor,
  bias?: Tensor,
  options: TransposedConvolutionOptions = {},
): Tensor =>
  apply(CONV_TRANSPOSE, [x, weights, bias], {
    ...convolutionAttributes(options),
    output_padding: options.outputPadding,
    output_shape: options.outputShape,
  });

/** Integer convolution with int32 result; zero points are scalars (weights: also one per output channel). */
export const convInteger = (
  x: Tensor,
  weights: Tensor,
  zeroPoints: { readonly x?: Tensor; readonly weights?: Tensor } = {},
  options: ConvolutionOptions = {},
): Tensor =>
  apply(
    CONV_INTEGER,
    [x, weights, zeroPoints.x, zeroPoints.weights],
    convolutionAttributes(runnable(x, weights, options)),
  );

/** A quantised tensor with the scale and zero point that give its real values. */
export interface Quantized {
  readonly values: Tensor;
  readonly scale: Tensor;
  readonly zeroPoint: Tensor;
}

/** Convolution of quantised operands with quantised result; `bias` is int32 with the scale of `x` times that of the weights. */
export const qLinearConv = (
  x: Quantized,
  weights: Quantized,
  output: Omit<Quantized, 'values'>,
  bias?: Tensor,
  options: ConvolutionOptions = {},
): Tensor =>
  apply(
    Q_LINEAR_CONV,
    [
      x.values,
      x.scale,
      x.zeroPoint,
      weights.values,
      weights.scale,
      weights.zeroPoint,
      output.scale,
      output.zeroPoint,
      bias,
    ],
    convolutionAttributes(runnable(x.values, weights.values, options)),
  );

/** Deformable convolution: every kernel element is displaced by `offset`, weighted by `mask` (Zhu et al. 2019). */
export const deformConv = (
  x: Tensor,
  weights: Tensor,
  offset: Tensor,
  options: Omit<ConvolutionOptions, 'autoPad'> & {
    readonly bias?: Tensor;
    readonly mask?: Tensor;
    readonly offsetGroup?: number;
  } = {},
): Tensor =>
  apply(DEFORM_CONV, [x, weights, offset, options.bias, options.mask], {
    ...convolutionAttributes(options),
    offset_group: options.offsetGroup,
  });

/** Sum columns [batch, channels * block, positions] back into an image [batch, channels, ...imageShape]. */
export const col2Im = (
  columns: Tensor,
  imageShape: IntegerList,
  blockShape: IntegerList,
  options: Omit<WindowOptions, 'autoPad'> = {},
): Tensor => {
  const { graph } = columns;
  return apply(COL2IM, [columns, integerList(graph, imageShape), integerList(graph, blockShape)], {
    strides: options.strides,
    dilations: options.dilations,
    pads: options.pads,
  });
};
