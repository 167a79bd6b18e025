import { apply, applyNode } from '../apply.js';
import {
  dimAdd,
  dimCeilDivide,
  dimFloorDivide,
  dimMax,
  dimMin,
  dimMultiply,
  dimProduct,
  dimSubtract,
  dimText,
  isStatic,
  type Dim,
} from '../dimension.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { INDICES } from '../type-sets.js';
import type { Operand } from '../apply.js';
import { flag, integerList, type IntegerList } from './operands.js';
import { inputAxes } from './reductions.js';

function attributeAxis(context: InferenceContext, rank: number, name = 'axis', last = rank - 1): number {
  const axis = context.node.int(name);
  if (axis < -rank || axis > last) context.fail(`axis ${axis} is out of range for rank ${rank}`);
  return axis < 0 ? axis + rank : axis;
}

const RESHAPE: OperatorSchema = {
  type: 'Reshape',
  since: 21,
  inputs: [{ name: 'data' }, { name: 'shape', types: ['int64'] }],
  attributes: { allowzero: { kind: 'int', default: 0 } },
  infer(context) {
    const x = context.input(0);
    const wanted = context.elements(1) ?? unknownTarget(context);
    const zeroCopies = context.node.int('allowzero') === 0;
    let inferred = -1;
    const shape = wanted.map((dim, axis): Dim => {
      if (dim === -1) {
        if (inferred >= 0) context.fail('the new shape has more than one -1');
        inferred = axis;
        return 1;
      }
      if (dim === 0 && zeroCopies)
        return x.shape[axis] ?? context.fail(`the new shape copies axis ${axis}, which ${shapeText(x.shape)} lacks`);
      return dim;
    });
    const size = dimProduct(x.shape);
    const rest = dimProduct(shape);
    if (inferred >= 0) {
      if (rest === 0) context.fail('a -1 beside a 0 has no meaning');
      const value = dimFloorDivide(size, rest);
      if (isStatic(size) && isStatic(rest) && size % rest !== 0)
        context.fail(`${dimText(size)} elements of ${shapeText(x.shape)} do not fill ${shapeText(wanted)}`);
      shape[inferred] = value;
    } else if (isStatic(size) && isStatic(rest) && size !== rest)
      context.fail(`${dimText(size)} elements of ${shapeText(x.shape)} do not fill ${shapeText(wanted)}`);
    return [{ dataType: x.dataType, shape, elements: shape.length <= 1 ? context.elements(0) : undefined }];
  },
};

/** A shape computed at run time: its length is known, its values are new symbols. */
function unknownTarget(context: InferenceContext): readonly Dim[] {
  const length = context.input(1).shape[0];
  if (length === undefined || !isStatic(length))
    context.fail('the rank of the new shape is not known when the graph is built');
  return Array.from({ length }, (_, axis) => context.unknownDim(`reshaped_${axis}`));
}

const FLATTEN: OperatorSchema = {
  type: 'Flatten',
  since: 21,
  inputs: [{ name: 'input' }],
  attributes: { axis: { kind: 'int', default: 1 } },
  infer(context) {
    const x = context.input(0);
    const axis = attributeAxis(context, x.rank, 'axis', x.rank);
    return [{ dataType: x.dataType, shape: [dimProduct(x.shape.slice(0, axis)), dimProduct(x.shape.slice(axis))] }];
  },
};

const SQUEEZE: OperatorSchema = {
  type: 'Squeeze',
  since: 21,
  inputs: [{ name: 'data' }, { name: 'axes', types: ['int64'], optional: true }],
  infer(context) {
    const x = context.input(0);
    const axes = inputAxes(context, 1, x.rank);
    for (const axis of axes ?? [])
      if (isStatic(x.shape[axis] as Dim) && x.shape[axis] !== 1)
        context.fail(`axis ${axis} of ${shapeText(x.shape)} has not size 1`);
    const dropped = (dim: Dim, axis: number): boolean => (axes === undefined ? dim === 1 : axes.includes(axis));
    return [
      {
        dataType: x.dataType,
        shape: x.shape.filter((dim, axis) => !dropped(dim, axis)),
        elements: context.elements(0),
      },
    ];
  },
};

