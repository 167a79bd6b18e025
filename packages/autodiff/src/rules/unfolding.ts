import {
  add,
  concat,
  convolutionWindow,
  div,
  gridSample,
  isStatic,
  matMul,
  mul,
  pad,
  reshape,
  slice,
  sub,
  transpose,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Contents of an integer input that must be known when the graph is built. */
function numbers(context: DerivativeContext, index: number, what: string): readonly number[] {
  const elements = context.inputs[index]?.elements;
  return elements?.every(isStatic) === true
    ? elements
    : context.fail(`its ${what} must be known when the graph is built`, 'Give it as numbers.');
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** The coordinates of a flat position, the last axis fastest. */
function coordinates(position: number, sizes: readonly number[]): number[] {
  const result = sizes.map(() => 0);
  let rest = position;
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    result[axis] = rest % (sizes[axis] as number);
    rest = Math.floor(rest / (sizes[axis] as number));
  }
  return result;
}

/** The gradient of summing columns into an image reads every column from where it was added: one gather. */
function columnsBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const { node } = context;
  const image = numbers(context, 1, 'image shape');
  const block = numbers(context, 2, 'block shape');
  const axes = image.length;
  const list = (name: string, count: number, standard: number): readonly number[] =>
    node.optionalInts(name) ?? new Array<number>(count).fill(standard);
  const [strides, dilations, pads] = [list('strides', axes, 1), list('dilations', axes, 1), list('pads', 2 * axes, 0)];
  const padded = image.map((size, axis) => size + (pads[axis] as number) + (pads[axis + axes] as number));
  const counts = padded.map((size, axis) => {
    const span = ((block[axis] as number) - 1) * (dilations[axis] as number) + 1;
    return Math.floor((size - span) / (strides[axis] as number)) + 1;
  });
  const columns = product(counts);
  const places = Array.from({ length: product(block) * columns }, (_, at) => {
    const offset = coordinates(Math.floor(at / columns), block);
    const place = coordinates(at % columns, counts);
    return BigInt(
      padded.reduce(
        (sum, size, axis) =>
          sum * size +
          (place[axis] as number) * (strides[axis] as number) +
          (offset[axis] as number) * (dilations[axis] as number),
        0,
      ),
    );
  });
  const gradient = context.gradient(0);
  const wider = pads.some((size) => size > 0)
    ? pad(gradient, [0, 0, ...pads.slice(0, axes), 0, 0, ...pads.slice(axes)])
    : gradient;
  const channels = gradient.shape[1];
  if (channels === undefined || !isStatic(channels))
    return context.fail('its number of channels must be known when the graph is built');
  const indices = gradient.graph.constant({
    dataType: 'int64',
    dims: [places.length],
    data: BigInt64Array.from(places),
  });
  const read = reshape(wider, [0, 0, -1]).gather(indices, 2);
  return [reshape(read, [0, channels * product(block), columns])];
}

/**
 * Deformable convolution (Dai et al. 2017; Zhu et al. 2019): bilinear samples at displaced positions, masked, and a matrix
 * product with the weights.
 */
function deformed(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  const [x, weights, offset] = [context.input(0), context.input(1), context.input(2)];
  const [, , , bias, mask] = node.inputs;
  if (x.rank !== 4) context.fail('it has a derivative for two spatial axes only');
  const sizes = [...x.shape.slice(1), ...weights.shape, ...context.output(0).shape.slice(2)];
  if (!sizes.every(isStatic))
    return context.fail('all sizes but the batch must be known when the graph is built', 'Bind them to numbers.');
  const [channels, height, width, outputs, each, tall, wide, rows, columns] = sizes as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const window = convolutionWindow(node);
  const [groups, offsetGroups, taps] = [node.int('group'), node.int('offset_group'), tall * wide];
  const begins = window.padsBegin as readonly number[];
  // Where every tap of every output element lies without displacement: [taps, rows, columns, y and x].
  const regular = new Float64Array(taps * rows * columns * 2);
  for (let at = 0; at < taps * rows * columns; at++) {
    const [tap, row, column] = coordinates(at, [taps, rows, columns]) as [number, number, number];
    const place = [row, column].map(
      (index, axis) =>
        index * (window.strides[axis] as number) -
        (begins[axis] as number) +
        (axis === 0 ? Math.floor(tap / wide) : tap % wide) * (window.dilations[axis] as number),
    );
    regular.set(place, 2 * at);
  }
  const constant = (dims: readonly number[], data: Float64Array): Tensor =>
    x.graph.constant({ dataType: 'float64', dims, data }).cast(x.dataType);
  // [batch, groups, taps, y and x, rows, columns] → [batch · groups, taps, rows, columns, y and x]
  const displaced = transpose(reshape(offset, [-1, taps, 2, rows, columns]), [0, 1, 3, 4, 2]);
  const points = add(displaced, constant([1, taps, rows, columns, 2], regular));
  // Positions in elements as GridSample numbers them: from -1 to 1 over the outer edges, x before y.
  const normalised = sub(
    div(add(mul(points, 2), 1), constant([2], Float64Array.of(height, width))),
    constant([], Float64Array.of(1)),
  );
  const grid = reshape(concat([slice(normalised, [1], [2], [-1]), slice(normalised, [0], [1], [-1])], -1), [
    -1,
    taps * rows,
    columns,
    2,
  ]);
  const perGroup = channels / offsetGroups;
  const sampled = reshape(gridSample(reshape(x, [-1, perGroup, height, width]), grid), [
    -1,
    perGroup,
    taps,
    rows * columns,
  ]);
  const masked = mask === undefined ? sampled : mul(sampled, reshape(mask, [-1, 1, taps, rows * columns]));
  // [batch, groups, channels of a group · taps, positions]
  const unfolded = reshape(masked, [-1, groups, each * taps, rows * columns]);
  const kernels = reshape(weights, [1, groups, outputs / groups, each * taps]);
  const result = reshape(matMul(kernels, unfolded), [-1, outputs, rows, columns]);
  return [bias === undefined ? result : add(result, bias.unsqueeze([1, 2]))];
}

export const unfoldingRules: readonly DerivativeRule[] = [
  {
    operator: 'Col2Im',
    order: 'any',
    notes: 'known image and block shapes and number of channels',
    backward: columnsBackward,
  },
  byDecomposition('DeformConv', deformed, { notes: 'two spatial axes; all sizes but the batch known' }),
];
