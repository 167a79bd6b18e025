import { apply, applyNode } from '../apply.js';
import type { DataType } from '../data-type.js';
import { dimMultiply, dimText, isStatic, type Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema, TensorType } from '../schema.js';
import { normalizeAxis, shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, INDICES, NUMBERS } from '../type-sets.js';
import { requireFilled } from './checks.js';
import { flag, integerList, type IntegerList } from './operands.js';

/** The `axis` attribute as a valid index into `x`. */
function axisOf(context: InferenceContext, x: Tensor, name = 'axis'): number {
  const axis = context.node.int(name);
  if (axis < -x.rank || axis >= x.rank) context.fail(`axis ${axis} is out of range for ${shapeText(x.shape)}`);
  return normalizeAxis(axis, x.rank);
}

/** Axes given as an input, checked and non-negative; undefined when the input is absent. */
export function inputAxes(context: InferenceContext, index: number, rank: number): readonly number[] | undefined {
  if (context.inputs[index] === undefined) return undefined;
  const axes = context.staticElements(index, 'the axes').map((axis) => {
    if (axis < -rank || axis >= rank) context.fail(`axis ${axis} is out of range for rank ${rank}`);
    return normalizeAxis(axis, rank);
  });
  if (new Set(axes).size !== axes.length) context.fail(`the axes [${axes.join(', ')}] repeat`);
  return axes;
}

const reduction = (type: string, since: number, types: readonly DataType[] = NUMBERS): OperatorSchema => ({
  type,
  since,
  inputs: [
    { name: 'data', types, typeVariable: 'T' },
    { name: 'axes', types: ['int64'], optional: true },
  ],
  attributes: { keepdims: { kind: 'int', default: 1 }, noop_with_empty_axes: { kind: 'int', default: 0 } },
  infer(context): TensorType[] {
    const x = context.input(0);
    const given = inputAxes(context, 1, x.rank) ?? [];
    const none = given.length === 0 && context.node.int('noop_with_empty_axes') === 1;
    const reduced = (axis: number): boolean => !none && (given.length === 0 || given.includes(axis));
    const keep = context.node.int('keepdims') === 1;
    const shape: Dim[] = [];
    x.shape.forEach((dim, axis) => {
      if (!reduced(axis)) shape.push(dim);
      else if (keep) shape.push(1);
    });
    const elements = type === 'ReduceProd' && x.rank === 1 && reduced(0) ? context.elements(0) : undefined;
    return [
      {
        dataType: x.dataType,
        shape,
        elements: elements === undefined ? undefined : [elements.reduce<Dim>(dimMultiply, 1)],
      },
    ];
  },
});

const ACCUMULABLE: readonly DataType[] = [...FLOATS, 'int32', 'int64', 'uint32', 'uint64'];
const REDUCE_SUM = reduction('ReduceSum', 13, ACCUMULABLE);
const REDUCE_MEAN = reduction('ReduceMean', 18, ACCUMULABLE);
const REDUCE_MAX = reduction('ReduceMax', 20, [...ACCUMULABLE, 'int8', 'uint8', 'bool']);
const REDUCE_MIN = reduction('ReduceMin', 20, [...ACCUMULABLE, 'int8', 'uint8', 'bool']);
const REDUCE_PROD = reduction('ReduceProd', 18, ACCUMULABLE);
const REDUCE_L1 = reduction('ReduceL1', 18, ACCUMULABLE);
const REDUCE_L2 = reduction('ReduceL2', 18, ACCUMULABLE);
const REDUCE_LOG_SUM = reduction('ReduceLogSum', 18, ACCUMULABLE);
const REDUCE_LOG_SUM_EXP = reduction('ReduceLogSumExp', 18, ACCUMULABLE);
const REDUCE_SUM_SQUARE = reduction('ReduceSumSquare', 18, ACCUMULABLE);

const argument = (type: string): OperatorSchema => ({
  type,
  since: 13,
  inputs: [{ name: 'data', types: NUMBERS }],
  attributes: {
    axis: { kind: 'int', default: 0 },
    keepdims: { kind: 'int', default: 1 },
    select_last_index: { kind: 'int', default: 0 },
  },
  infer(context) {
    const x = context.input(0);
    const axis = axisOf(context, x);
    const keep = context.node.int('keepdims') === 1;
    return [
      {
        dataType: 'int64',
        shape: keep ? x.shape.map((dim, at) => (at === axis ? 1 : dim)) : x.shape.filter((_, at) => at !== axis),
      },
    ];
  },
});
const ARG_MAX = argument('ArgMax');
const ARG_MIN = argument('ArgMin');