const UNSQUEEZE: OperatorSchema = {
  type: 'Unsqueeze',
  since: 21,
  inputs: [{ name: 'data' }, { name: 'axes', types: ['int64'] }],
  infer(context) {
    const x = context.input(0);
    const count = context.staticElements(1, 'the axes').length;
    const axes = inputAxes(context, 1, x.rank + count) as readonly number[];
    let next = 0;
    const shape = Array.from({ length: x.rank + count }, (_, axis): Dim =>
      axes.includes(axis) ? 1 : (x.shape[next++] as Dim),
    );
    return [{ dataType: x.dataType, shape, elements: shape.length <= 1 ? context.elements(0) : undefined }];
  },
};

const TRANSPOSE: OperatorSchema = {
  type: 'Transpose',
  since: 21,
  inputs: [{ name: 'data' }],
  attributes: { perm: { kind: 'ints' } },
  infer(context) {
    const x = context.input(0);
    const permutation = context.node.optionalInts('perm') ?? x.shape.map((_, axis) => x.rank - 1 - axis);
    if (
      permutation.length !== x.rank ||
      new Set(permutation).size !== x.rank ||
      permutation.some((axis) => axis < 0 || axis >= x.rank)
    )
      context.fail(`[${permutation.join(', ')}] is no permutation of the axes of ${shapeText(x.shape)}`);
    return [{ dataType: x.dataType, shape: permutation.map((axis) => x.shape[axis] as Dim) }];
  },
};

const EXPAND: OperatorSchema = {
  type: 'Expand',
  since: 13,
  inputs: [{ name: 'input' }, { name: 'shape', types: ['int64'] }],
  infer(context) {
    const x = context.input(0);
    const target = context.elements(1) ?? unknownTarget(context);
    return [{ dataType: x.dataType, shape: context.broadcast(x.shape, target) }];
  },
};

const CONCAT: OperatorSchema = {
  type: 'Concat',
  since: 13,
  inputs: [{ name: 'inputs', typeVariable: 'T', variadic: true }],
  attributes: { axis: { kind: 'int', required: true } },
  infer(context) {
    const parts = context.inputs.map((_, index) => context.input(index));
    const first = context.input(0);
    const axis = attributeAxis(context, first.rank);
    const shape = [...first.shape];
    for (const part of parts.slice(1)) {
      if (part.rank !== first.rank)
        context.fail(`shapes ${parts.map((one) => shapeText(one.shape)).join(', ')} differ in rank`);
      part.shape.forEach((dim, at) => {
        shape[at] =
          at === axis
            ? dimAdd(shape[at] as Dim, dim)
            : context.unify(
                shape[at] as Dim,
                dim,
                `axis ${at} of the parts ${shapeText(first.shape)} and ${shapeText(part.shape)}`,
              );
      });
    }
    const contents = parts.map((_, index) => context.elements(index));
    const known = first.rank === 1 && contents.every((elements) => elements !== undefined);
    return [
      {
        dataType: first.dataType,
        shape,
        elements: known ? contents.flatMap((elements) => elements ?? []) : undefined,
      },
    ];
  },
};

const SPLIT: OperatorSchema = {
  type: 'Split',
  since: 18,
  inputs: [{ name: 'input' }, { name: 'split', types: ['int64'], optional: true }],
  attributes: { axis: { kind: 'int', default: 0 }, num_outputs: { kind: 'int' } },
  outputs: [1, Number.MAX_SAFE_INTEGER],
  infer(context) {
    const x = context.input(0);
    const axis = attributeAxis(context, x.rank);
    const size = x.shape[axis] as Dim;
    const count = context.outputCount;
    let sizes: readonly Dim[];
    if (context.inputs[1] !== undefined) {
      sizes = context.elements(1) ?? Array.from({ length: count }, (_, index) => context.unknownDim(`split_${index}`));
      if (sizes.length !== count) context.fail(`${sizes.length} sizes are given for ${count} outputs`);
      context.unify(
        sizes.reduce(dimAdd, 0),
        size,
        `the sizes [${sizes.map(dimText).join(', ')}] and axis ${axis} of ${shapeText(x.shape)}`,
      );
    } else {
      const each = dimCeilDivide(size, count);
      sizes = Array.from({ length: count }, (_, index) =>
        index < count - 1 ? each : dimSubtract(size, dimMultiply(each, count - 1)),
      );
    }
    return sizes.map((part) => ({ dataType: x.dataType, shape: x.shape.map((dim, at) => (at === axis ? part : dim)) }));
  },
};

const FAR = 2 ** 31 - 1;

