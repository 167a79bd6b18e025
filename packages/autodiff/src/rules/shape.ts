import {
  concat,
  depthToSpace,
  isStatic,
  normalizeAxis,
  pad,
  reshape,
  scatterElements,
  shapeOf,
  slice,
  spaceToDepth,
  sumTo,
  transpose,
  trilu,
  zerosLike,
  type Tensor,
} from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

/** Gives a gradient the shape of the input: undoes every operator that only relabels axes. */
const relabelling = (operator: string): DerivativeRule => ({
  operator,
  order: 'any',
  backward: (context) => [reshape(context.gradient(0), shapeOf(context.input(0)))],
});

/** Contents of an integer input that must be known when the graph is built. */
function known(context: DerivativeContext, index: number, what: string): readonly number[] {
  const elements = context.inputs[index]?.elements;
  if (elements === undefined || !elements.every(isStatic))
    return context.fail(`its ${what} must be known when the graph is built`, 'Give it as a constant.');
  return elements;
}

const staticSize = (context: DerivativeContext, x: Tensor, axis: number): number => {
  const size = x.shape[axis];
  return typeof size === 'number'
    ? size
    : context.fail(
        `the size of axis ${axis} must be known when the graph is built`,
        'Bind that dimension to a number.',
      );
};

/** Positions of the input that a Slice reads along one axis, as start, step and count. */
interface Run {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly count: number;
  readonly size: number;
}

function sliceRuns(context: DerivativeContext): Run[] {
  const x = context.input(0);
  const starts = known(context, 1, 'starts');
  const axes = context.node.inputs[3] === undefined ? starts.map((_, axis) => axis) : known(context, 3, 'axes');
  const steps = context.node.inputs[4] === undefined ? starts.map(() => 1) : known(context, 4, 'steps');
  const y = context.output(0);
  return axes.map((given, index) => {
    const axis = normalizeAxis(given, x.rank);
    const size = staticSize(context, x, axis);
    const step = steps[index] as number;
    const raw = starts[index] as number;
    const wrapped = raw < 0 ? raw + size : raw;
    const start = Math.min(Math.max(wrapped, 0), step > 0 ? size : size - 1);
    return { axis, start, step, count: staticSize(context, y, axis), size };
  });
}

/** Zeros before, between and after: places the gradient of a slice where the slice was read. */
function unslice(gradient: Tensor, runs: readonly Run[]): Tensor {
  let result = gradient;
  for (const run of runs) {
    const { axis, step, size, count } = run;
    if (count === size && step === 1) continue;
    if (Math.abs(step) === 1 || count <= 1) {
      const ordered = step < 0 && count > 1 ? reverse(result, axis) : result;
      const first = step < 0 ? run.start - (count - 1) : run.start;
      result = padAxis(ordered, axis, first, size - first - count);
    } else {
      // Spread by |step|: pad every element with |step|-1 zeros on an axis of its own, then cut to length.
      const stride = Math.abs(step);
      const ordered = step < 0 ? reverse(result, axis) : result;
      const spread = padAxis(ordered.unsqueeze([axis + 1]), axis + 1, 0, stride - 1);
      const dims = ordered.shape.map((dim, at) => (at === axis ? count * stride : typeof dim === 'number' ? dim : 0));
      const first = step < 0 ? run.start - (count - 1) * stride : run.start;
      const merged = spread.reshape(dims);
      const wanted = size - first;
      const fitted =
        count * stride > wanted
          ? slice(merged, [0], [wanted], [axis])
          : padAxis(merged, axis, 0, wanted - count * stride);
      result = padAxis(fitted, axis, first, 0);
    }
  }
  return result;
}

const reverse = (x: Tensor, axis: number): Tensor => slice(x, [-1], [Number.MIN_SAFE_INTEGER], [axis], [-1]);

function padAxis(x: Tensor, axis: number, before: number, after: number): Tensor {
  if (before === 0 && after === 0) return x;
  const pads = new Array<number>(2 * x.rank).fill(0);
  pads[axis] = before;
  pads[axis + x.rank] = after;
  return pad(x, pads);
}

