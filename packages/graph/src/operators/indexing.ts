import { apply, applyNode } from '../apply.js';
import type { DataType } from '../data-type.js';
import { isStatic, type Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { INDICES, NUMBERS } from '../type-sets.js';

function axisOf(context: InferenceContext, rank: number): number {
  const axis = context.node.int('axis');
  if (axis < -rank || axis >= rank) context.fail(`axis ${axis} is out of range for rank ${rank}`);
  return axis < 0 ? axis + rank : axis;
}

const GATHER: OperatorSchema = {
  type: 'Gather',
  since: 13,
  inputs: [{ name: 'data' }, { name: 'indices', types: INDICES }],
  attributes: { axis: { kind: 'int', default: 0 } },
  infer(context) {
    const [data, indices] = [context.input(0), context.input(1)];
    const axis = axisOf(context, data.rank);
    const contents = data.rank === 1 ? context.elements(0) : undefined;
    const picks = indices.rank <= 1 ? context.elements(1) : undefined;
    const elements =
      contents === undefined ? undefined : picks?.map((pick) => (isStatic(pick) ? contents.at(pick) : undefined));
    return [
      {
        dataType: data.dataType,
        shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)],
        elements: elements?.every((element) => element !== undefined) === true ? elements : undefined,
      },
    ];
  },
};

const GATHER_ELEMENTS: OperatorSchema = {
  type: 'GatherElements',
  since: 13,
  inputs: [{ name: 'data' }, { name: 'indices', types: INDICES }],
  attributes: { axis: { kind: 'int', default: 0 } },
  infer(context) {
    const [data, indices] = [context.input(0), context.input(1)];
    axisOf(context, data.rank);
    if (indices.rank !== data.rank)
      context.fail(`indices ${shapeText(indices.shape)} and data ${shapeText(data.shape)} differ in rank`);
    return [{ dataType: data.dataType, shape: indices.shape }];
  },
};

const GATHER_ND: OperatorSchema = {
  type: 'GatherND',
  since: 13,
  inputs: [{ name: 'data' }, { name: 'indices', types: ['int64'] }],
  attributes: { batch_dims: { kind: 'int', default: 0 } },
  infer(context) {
    const [data, indices] = [context.input(0), context.input(1)];
    const batch = context.node.int('batch_dims');
    const depth = indices.shape[indices.rank - 1];
    if (depth === undefined || !isStatic(depth) || depth + batch > data.rank)
      return context.fail(`indices ${shapeText(indices.shape)} do not index data ${shapeText(data.shape)}`);
    return [{ dataType: data.dataType, shape: [...indices.shape.slice(0, -1), ...data.shape.slice(batch + depth)] }];
  },
};

const REDUCTION = { kind: 'string', default: 'none', values: ['none', 'add', 'mul', 'max', 'min'] } as const;

const SCATTER_ELEMENTS: OperatorSchema = {
  type: 'ScatterElements',
  since: 18,
  inputs: [
    { name: 'data', typeVariable: 'T' },
    { name: 'indices', types: INDICES },
    { name: 'updates', typeVariable: 'T' },
  ],
  attributes: { axis: { kind: 'int', default: 0 }, reduction: REDUCTION },
  infer(context) {
    const [data, indices, updates] = [context.input(0), context.input(1), context.input(2)];
    axisOf(context, data.rank);
    if (indices.rank !== data.rank || updates.rank !== data.rank)
      context.fail(
        `data ${shapeText(data.shape)}, indices ${shapeText(indices.shape)} and updates ${shapeText(updates.shape)} differ in rank`,
      );
    indices.shape.forEach((dim, axis) => {
      context.unify(dim, updates.shape[axis] as Dim, `axis ${axis} of indices and updates`);
    });
    return [{ dataType: data.dataType, shape: data.shape }];
  },
};

const SCATTER_ND: OperatorSchema = {
  type: 'ScatterND',
  since: 18,
  inputs: [
    { name: 'data', typeVariable: 'T' },
    { name: 'indices', types: ['int64'] },
    { name: 'updates', typeVariable: 'T' },
  ],
  attributes: { reduction: REDUCTION },
  infer(context) {
    const [data, indices, updates] = [context.input(0), context.input(1), context.input(2)];
    const depth = indices.shape[indices.rank - 1];
    if (depth === undefined || !isStatic(depth) || depth > data.rank)
      return context.fail(`indices ${shapeText(indices.shape)} do not index data ${shapeText(data.shape)}`);
    const expected = [...indices.shape.slice(0, -1), ...data.shape.slice(depth)];
    if (expected.length !== updates.rank)
      context.fail(`updates ${shapeText(updates.shape)} should have the shape ${shapeText(expected)}`);
    expected.forEach((dim, axis) => {
      context.unify(dim, updates.shape[axis] as Dim, `axis ${axis} of the updates ${shapeText(updates.shape)}`);
    });
    return [{ dataType: data.dataType, shape: data.shape }];
  },
};

