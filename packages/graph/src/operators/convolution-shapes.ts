import { dimMultiply, isStatic, type Dim } from '../dimension.js';
import type { InferenceContext } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { requireFilled } from './checks.js';
import {
  resolveWindow,
  spatialShape,
  windowAttributes,
  windowOutput,
  WINDOW_ATTRIBUTES,
  type Fail,
  type WindowOptions,
} from './window.js';

export const CONVOLUTION_ATTRIBUTES = { ...WINDOW_ATTRIBUTES, group: { kind: 'int', default: 1 } } as const;

/** Kernel sizes of weights [.., .., k1, k2, ...], checked against the `kernel_shape` attribute. */
export function kernelOf(context: InferenceContext, x: Tensor, w: Tensor): readonly Dim[] {
  if (x.rank !== w.rank)
    context.fail(
      `the input ${shapeText(x.shape)} and the weights ${shapeText(w.shape)} differ in rank`,
      'Both have two leading axes and the same spatial axes.',
    );
  const kernel = w.shape.slice(2);
  const declared = context.node.optionalInts('kernel_shape');
  if (declared === undefined || declared.length === 0) return kernel;
  if (declared.length !== kernel.length)
    context.fail(`kernel_shape [${declared.join(', ')}] does not fit the weights ${shapeText(w.shape)}`);
  return kernel.map((size, axis) => context.unify(declared[axis] as number, size, `kernel_shape, axis ${axis}`));
}

/** ONNX Runtime refuses a convolution that has both. */
export function checkPads(context: InferenceContext): void {
  const { node } = context;
  if (node.string('auto_pad') !== 'NOTSET' && node.attributes.has('pads'))
    context.fail(`it has both pads and auto_pad ${node.string('auto_pad')}`, 'Leave one of them out.');
}

export function groupOf(context: InferenceContext): number {
  const group = context.node.int('group');
  if (!Number.isSafeInteger(group) || group < 1) context.fail(`group is ${group}`, 'Use a positive integer.');
  return group;
}

/** Bias is one value per output channel. */
export function checkBias(context: InferenceContext, bias: Tensor | undefined, channels: Dim): void {
  if (bias === undefined) return;
  if (bias.rank !== 1) context.fail(`the bias ${shapeText(bias.shape)} is not one-dimensional`);
  context.unify(channels, bias.shape[0] as Dim, 'output channels and bias');
}

/** Shape [batch, output channels, ...] of a convolution of `x` with weights [output channels, channels / group, ...]. */
export function convolvedShape(context: InferenceContext, x: Tensor, w: Tensor, bias: Tensor | undefined): Shape {
  const fail: Fail = (message, hint) => context.fail(message, hint);
  const spatial = spatialShape(x.shape, fail);
  checkPads(context);
  // On no channels the runtime may never return.
  requireFilled(context, x.shape.slice(1), 'the input');
  requireFilled(context, w.shape, 'the kernel');
  const kernel = kernelOf(context, x, w);
  const group = groupOf(context);
  const outputs = w.shape[0] as Dim;
  context.unify(
    x.shape[1] as Dim,
    dimMultiply(w.shape[1] as Dim, group),
    `channels of ${shapeText(x.shape)} against weights ${shapeText(w.shape)} in ${group} group${group === 1 ? '' : 's'}`,
  );
  if (isStatic(outputs) && outputs % group !== 0)
    context.fail(`${outputs} output channels do not divide into ${group} groups`);
  checkBias(context, bias, outputs);
  const window = resolveWindow(context.node, spatial, kernel, fail);
  return [x.shape[0] as Dim, outputs, ...windowOutput(spatial, window, false, fail)];
}

export interface ConvolutionOptions extends WindowOptions {
  /** Spatial sizes of the kernel; default: those of the weights. */
  readonly kernelShape?: readonly number[];
  /** Channels are split into this many independent groups; default: 1. */
  readonly group?: number;
}

export const convolutionAttributes = (options: ConvolutionOptions) => ({
  ...windowAttributes(options),
  kernel_shape: options.kernelShape,
  group: options.group,
});