export const shapeRules: readonly DerivativeRule[] = [
  relabelling('Reshape'),
  relabelling('Flatten'),
  relabelling('Squeeze'),
  relabelling('Unsqueeze'),
  {
    operator: 'Transpose',
    order: 'any',
    backward(context) {
      const permutation = context.node.optionalInts('perm');
      const gradient = context.gradient(0);
      return [
        permutation === undefined
          ? transpose(gradient)
          : transpose(
              gradient,
              permutation.map((_, axis) => permutation.indexOf(axis)),
            ),
      ];
    },
  },
  { operator: 'Expand', order: 'any', backward: (context) => [sumTo(context.gradient(0), context.input(0))] },
  {
    operator: 'Concat',
    order: 'any',
    backward(context) {
      const parts = context.node.inputs as readonly Tensor[];
      const gradient = context.gradient(0);
      const axis = normalizeAxis(context.node.int('axis'), gradient.rank);
      let offset = 0;
      let dynamic: Tensor | undefined;
      return parts.map((part, index) => {
        const size = part.shape[axis];
        if (typeof size === 'number' && dynamic === undefined) {
          const begin = offset;
          offset += size;
          if (!context.needs(index)) return undefined;
          return parts.length === 1 ? gradient : slice(gradient, [begin], [offset], [axis]);
        }
        // From the first part of unknown size on, offsets are computed at run time.
        const begin: Tensor = dynamic ?? gradient.graph.ints([offset]);
        const end: Tensor = begin.add(slice(shapeOf(part), [axis], [axis + 1], [0]));
        dynamic = end;
        return context.needs(index) ? slice(gradient, begin, end, [axis]) : undefined;
      });
    },
  },
  {
    operator: 'Split',
    order: 'any',
    backward(context) {
      return [
        concat(
          context.outputs.map((_, index) => context.gradient(index)),
          context.node.int('axis'),
        ),
      ];
    },
  },
  {
    operator: 'Slice',
    order: 'any',
    notes: 'starts, axes and steps known when the graph is built; sliced axes of static size',
    backward: (context) => [unslice(context.gradient(0), sliceRuns(context))],
  },
  {
    operator: 'Pad',
    order: 'any',
    notes: 'all modes; pads known when the graph is built, padded axes of static size for reflect, edge and wrap',
    backward: padBackward,
  },
  {
    operator: 'Tile',
    order: 'any',
    notes: 'repeats known when the graph is built',
    backward(context) {
      const x = context.input(0);
      const repeats = known(context, 1, 'repeats');
      // [r0, d0, r1, d1, ...]: the repeats become axes of their own, which are summed.
      const dims = x.shape.flatMap((dim, axis) => [repeats[axis] as number, typeof dim === 'number' ? dim : -1]);
      if (dims.filter((dim) => dim === -1).length > 1) context.fail('at most one axis may have an unknown size');
      const split = context.gradient(0).reshape(dims);
      return [split.sum(x.shape.map((_, axis) => 2 * axis))];
    },
  },
  {
    operator: 'DepthToSpace',
    order: 'any',
    backward(context) {
      const { node } = context;
      const block = node.int('blocksize');
      if (node.string('mode') === 'DCR') return [spaceToDepth(context.gradient(0), block)];
      // CRD: [n, c·b·b, h, w] → [n, c, b, b, h, w] → [n, c, h, b, w, b]; undo that order.
      const x = context.input(0);
      const [channels, height, width] = [1, 2, 3].map((axis) => staticSize(context, x, axis)) as [
        number,
        number,
        number,
      ];
      const six = context.gradient(0).reshape([-1, channels / (block * block), height, block, width, block]);
      return [six.transpose([0, 1, 3, 5, 2, 4]).reshape([-1, channels, height, width])];
    },
  },
  {
    operator: 'SpaceToDepth',
    order: 'any',
    backward: (context) => [depthToSpace(context.gradient(0), context.node.int('blocksize'))],
  },
  {
    operator: 'Trilu',
    order: 'any',
    backward: (context) => [
      trilu(context.gradient(0), { upper: context.node.int('upper') === 1, diagonal: context.inputs[1] }),
    ],
  },
];

function padBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const { node } = context;
  const x = context.input(0);
  const pads = known(context, 1, 'pads');
  const axes =
    node.inputs[3] === undefined
      ? x.shape.map((_, axis) => axis)
      : known(context, 3, 'axes').map((axis) => normalizeAxis(axis, x.rank));
  const mode = node.string('mode');
  let gradient = context.gradient(0);
  const whole = gradient;
  for (const [index, axis] of axes.entries()) {
    const before = pads[index] as number;
    const after = pads[index + axes.length] as number;
    if (before === 0 && after === 0) continue;
    if (mode === 'constant') gradient = unpadConstant(context, gradient, axis, before, after);
    else gradient = foldPadding(context, gradient, axis, before, mode);
  }
  const value = node.inputs[2];
  return [
    gradient,
    undefined,
    // Every padded element is the constant: its gradient is the total minus what reached the input.
    value !== undefined && context.needs(2) ? sumTo(whole.sum().sub(gradient.sum()), value) : undefined,
  ];
}

/** Cut the padding off; negative pads were crops and come back as zeros. */
function unpadConstant(
  context: DerivativeContext,
  gradient: Tensor,
  axis: number,
  before: number,
  after: number,
): Tensor {
  const crop = before > 0 || after > 0;
  const end = after > 0 ? -after : Number.MAX_SAFE_INTEGER;
  const cut = crop ? slice(gradient, [Math.max(before, 0)], [end], [axis]) : gradient;
  return padAxis(cut, axis, Math.max(-before, 0), Math.max(-after, 0));
}

/** Reflect, edge and wrap copy elements of the input: add each gradient to the element that it was copied from. */
function foldPadding(context: DerivativeContext, gradient: Tensor, axis: number, before: number, mode: string): Tensor {
  const x = context.input(0);
  const size = staticSize(context, x, axis);
  const padded = staticSize(context, gradient, axis);
  const source = Array.from({ length: padded }, (_, index) => sourceIndex(index - before, size, mode));
  const zeros = zerosLike(slice(gradient, [0], [1], [axis])).expand(
    shapeOf(gradient).graph.ints(gradient.shape.map((_, at) => (at === axis ? size : 1))),
  );
  const indices = gradient.graph
    .constant({
      dataType: 'int64',
      dims: gradient.shape.map((_, at) => (at === axis ? padded : 1)),
      data: BigInt64Array.from(source, BigInt),
    })
    .expand(shapeOf(gradient));
  return scatterElements(zeros, indices, gradient, { axis, reduction: 'add' });
}

function sourceIndex(position: number, size: number, mode: string): number {
  if (mode === 'edge') return Math.min(Math.max(position, 0), size - 1);
  if (mode === 'wrap') return ((position % size) + size) % size;
  const period = 2 * (size - 1);
  if (period === 0) return 0;
  const folded = ((position % period) + period) % period;
  return folded < size ? folded : period - folded;
}