/** Number of elements that a slice of an axis takes. */
function sliceCount(
  context: InferenceContext,
  size: Dim,
  start: Dim | undefined,
  end: Dim | undefined,
  step: Dim | undefined,
): Dim {
  if (start === undefined || end === undefined || step === undefined || !isStatic(step))
    return context.unknownDim('sliced');
  if (step === 0) context.fail('a step is 0');
  const forward = step > 0;
  // A position as an offset from the begin of the axis, clamped to it. Backward, the start stays inside (ONNX, unlike
  // Python) and only the end may lie before the first element.
  const position = (at: Dim, least: number): Dim => {
    if (isStatic(at) && Math.abs(at) >= FAR) return at > 0 ? (forward ? size : dimSubtract(size, 1)) : least;
    const negative = isStatic(at) && at < 0;
    const absolute = negative ? dimAdd(size, at) : at;
    return dimMin(dimMax(absolute, least), forward ? size : dimSubtract(size, 1));
  };
  const [from, to] = [position(start, 0), position(end, forward ? 0 : -1)];
  const length = forward ? dimSubtract(to, from) : dimSubtract(from, to);
  const count = dimCeilDivide(length, Math.abs(step));
  if (isStatic(count)) return Math.max(count, 0);
  return isStatic(size) || mayBeEmpty(start, end, forward) ? dimMax(count, 0) : count;
}

/** Whether the written bounds may lie in the wrong order on an axis of symbolic size: `[4:2]`, `[1:-1]` of one element. */
function mayBeEmpty(start: Dim, end: Dim, forward: boolean): boolean {
  if (!isStatic(start) || !isStatic(end)) return false;
  // To the far end of the axis there is always something or nothing, never less.
  if (forward ? end >= FAR : end <= -FAR) return false;
  return start < 0 !== end < 0 || (forward ? start > end : start < end);
}

const SLICE: OperatorSchema = {
  type: 'Slice',
  since: 13,
  inputs: [
    { name: 'data' },
    { name: 'starts', types: INDICES, typeVariable: 'Tind' },
    { name: 'ends', types: INDICES, typeVariable: 'Tind' },
    { name: 'axes', types: INDICES, typeVariable: 'Tind', optional: true },
    { name: 'steps', types: INDICES, typeVariable: 'Tind', optional: true },
  ],
  infer(context) {
    const x = context.input(0);
    const count = context.input(1).shape[0];
    if (count === undefined || !isStatic(count))
      context.fail('the number of sliced axes must be known when the graph is built');
    const axes = inputAxes(context, 3, x.rank) ?? Array.from({ length: count as number }, (_, axis) => axis);
    const [starts, ends] = [context.elements(1), context.elements(2)];
    const steps = context.inputs[4] === undefined ? axes.map(() => 1) : context.elements(4);
    const shape = [...x.shape];
    axes.forEach((axis, index) => {
      if (axis >= x.rank) context.fail(`axis ${axis} is out of range for ${shapeText(x.shape)}`);
      shape[axis] = sliceCount(context, x.shape[axis] as Dim, starts?.[index], ends?.[index], steps?.[index]);
    });
    return [{ dataType: x.dataType, shape, elements: slicedElements(context, starts, ends, steps) }];
  },
};

function slicedElements(
  context: InferenceContext,
  starts: readonly Dim[] | undefined,
  ends: readonly Dim[] | undefined,
  steps: readonly Dim[] | undefined,
): readonly Dim[] | undefined {
  const elements = context.input(0).rank === 1 ? context.elements(0) : undefined;
  const [start, end, step] = [starts?.[0], ends?.[0], steps?.[0]];
  if (elements === undefined || start === undefined || end === undefined || step === undefined) return undefined;
  if (!isStatic(start) || !isStatic(end) || !isStatic(step)) return undefined;
  const size = elements.length;
  const wrap = (at: number): number => (at < 0 ? at + size : at);
  const clamp = (at: number, low: number, high: number): number => Math.min(Math.max(at, low), high);
  const result: Dim[] = [];
  if (step > 0)
    for (let at = clamp(wrap(start), 0, size); at < clamp(wrap(end), 0, size); at += step)
      result.push(elements[at] as Dim);
  else
    for (let at = clamp(wrap(start), 0, size - 1); at > clamp(wrap(end), -1, size - 1); at += step)
      result.push(elements[at] as Dim);
  return result;
}

