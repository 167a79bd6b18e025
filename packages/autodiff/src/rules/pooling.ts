import {
  abs,
  broadcastTo,
  convTranspose,
  div,
  equal,
  gatherElements,
  greater,
  maxPoolWithIndices,
  maxUnpool,
  mul,
  pad,
  poolingWindow,
  pow,
  reduceSum,
  reshape,
  scatterElements,
  shapeOf,
  sign,
  slice,
  sizeOf,
  where,
  zerosLike,
  isStatic,
  isStaticShape,
  type AutoPad,
  type Node,
  type SpatialWindow,
  type Tensor,
} from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';
import { staticPads, staticSpatial } from './convolution.js';

const kernelOf = (window: SpatialWindow): readonly number[] => window.kernelShape.filter(isStatic);

/** Windows that tile the input exactly: every element lies in one window. */
const tiles = (context: DerivativeContext, window: SpatialWindow): boolean => {
  const sizes = staticSpatial(context, context.input(0));
  return (
    staticPads(context, window).every((pads) => pads === 0) &&
    window.dilations.every((dilation) => dilation === 1) &&
    kernelOf(window).every((kernel, axis) => kernel === window.strides[axis] && (sizes[axis] as number) % kernel === 0)
  );
};

/** Adds a value per window to every element of the window: the adjoint of summing windows. */
function spreadWindows(context: DerivativeContext, values: Tensor, window: SpatialWindow): Tensor {
  const x = context.input(0);
  const sizes = staticSpatial(context, x);
  const kernel = kernelOf(window);
  if (tiles(context, window)) {
    // [n, c, h, 1, w, 1] → repeated over the window → [n, c, h·k, w·k]
    const counts = staticSpatial(context, values);
    const blocks = counts.flatMap((count, axis) => [count, kernel[axis] as number]);
    const apart = values.reshape([0, 0, ...counts.flatMap((count) => [count, 1])]);
    return apart.expand([1, 1, ...blocks]).reshape([0, 0, ...sizes]);
  }
  const channels = x.shape[1];
  if (typeof channels !== 'number') return context.fail('its number of channels must be known when the graph is built');
  const size = kernel.reduce((a, b) => a * b, 1);
  const ones = x.graph
    .constant({ dataType: 'float32', dims: [channels, 1, ...kernel], data: new Float32Array(channels * size).fill(1) })
    .cast(x.dataType);
  const full = convTranspose(values, ones, undefined, {
    strides: window.strides,
    dilations: window.dilations,
    group: channels,
  });
  // The full extent begins before the input by the padding; cut or fill it to the size of the input.
  const pads = staticPads(context, window);
  const axes = sizes.map((_, axis) => axis + 2);
  const lengths = staticSpatial(context, full);
  const begins = sizes.map((_, axis) => pads[axis] as number);
  const ends = sizes.map((length, axis) => Math.min((begins[axis] as number) + length, lengths[axis] as number));
  const cut = slice(full, begins, ends, axes);
  const missing = sizes.map((length, axis) => length - ((ends[axis] as number) - (begins[axis] as number)));
  return missing.some((count) => count > 0) ? pad(cut, [...new Array<number>(x.rank).fill(0), 0, 0, ...missing]) : cut;
}

/** Elements that count in each window along one axis. */
function windowCounts(
  size: number,
  outputs: number,
  at: { kernel: number; stride: number; dilation: number; begin: number; end: number; includePad: boolean },
): number[] {
  return Array.from({ length: outputs }, (_, index) => {
    let count = 0;
    for (let tap = 0; tap < at.kernel; tap++) {
      const position = index * at.stride - at.begin + tap * at.dilation;
      const inside = at.includePad ? position < size + at.end : position >= 0 && position < size;
      if (inside) count++;
    }
    return count;
  });
}

const averagePooling: DerivativeRule = {
  operator: 'AveragePool',
  order: 'any',
  notes: 'spatial sizes known when the graph is built',
  backward(context) {
    const x = context.input(0);
    const gradient = context.gradient(0);
    const window = poolingWindow(context.node);
    const pads = staticPads(context, window);
    const sizes = staticSpatial(context, x);
    const outputs = staticSpatial(context, gradient);
    const includePad = context.node.int('count_include_pad') === 1;
    const kernel = kernelOf(window);
    let shares = gradient;
    sizes.forEach((size, axis) => {
      const counts = windowCounts(size, outputs[axis] as number, {
        kernel: kernel[axis] as number,
        stride: window.strides[axis] as number,
        dilation: window.dilations[axis] as number,
        begin: pads[axis] as number,
        end: pads[axis + sizes.length] as number,
        includePad,
      });
      const first = counts[0] as number;
      if (counts.every((count) => count === first)) {
        shares = div(shares, first);
        return;
      }
      const dims = gradient.shape.map((_, at) => (at === axis + 2 ? counts.length : 1));
      shares = div(
        shares,
        x.graph.constant({ dataType: 'float32', dims, data: Float32Array.from(counts) }).cast(x.dataType),
      );
    });
    return [spreadWindows(context, shares, window)];
  },
};

/** Scatter to (and gather from) flat positions, as MaxPool reports its maxima. */
const flat = (x: Tensor): Tensor => x.reshape([-1]);

