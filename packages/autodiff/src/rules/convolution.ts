import {
  conv,
  convTranspose,
  convolutionWindow,
  isStatic,
  reduceSum,
  slice,
  transposedConvolutionWindow,
  type SpatialWindow,
  type Tensor,
} from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Sizes of the spatial axes; strided windows need them as numbers to know what the division dropped. */
export function staticSpatial(context: DerivativeContext, x: Tensor): readonly number[] {
  const sizes = x.shape.slice(2);
  if (!sizes.every(isStatic))
    return context.fail(
      'its spatial sizes must be known when the graph is built',
      'Bind the dimensions of the input to numbers.',
    );
  return sizes;
}

export const staticPads = (context: DerivativeContext, window: SpatialWindow): readonly number[] => {
  const pads = [...window.padsBegin, ...window.padsEnd];
  return pads.every(isStatic) ? pads : context.fail('its padding must be known when the graph is built');
};

const staticKernel = (context: DerivativeContext, window: SpatialWindow): readonly number[] =>
  window.kernelShape.every(isStatic)
    ? window.kernelShape
    : context.fail('the size of its kernel must be known when the graph is built');

/** [a, b, ...] → [b, a, ...] */
const swapFirst = (x: Tensor): Tensor =>
  x.transpose([1, 0, ...Array.from({ length: x.rank - 2 }, (_, axis) => axis + 2)]);

interface Correlation {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly kernel: readonly number[];
  readonly group: number;
}

/**
 * Gradient of a convolution with respect to its weights, as a convolution in which batch and channels change places:
 * the input slides under the output gradient, stride and dilation swap roles. `x` [n, c, ...], `gradient` [n, o, ...];
 * result [o, c / group, ...kernel].
 */
function weightGradient(x: Tensor, gradient: Tensor, { strides, dilations, pads, kernel, group }: Correlation): Tensor {
  let image: Tensor;
  if (group === 1) image = swapFirst(x);
  else {
    const [channels, ...sizes] = x.shape.slice(1) as number[];
    const each = (channels as number) / group;
    const spatial = sizes.map((_, axis) => axis + 3);
    // [n, group, c / group, ...] → [c / group, group · n, ...]: each group finds its batch in its own channels.
    image = x
      .reshape([0, group, each, ...sizes])
      .transpose([2, 1, 0, ...spatial])
      .reshape([each, -1, ...sizes]);
  }
  const correlated = conv(image, swapFirst(gradient), undefined, {
    strides: dilations,
    dilations: strides,
    pads,
    group,
  });
  const axes = kernel.map((_, axis) => axis + 2);
  const exact = axes.every((axis, at) => correlated.shape[axis] === kernel[at]);
  // What a stride dropped at the end would show up as extra kernel positions.
  const cut = exact
    ? correlated
    : slice(
        correlated,
        axes.map(() => 0),
        kernel,
        axes,
      );
  return swapFirst(cut);
}

/** Elements that the stride of the forward convolution dropped at the end of each axis. */
const outputPadding = (sizes: readonly number[], outputs: readonly number[], at: Correlation): number[] =>
  sizes.map((size, axis) => {
    const span = ((at.kernel[axis] as number) - 1) * (at.dilations[axis] as number) + 1;
    const covered = ((outputs[axis] as number) - 1) * (at.strides[axis] as number) + span;
    return size - (covered - (at.pads[axis] as number) - (at.pads[axis + sizes.length] as number));
  });

const biasGradient = (gradient: Tensor): Tensor =>
  reduceSum(gradient, [0, ...Array.from({ length: gradient.rank - 2 }, (_, axis) => axis + 2)], { keepDims: false });

const convolution: DerivativeRule = {
  operator: 'Conv',
  order: 'any',
  notes: 'spatial sizes known when the graph is built',
  backward(context) {
    const [x, weights] = [context.input(0), context.input(1)];
    const gradient = context.gradient(0);
    const window = convolutionWindow(context.node);
    const at: Correlation = {
      strides: window.strides,
      dilations: window.dilations,
      pads: staticPads(context, window),
      kernel: staticKernel(context, window),
      group: context.node.int('group'),
    };
    const inputGradient = (): Tensor => {
      const extra = outputPadding(staticSpatial(context, x), staticSpatial(context, gradient), at);
      return convTranspose(gradient, weights, undefined, {
        strides: at.strides,
        dilations: at.dilations,
        pads: at.pads,
        group: at.group,
        ...(extra.some((size) => size !== 0) ? { outputPadding: extra } : {}),
      });
    };
    return [
      context.needs(0) ? inputGradient() : undefined,
      context.needs(1) ? weightGradient(x, gradient, at) : undefined,
      context.needs(2) ? biasGradient(gradient) : undefined,
    ];
  },
};

const transposedConvolution: DerivativeRule = {
  operator: 'ConvTranspose',
  order: 'any',
  notes: 'spatial sizes known when the graph is built',
  backward(context) {
    const [x, weights] = [context.input(0), context.input(1)];
    const gradient = context.gradient(0);
    const window = transposedConvolutionWindow(context.node);
    const at: Correlation = {
      strides: window.strides,
      dilations: window.dilations,
      pads: staticPads(context, window),
      kernel: staticKernel(context, window),
      group: context.node.int('group'),
    };
    // Convolving may yield positions beyond the input when output padding exceeds a stride: cut them off.
    const inputGradient = (): Tensor => {
      const full = conv(gradient, weights, undefined, {
        strides: at.strides,
        dilations: at.dilations,
        pads: at.pads,
        group: at.group,
      });
      const sizes = staticSpatial(context, x);
      const axes = sizes.map((_, axis) => axis + 2);
      return axes.every((axis, index) => full.shape[axis] === sizes[index])
        ? full
        : slice(
            full,
            axes.map(() => 0),
            sizes,
            axes,
          );
    };
    return [
      context.needs(0) ? inputGradient() : undefined,
      context.needs(1) ? weightGradient(gradient, x, at) : undefined,
      context.needs(2) ? biasGradient(gradient) : undefined,
    ];
  },
};

export const convolutionRules: readonly DerivativeRule[] = [convolution, transposedConvolution];