const COMPRESS: OperatorSchema = {
  type: 'Compress',
  since: 11,
  inputs: [{ name: 'input' }, { name: 'condition', types: ['bool'] }],
  attributes: { axis: { kind: 'int' } },
  infer(context) {
    const x = context.input(0);
    const given = context.node.attribute('axis', 'int');
    const kept = context.unknownDim('kept');
    if (given === undefined) return [{ dataType: x.dataType, shape: [kept] }];
    const axis = axisOf(context, x.rank);
    return [{ dataType: x.dataType, shape: x.shape.map((dim, at) => (at === axis ? kept : dim)) }];
  },
};

const NON_ZERO: OperatorSchema = {
  type: 'NonZero',
  since: 13,
  inputs: [{ name: 'X' }],
  infer: (context) => [{ dataType: 'int64', shape: [context.input(0).rank, context.unknownDim('nonzero')] }],
};

const ONE_HOT: OperatorSchema = {
  type: 'OneHot',
  since: 11,
  inputs: [
    { name: 'indices', types: NUMBERS },
    { name: 'depth', types: NUMBERS },
    { name: 'values', typeVariable: 'T' },
  ],
  attributes: { axis: { kind: 'int', default: -1 } },
  infer(context) {
    const indices = context.input(0);
    const axis = axisOf(context, indices.rank + 1);
    const depth = context.elements(1)?.[0] ?? context.unknownDim('depth');
    const shape = [...indices.shape];
    shape.splice(axis, 0, depth);
    return [{ dataType: context.input(2).dataType, shape }];
  },
};

const UNIQUE: OperatorSchema = {
  type: 'Unique',
  since: 11,
  inputs: [{ name: 'X' }],
  attributes: { axis: { kind: 'int' }, sorted: { kind: 'int', default: 1 } },
  outputs: [1, 4],
  infer(context) {
    const x = context.input(0);
    const count = context.unknownDim('unique');
    const given = context.node.attribute('axis', 'int');
    const all = { dataType: 'int64' as DataType };
    const shape =
      given === undefined ? [count] : x.shape.map((dim, at) => (at === axisOf(context, x.rank) ? count : dim));
    const total = given === undefined ? context.unknownDim('elements') : (x.shape[axisOf(context, x.rank)] as Dim);
    return [
      { dataType: x.dataType, shape },
      { ...all, shape: [count] },
      { ...all, shape: [total] },
      { ...all, shape: [count] },
    ];
  },
};

export const indexingSchemas: readonly OperatorSchema[] = [
  GATHER,
  GATHER_ELEMENTS,
  GATHER_ND,
  SCATTER_ELEMENTS,
  SCATTER_ND,
  COMPRESS,
  NON_ZERO,
  ONE_HOT,
  UNIQUE,
];

export type ScatterReduction = 'none' | 'add' | 'mul' | 'max' | 'min';

/** Slices of `data` at integer positions of an axis (negative: from the end). */
export const gather = (data: Tensor, indices: Tensor, axis = 0): Tensor => apply(GATHER, [data, indices], { axis });
/** out[i][j] = data[indices[i][j]][j] for axis 0, and so on. */
export const gatherElements = (data: Tensor, indices: Tensor, options: { readonly axis?: number } = {}): Tensor =>
  apply(GATHER_ELEMENTS, [data, indices], { axis: options.axis });
/** Slices of `data` at the coordinates in the last axis of `indices`. */
export const gatherND = (data: Tensor, indices: Tensor, options: { readonly batchDims?: number } = {}): Tensor =>
  apply(GATHER_ND, [data, indices], { batch_dims: options.batchDims });
/** A copy of `data` with `updates` written (or combined) at the positions that {@link gatherElements} would read. */
export const scatterElements = (
  data: Tensor,
  indices: Tensor,
  updates: Tensor,
  options: { readonly axis?: number; readonly reduction?: ScatterReduction } = {},
): Tensor =>
  apply(SCATTER_ELEMENTS, [data, indices, updates], {
    axis: options.axis,
    reduction: options.reduction === 'none' ? undefined : options.reduction,
  });
/** A copy of `data` with slices written (or combined) at the coordinates in the last axis of `indices`. */
export const scatterND = (
  data: Tensor,
  indices: Tensor,
  updates: Tensor,
  options: { readonly reduction?: ScatterReduction } = {},
): Tensor =>
  apply(SCATTER_ND, [data, indices, updates], {
    reduction: options.reduction === 'none' ? undefined : options.reduction,
  });
/** Slices of an axis (default: of the flattened tensor) where the condition holds. */
export const compress = (x: Tensor, condition: Tensor, axis?: number): Tensor =>
  apply(COMPRESS, [x, condition], { axis });
/** Coordinates (int64, [rank, count]) of non-zero elements. */
export const nonZero = (x: Tensor): Tensor => apply(NON_ZERO, [x]);
/** `values` = [off, on] at the positions that `indices` name along a new axis of size `depth`. */
export const oneHot = (indices: Tensor, depth: number, values: Tensor, axis = -1): Tensor =>
  apply(ONE_HOT, [indices, indices.graph.ints([depth]), values], { axis });
/** Distinct elements (or slices of an axis), sorted, with first positions, inverse positions and counts. */
export function unique(x: Tensor, axis?: number): { values: Tensor; indices: Tensor; inverse: Tensor; counts: Tensor } {
  const [values, indices, inverse, counts] = applyNode(UNIQUE, [x], { axis }, { outputs: 4 }).outputs as readonly [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  return { values, indices, inverse, counts };
}