const PAD: OperatorSchema = {
  type: 'Pad',
  since: 21,
  inputs: [
    { name: 'data', typeVariable: 'T' },
    { name: 'pads', types: ['int64'] },
    { name: 'constant_value', typeVariable: 'T', optional: true },
    { name: 'axes', types: INDICES, optional: true },
  ],
  attributes: { mode: { kind: 'string', default: 'constant', values: ['constant', 'reflect', 'edge', 'wrap'] } },
  infer(context) {
    const x = context.input(0);
    const axes = inputAxes(context, 3, x.rank) ?? x.shape.map((_, axis) => axis);
    const pads = context.elements(1);
    if (pads !== undefined && pads.length !== 2 * axes.length)
      context.fail(`${pads.length} pads are given for ${axes.length} axes`, 'Give all begins, then all ends.');
    const shape = [...x.shape];
    axes.forEach((axis, index) => {
      shape[axis] =
        pads === undefined
          ? context.unknownDim('padded')
          : dimAdd(shape[axis] as Dim, dimAdd(pads[index] as Dim, pads[index + axes.length] as Dim));
      if (isStatic(shape[axis] as Dim) && (shape[axis] as number) < 0)
        context.fail(`axis ${axis} of ${shapeText(x.shape)} is cropped below 0`);
    });
    return [{ dataType: x.dataType, shape }];
  },
};

const TILE: OperatorSchema = {
  type: 'Tile',
  since: 13,
  inputs: [{ name: 'input' }, { name: 'repeats', types: ['int64'] }],
  infer(context) {
    const x = context.input(0);
    const repeats = context.elements(1) ?? x.shape.map(() => context.unknownDim('repeats'));
    if (repeats.length !== x.rank) context.fail(`${repeats.length} repeats are given for ${x.rank} axes`);
    return [{ dataType: x.dataType, shape: x.shape.map((dim, axis) => dimMultiply(dim, repeats[axis] as Dim)) }];
  },
};