const maxPooling: DerivativeRule = {
  operator: 'MaxPool',
  order: 'any',
  notes: 'ties go to the first maximum of a window; storage_order 0',
  backward(context) {
    const { node } = context;
    const x = context.input(0);
    const gradient = context.gradient(0);
    if (node.int('storage_order') !== 0)
      context.fail('column-major indices have no derivative', 'Use storage order "row".');
    const indices = context.outputs[1] ?? withIndices(context);
    // Overlapping windows may share a maximum.
    const window = poolingWindow(node);
    const overlapping = kernelOf(window).some(
      (kernel, axis) => (kernel - 1) * (window.dilations[axis] as number) + 1 > (window.strides[axis] as number),
    );
    // Its kernel is ten times faster than a scatter, but there for one type and positions that occur once, and windows
    // that reach into padding are too many for it.
    const fits = kernelOf(window).every((kernel, axis) => {
      const [count, size] = [gradient.shape[axis + 2], x.shape[axis + 2]];
      if (typeof count !== 'number' || typeof size !== 'number') return false;
      return (count - 1) * (window.strides[axis] as number) + kernel <= size;
    });
    if (!overlapping && fits && x.dataType === 'float32' && isStaticShape(x.shape))
      return [maxUnpool(gradient, indices, { ...unpooling(node), outputShape: x.shape })];
    const scattered = scatterElements(zerosLike(flat(x)), flat(indices), flat(gradient), {
      axis: 0,
      reduction: overlapping ? 'add' : 'none',
    });
    return [reshape(scattered, shapeOf(x))];
  },
};

/** Window attributes of the node that undoes a pooling of non-overlapping windows. */
function unpooling(node: Node): { kernelShape: readonly number[]; strides?: readonly number[] } {
  const strides = node.optionalInts('strides');
  return { kernelShape: node.ints('kernel_shape'), ...(strides === undefined ? {} : { strides }) };
}

function withIndices({ node, input }: DerivativeContext): Tensor {
  const pads = node.optionalInts('pads');
  const strides = node.optionalInts('strides');
  const dilations = node.optionalInts('dilations');
  return maxPoolWithIndices(input(0), {
    kernelShape: node.ints('kernel_shape'),
    ...(pads === undefined ? {} : { pads }),
    ...(strides === undefined ? {} : { strides }),
    ...(dilations === undefined ? {} : { dilations }),
    autoPad: node.string('auto_pad') as AutoPad,
    ceilMode: node.int('ceil_mode') === 1,
  }).indices;
}

const maxUnpooling: DerivativeRule = {
  operator: 'MaxUnpool',
  order: 'any',
  backward: (context) => {
    const indices = context.input(1);
    return [reshape(gatherElements(flat(context.gradient(0)), flat(indices), { axis: 0 }), shapeOf(context.input(0)))];
  },
};

/** (sum |x|^p)^(1/p): sign(x)·|x|^(p-1)·y^(1-p), zero where the window is zero. */
function lpSlope(x: Tensor, p: number): Tensor {
  return p === 1 ? sign(x) : p === 2 ? x : mul(sign(x), pow(abs(x), p - 1));
}
function lpScale(y: Tensor, p: number): Tensor {
  const positive = greater(y, 0);
  const safe = where(positive, y, y.graph.constant(1, y.dataType));
  return where(positive, pow(safe, 1 - p), zerosLike(y));
}

const lpPooling: DerivativeRule = {
  operator: 'LpPool',
  order: 'any',
  notes: 'derivative 0 where a window is all zeros',
  backward(context) {
    const p = context.node.int('p');
    const y = context.output(0);
    const scaled = p === 1 ? context.gradient(0) : mul(context.gradient(0), lpScale(y, p));
    return [mul(lpSlope(context.input(0), p), spreadWindows(context, scaled, poolingWindow(context.node)))];
  },
};

const spatialAxes = (x: Tensor): number[] => Array.from({ length: x.rank - 2 }, (_, axis) => axis + 2);

export const poolingRules: readonly DerivativeRule[] = [
  averagePooling,
  maxPooling,
  maxUnpooling,
  lpPooling,
  {
    operator: 'GlobalAveragePool',
    order: 'any',
    backward(context) {
      const x = context.input(0);
      return [broadcastTo(div(context.gradient(0), sizeOf(x, spatialAxes(x))), x)];
    },
  },
  {
    operator: 'GlobalMaxPool',
    order: 'any',
    notes: 'ties share the gradient equally',
    backward(context) {
      const x = context.input(0);
      const hits = equal(x, context.output(0)).cast(x.dataType);
      return [mul(hits, div(context.gradient(0), reduceSum(hits, spatialAxes(x), { keepDims: true })))];
    },
  },
  {
    operator: 'GlobalLpPool',
    order: 'any',
    notes: 'derivative 0 where all elements are zero',
    backward(context) {
      const p = context.node.int('p');
      const scaled = p === 1 ? context.gradient(0) : mul(context.gradient(0), lpScale(context.output(0), p));
      return [mul(lpSlope(context.input(0), p), scaled)];
    },
  },
];