const alongAxis = (type: string, since: number, otherwise: number): OperatorSchema => ({
  type,
  since,
  inputs: [{ name: 'input', types: FLOATS, typeVariable: 'T' }],
  attributes: { axis: { kind: 'int', default: otherwise } },
  infer(context) {
    const x = context.input(0);
    axisOf(context, x);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
});
const SOFTMAX = alongAxis('Softmax', 13, -1);
const LOG_SOFTMAX = alongAxis('LogSoftmax', 13, -1);
const HARDMAX = alongAxis('Hardmax', 13, -1);

const CUM_SUM: OperatorSchema = {
  type: 'CumSum',
  since: 14,
  inputs: [
    { name: 'x', types: ACCUMULABLE, typeVariable: 'T' },
    { name: 'axis', types: INDICES },
  ],
  attributes: { exclusive: { kind: 'int', default: 0 }, reverse: { kind: 'int', default: 0 } },
  infer(context) {
    const x = context.input(0);
    const axis = context.elements(1)?.[0];
    if (axis !== undefined && isStatic(axis) && (axis < -x.rank || axis >= x.rank))
      context.fail(`axis ${axis} is out of range for ${shapeText(x.shape)}`);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

const TOP_K: OperatorSchema = {
  type: 'TopK',
  since: 11,
  inputs: [
    { name: 'X', types: NUMBERS, typeVariable: 'T' },
    { name: 'K', types: ['int64'] },
  ],
  attributes: {
    axis: { kind: 'int', default: -1 },
    largest: { kind: 'int', default: 1 },
    sorted: { kind: 'int', default: 1 },
  },
  outputs: [2, 2],
  infer(context) {
    const x = context.input(0);
    const axis = axisOf(context, x);
    requireFilled(context, x.shape, 'the input');
    const count = context.elements(1)?.[0] ?? context.unknownDim('top_k');
    const size = x.shape[axis] as Dim;
    if (isStatic(count) && isStatic(size) && (count > size || count < 0))
      context.fail(`k = ${dimText(count)} is not between 0 and the ${dimText(size)} elements of axis ${axis}`);
    const shape = x.shape.map((dim, at) => (at === axis ? count : dim));
    return [
      { dataType: x.dataType, shape },
      { dataType: 'int64', shape },
    ];
  },
};

export const reductionSchemas: readonly OperatorSchema[] = [
  REDUCE_SUM,
  REDUCE_MEAN,
  REDUCE_MAX,
  REDUCE_MIN,
  REDUCE_PROD,
  REDUCE_L1,
  REDUCE_L2,
  REDUCE_LOG_SUM,
  REDUCE_LOG_SUM_EXP,
  REDUCE_SUM_SQUARE,
  ARG_MAX,
  ARG_MIN,
  SOFTMAX,
  LOG_SOFTMAX,
  HARDMAX,
  CUM_SUM,
  TOP_K,
];

export interface ReductionOptions {
  /** Keep reduced axes with size 1; default: true, as in ONNX. */
  readonly keepDims?: boolean;
  /** With empty axes, reduce none instead of all; default: false. */
  readonly noopWithEmptyAxes?: boolean;
}

/** A reduction over `axes` (default: all). */
export type Reduction = (x: Tensor, axes?: IntegerList, options?: ReductionOptions) => Tensor;

const reduce =
  (schema: OperatorSchema): Reduction =>
  (x, axes, options = {}) =>
    apply(schema, [x, integerList(x.graph, axes)], {
      keepdims: flag(options.keepDims),
      noop_with_empty_axes: flag(options.noopWithEmptyAxes),
    });

export const reduceSum: Reduction = reduce(REDUCE_SUM);
export const reduceMean: Reduction = reduce(REDUCE_MEAN);
export const reduceMax: Reduction = reduce(REDUCE_MAX);
export const reduceMin: Reduction = reduce(REDUCE_MIN);
export const reduceProd: Reduction = reduce(REDUCE_PROD);
export const reduceL1: Reduction = reduce(REDUCE_L1);
export const reduceL2: Reduction = reduce(REDUCE_L2);
export const reduceLogSum: Reduction = reduce(REDUCE_LOG_SUM);
export const reduceLogSumExp: Reduction = reduce(REDUCE_LOG_SUM_EXP);
export const reduceSumSquare: Reduction = reduce(REDUCE_SUM_SQUARE);

export interface ArgumentOptions {
  /** Default: true, as in ONNX. */
  readonly keepDims?: boolean;
  /** Of equal elements, take the last; default: the first. */
  readonly selectLastIndex?: boolean;
}
const argumentAttributes = (axis: number, options: ArgumentOptions) => ({
  axis,
  keepdims: flag(options.keepDims),
  select_last_index: flag(options.selectLastIndex),
});
/** Index (int64) of the largest element along an axis. */
export const argMax = (x: Tensor, axis: number, options: ArgumentOptions = {}): Tensor =>
  apply(ARG_MAX, [x], argumentAttributes(axis, options));
/** Index (int64) of the smallest element along an axis. */
export const argMin = (x: Tensor, axis: number, options: ArgumentOptions = {}): Tensor =>
  apply(ARG_MIN, [x], argumentAttributes(axis, options));

export const softmax = (x: Tensor, axis = -1): Tensor => apply(SOFTMAX, [x], { axis });
export const logSoftmax = (x: Tensor, axis = -1): Tensor => apply(LOG_SOFTMAX, [x], { axis });
/** One at the first maximum of an axis, zero elsewhere. */
export const hardmax = (x: Tensor, axis = -1): Tensor => apply(HARDMAX, [x], { axis });

/** Running sum along an axis. */
export const cumSum = (
  x: Tensor,
  axis: number | Tensor,
  options: { readonly exclusive?: boolean; readonly reverse?: boolean } = {},
): Tensor =>
  apply(CUM_SUM, [x, typeof axis === 'number' ? x.graph.constant(axis, 'int64') : axis], {
    exclusive: flag(options.exclusive),
    reverse: flag(options.reverse),
  });

/** The `k` largest (or smallest) elements along an axis with their indices; the lower index first among equals. */
export function topK(
  x: Tensor,
  k: number | Tensor,
  options: { readonly axis?: number; readonly largest?: boolean; readonly sorted?: boolean } = {},
): { values: Tensor; indices: Tensor } {
  const [values, indices] = applyNode(TOP_K, [x, typeof k === 'number' ? x.graph.ints([k]) : k], {
    axis: options.axis,
    largest: flag(options.largest),
    sorted: flag(options.sorted),
  }).outputs as readonly [Tensor, Tensor];
  return { values, indices };
}