const blockwise = (type: string, since: number, toDepth: boolean): OperatorSchema => ({
  type,
  since,
  inputs: [{ name: 'input' }],
  attributes: {
    blocksize: { kind: 'int', required: true },
    ...(toDepth ? {} : { mode: { kind: 'string', default: 'DCR', values: ['DCR', 'CRD'] } as const }),
  },
  infer(context) {
    const x = context.input(0);
    if (x.rank !== 4) context.fail(`the input ${shapeText(x.shape)} is not [batch, channels, height, width]`);
    const block = context.node.int('blocksize');
    const [batch, channels, height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
    const divide = (dim: Dim, by: number): Dim => {
      if (isStatic(dim) && dim % by !== 0) context.fail(`${dim} does not divide by ${by}`);
      return dimFloorDivide(dim, by);
    };
    const shape: Shape = toDepth
      ? [batch, dimMultiply(channels, block * block), divide(height, block), divide(width, block)]
      : [batch, divide(channels, block * block), dimMultiply(height, block), dimMultiply(width, block)];
    return [{ dataType: x.dataType, shape }];
  },
});
const DEPTH_TO_SPACE = blockwise('DepthToSpace', 13, false);
const SPACE_TO_DEPTH = blockwise('SpaceToDepth', 13, true);

const TRILU: OperatorSchema = {
  type: 'Trilu',
  since: 14,
  inputs: [{ name: 'input' }, { name: 'k', types: ['int64'], optional: true }],
  attributes: { upper: { kind: 'int', default: 1 } },
  infer(context) {
    const x = context.input(0);
    if (x.rank < 2) context.fail(`the input ${shapeText(x.shape)} is no matrix`);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

const REVERSE_SEQUENCE: OperatorSchema = {
  type: 'ReverseSequence',
  since: 10,
  inputs: [{ name: 'input' }, { name: 'sequence_lens', types: ['int64'] }],
  attributes: { batch_axis: { kind: 'int', default: 1 }, time_axis: { kind: 'int', default: 0 } },
  infer(context) {
    const x = context.input(0);
    if (x.rank < 2) context.fail(`the input ${shapeText(x.shape)} has no batch and time axes`);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

export const shapeOperatorSchemas: readonly OperatorSchema[] = [
  RESHAPE,
  FLATTEN,
  SQUEEZE,
  UNSQUEEZE,
  TRANSPOSE,
  EXPAND,
  CONCAT,
  SPLIT,
  SLICE,
  PAD,
  TILE,
  DEPTH_TO_SPACE,
  SPACE_TO_DEPTH,
  TRILU,
  REVERSE_SEQUENCE,
];

/** New shape with the same elements in order; 0 copies a size from the input, one -1 is inferred. */
export const reshape = (x: Tensor, shape: IntegerList, options: { readonly allowZero?: boolean } = {}): Tensor =>
  apply(RESHAPE, [x, integerList(x.graph, shape)], { allowzero: options.allowZero === true ? 1 : undefined });
/** Two axes: everything before `axis`, and the rest. */
export const flatten = (x: Tensor, axis = 1): Tensor => apply(FLATTEN, [x], { axis });
/** Drop axes of size 1 (default: all of them). */
export const squeeze = (x: Tensor, axes?: IntegerList): Tensor => apply(SQUEEZE, [x, integerList(x.graph, axes)]);
/** Insert axes of size 1 at these positions of the result. */
export const unsqueeze = (x: Tensor, axes: IntegerList): Tensor => apply(UNSQUEEZE, [x, integerList(x.graph, axes)]);
/** Permute axes; default: reverse them. */
export const transpose = (x: Tensor, permutation?: readonly number[]): Tensor =>
  apply(TRANSPOSE, [x], { perm: permutation });
/** Broadcast to a shape; 1 keeps the size of the input. */
export const expand = (x: Tensor, shape: IntegerList): Tensor => apply(EXPAND, [x, integerList(x.graph, shape)]);
/** Join along an axis. */
export const concat = (parts: readonly Tensor[], axis: number): Tensor => apply(CONCAT, parts, { axis });

/** Cut along an axis into parts of the given sizes, or into a number of (almost) equal parts. */
export function split(x: Tensor, parts: readonly number[] | number, axis = 0): Tensor[] {
  const sizes = typeof parts === 'number' ? undefined : parts;
  const count = typeof parts === 'number' ? parts : parts.length;
  return applyNode(
    SPLIT,
    [x, integerList(x.graph, sizes)],
    { axis, num_outputs: sizes === undefined ? count : undefined },
    { outputs: count },
  ).outputs as Tensor[];
}

/** Elements from `starts` to before `ends` (negative: from the end) along `axes` (default: the first ones). */
export const slice = (
  x: Tensor,
  starts: IntegerList,
  ends: IntegerList,
  axes?: IntegerList,
  steps?: IntegerList,
): Tensor =>
  apply(
    SLICE,
    [x, starts, ends, axes, steps].map((list, index) =>
      index === 0 ? x : integerList(x.graph, list as IntegerList | undefined),
    ),
  );

export interface PadOptions {
  readonly mode?: 'constant' | 'reflect' | 'edge' | 'wrap';
  /** Value of new elements in mode `constant`; default: 0. */
  readonly value?: Operand;
  /** Padded axes; default: all. */
  readonly axes?: IntegerList;
}
/** Add elements around a tensor: all begins, then all ends; negative numbers crop. */
export const pad = (x: Tensor, pads: IntegerList, options: PadOptions = {}): Tensor =>
  apply(PAD, [x, integerList(x.graph, pads), options.value, integerList(x.graph, options.axes)], {
    mode: options.mode,
  });
/** Repeat along every axis. */
export const tile = (x: Tensor, repeats: IntegerList): Tensor => apply(TILE, [x, integerList(x.graph, repeats)]);
/** [n, c·b², h, w] → [n, c, h·b, w·b]. */
export const depthToSpace = (x: Tensor, blockSize: number, mode?: 'DCR' | 'CRD'): Tensor =>
  apply(DEPTH_TO_SPACE, [x], { blocksize: blockSize, mode });
/** [n, c, h·b, w·b] → [n, c·b², h, w]. */
export const spaceToDepth = (x: Tensor, blockSize: number): Tensor =>
  apply(SPACE_TO_DEPTH, [x], { blocksize: blockSize });
/** Upper (default) or lower triangle of the last two axes, zeros elsewhere. */
export const trilu = (
  x: Tensor,
  options: { readonly upper?: boolean; readonly diagonal?: number | Tensor | undefined } = {},
): Tensor => {
  const { diagonal } = options;
  return apply(TRILU, [x, typeof diagonal === 'number' ? x.graph.constant(diagonal, 'int64') : diagonal], {
    upper: flag(options.upper),
  });
};
/** Reverse the first `lengths[i]` steps of every sequence of a batch. */
export const reverseSequence = (
  x: Tensor,
  lengths: Tensor,
  options: { readonly batchAxis?: number; readonly timeAxis?: number } = {},
): Tensor => apply(REVERSE_SEQUENCE, [x, lengths], { batch_axis: options.batchAxis, time_axis: options.timeAxis });
