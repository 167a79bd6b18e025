import type { AttributeValues } from '../apply.js';
import {
  dimAdd,
  dimCeilDivide,
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
import type { AttributeSchema } from '../schema.js';
import { isStaticShape, ShapeError, shapeText, type Shape } from '../shape.js';

/** How padding is chosen: given by `pads`, so that the output has ceil(input / stride) elements, or none. */
export type AutoPad = 'NOTSET' | 'SAME_UPPER' | 'SAME_LOWER' | 'VALID';

/** Options of sliding windows; every list has one entry per spatial axis. */
export interface WindowOptions {
  /** Default: 1 on every axis. */
  readonly strides?: readonly number[];
  /** Distance between the elements of a window; default: 1 on every axis. */
  readonly dilations?: readonly number[];
  /** Padding at the begin of every axis, then at the end of every axis; default: 0. Only with `autoPad` NOTSET. */
  readonly pads?: readonly number[];
  /** Default: NOTSET. */
  readonly autoPad?: AutoPad;
}

/** A sliding window with its padding resolved: what `autoPad`, `pads` and defaults amount to. */
export interface SpatialWindow {
  readonly kernelShape: readonly Dim[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padsBegin: readonly Dim[];
  readonly padsEnd: readonly Dim[];
  readonly autoPad: AutoPad;
}

export const WINDOW_ATTRIBUTES: Readonly<Record<string, AttributeSchema>> = {
  auto_pad: { kind: 'string', default: 'NOTSET', values: ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] },
  kernel_shape: { kind: 'ints' },
  strides: { kind: 'ints' },
  dilations: { kind: 'ints' },
  pads: { kind: 'ints' },
};

export const windowAttributes = (options: WindowOptions): AttributeValues => ({
  strides: options.strides,
  dilations: options.dilations,
  pads: options.pads,
  auto_pad: options.autoPad,
});

export const isSame = (autoPad: AutoPad | undefined): boolean => autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER';

/**
 * Options that ONNX Runtime can run. It refuses SAME padding with dilations (convolution) or gets it wrong (pooling),
 * and pooling also where strides skip elements; such padding becomes explicit where the sizes are known.
 */
export function runnableWindow<T extends WindowOptions>(options: T, spatial: Shape, kernelShape: Shape): T {
  const { autoPad, dilations, strides } = options;
  if (!isSame(autoPad) || spatial.length !== kernelShape.length) return options;
  if (!isStaticShape(spatial) || !isStaticShape(kernelShape)) return options;
  const supported = kernelShape.every((size, axis) => (dilations?.[axis] ?? 1) === 1 && (strides?.[axis] ?? 1) <= size);
  if (supported) return options;
  const split = spatial.map((size, axis) =>
    samePadding(size, kernelShape[axis] as number, strides?.[axis] ?? 1, dilations?.[axis] ?? 1, autoPad as AutoPad),
  );
  const pads = [...split.map(([begin]) => begin), ...split.map(([, end]) => end)] as number[];
  return { ...options, autoPad: undefined, pads };
}

/** Padding at both ends for ceil(size / stride) windows. */
function samePadding(size: Dim, kernel: Dim, stride: number, dilation: number, autoPad: AutoPad): readonly [Dim, Dim] {
  const covered = dimAdd(dimMultiply(dimSubtract(dimCeilDivide(size, stride), 1), stride), spannedBy(kernel, dilation));
  return splitPadding(dimMax(dimSubtract(covered, size), 0), autoPad);
}

/** Reports a problem with the node; as `InferenceContext.fail`. */
export type Fail = (message: string, hint?: string) => never;

/** For callers outside inference, where the node has passed its checks already. */
export const failPlainly =
  (node: Node): Fail =>
  (message, hint) => {
    throw new ShapeError(`${node.type} "${node.name}": ${message}.`, hint === undefined ? {} : { hint });
  };

/** An integer-list attribute with one entry per spatial axis, all at least `least`. */
export function axisList(
  node: Node,
  name: string,
  length: number,
  otherwise: number,
  least: number,
  fail: Fail,
): readonly number[] {
  const values = node.optionalInts(name);
  // Exporters write [] for "default".
  if (values === undefined || values.length === 0) return new Array<number>(length).fill(otherwise);
  if (values.length !== length)
    return fail(
      `${name} [${values.join(', ')}] has ${values.length} entries, not ${length}`,
      'Give one per spatial axis (pads: two).',
    );
  const bad = values.find((value) => !Number.isSafeInteger(value) || value < least);
  return bad === undefined ? values : fail(`${name} holds ${bad}`, `Use integers of at least ${least}.`);
}

/** Spatial axes of a value [N, C, d1, d2, ...]. */
export function spatialShape(shape: Shape, fail: Fail): Shape {
  if (shape.length < 3)
    fail(`the input ${shapeText(shape)} has no spatial axis`, 'It has to be [batch, channels, length, ...].');
  return shape.slice(2);
}

/** Elements that a dilated kernel spans. */
export const spannedBy = (kernel: Dim, dilation: number): Dim =>
  dimAdd(dimMultiply(dimSubtract(kernel, 1), dilation), 1);

/** Split padding; the odd element goes to the end for SAME_UPPER and to the begin for SAME_LOWER. */
export function splitPadding(total: Dim, autoPad: AutoPad): readonly [Dim, Dim] {
  const small = dimFloorDivide(total, 2);
  const large = dimSubtract(total, small);
  return autoPad === 'SAME_LOWER' ? [large, small] : [small, large];
}

/** Resolve the window attributes of a convolution or pooling node for these spatial sizes and kernel. */
export function resolveWindow(node: Node, spatial: Shape, kernelShape: readonly Dim[], fail: Fail): SpatialWindow {
  const axes = spatial.length;
  for (const size of kernelShape)
    if (isStatic(size) && (!Number.isSafeInteger(size) || size < 1))
      fail(`the kernel ${shapeText(kernelShape)} is empty on an axis`);
  const strides = axisList(node, 'strides', axes, 1, 1, fail);
  const dilations = axisList(node, 'dilations', axes, 1, 1, fail);
  const autoPad = node.string('auto_pad') as AutoPad;
  const pads = axisList(node, 'pads', 2 * axes, 0, 0, fail);
  if (isSame(autoPad) && dilations.some((dilation) => dilation !== 1))
    fail(
      `auto_pad ${autoPad} does not go with dilations`,
      'Give the padding with pads: ONNX Runtime knows no dilated SAME.',
    );
  const resolved = spatial.map((size, axis): readonly [Dim, Dim] => {
    if (autoPad === 'NOTSET') return [pads[axis] as number, pads[axis + axes] as number];
    if (autoPad === 'VALID') return [0, 0];
    return samePadding(size, kernelShape[axis] as Dim, strides[axis] as number, 1, autoPad);
  });
  return {
    kernelShape,
    strides,
    dilations,
    padsBegin: resolved.map(([begin]) => begin),
    padsEnd: resolved.map(([, end]) => end),
    autoPad,
  };
}

/** Number of window positions per axis. `ceil` also counts a last window that begins inside the input or its begin padding. */
export function windowOutput(spatial: Shape, window: SpatialWindow, ceil: boolean, fail: Fail): Shape {
  return spatial.map((size, axis) => {
    const stride = window.strides[axis] as number;
    if (isSame(window.autoPad)) return dimCeilDivide(size, stride);
    const begin = window.padsBegin[axis] as Dim;
    const span = spannedBy(window.kernelShape[axis] as Dim, window.dilations[axis] as number);
    const padded = dimAdd(dimAdd(size, begin), window.padsEnd[axis] as Dim);
    const slack = dimSubtract(padded, span);
    if (isStatic(slack) && slack < 0)
      fail(
        `the window spans ${dimText(span)} elements on spatial axis ${axis}, but the padded input has only ${dimText(padded)}`,
        'Use a larger input, more padding or a smaller kernel.',
      );
    if (!ceil) return dimAdd(dimFloorDivide(slack, stride), 1);
    const rounded = dimAdd(dimCeilDivide(slack, stride), 1);
    const lastStart = dimAdd(dimFloorDivide(dimSubtract(dimAdd(size, begin), 1), stride), 1);
    return dimMin(rounded, lastStart);
  });
}
