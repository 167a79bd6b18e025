import { elementCount, emptyTensor, writeElement, type DataType } from '../data-type.js';
import { dimEquals, dimProduct, isStatic, type Dim } from '../dimension.js';
import type { Graph } from '../graph.js';
import { isStaticShape, shapeEquals } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { mul } from './arithmetic.js';
import { cast, constantOfShape, shapeNode } from './creation.js';
import { sqrt, reciprocal } from './elementwise.js';
import { gemm } from './matrix.js';
import { reduceProd, reduceSum } from './reductions.js';
import { concat, expand, reshape, unsqueeze } from './shape-operators.js';

/** Most elements of a constant that is stored rather than computed at run time. */
const STORED_ELEMENTS = 1024;

/** The shape of a tensor as an int64 vector: a constant where it is known, nodes where it is not. */
export const shapeOf = (x: Tensor): Tensor => (isStaticShape(x.shape) ? x.graph.ints(x.shape) : shapeNode(x));

/** Number of elements along `axes` (default: all) as a scalar of the element type of `x`; constant where known. */
export function sizeOf(x: Tensor, axes?: readonly number[]): Tensor {
  const over = (axes ?? x.shape.map((_, axis) => axis)).map((axis) => (axis < 0 ? axis + x.rank : axis));
  const known = dimProduct(over.map((axis) => x.shape[axis] as Dim));
  if (isStatic(known)) return x.graph.constant(known, x.dataType);
  const sizes = over.map((axis) => shapeNode(x, { start: axis, end: axis + 1 }));
  return cast(
    reduceProd(sizes.length === 1 ? (sizes[0] as Tensor) : concat(sizes, 0), undefined, { keepDims: false }),
    x.dataType,
  );
}

/** A tensor of `shape` filled with one value. */
export function fill(graph: Graph, shape: readonly number[], value: number, dataType: DataType = 'float32'): Tensor {
  if (shape.length === 0) return graph.constant(value, dataType);
  if (elementCount(shape) > STORED_ELEMENTS) return constantOfShape(graph, shape, value, dataType);
  const data = emptyTensor(dataType, shape);
  for (let index = 0; index < elementCount(shape); index++) writeElement(data, index, value);
  return graph.constant(data);
}

const filledLike = (x: Tensor, value: number): Tensor =>
  isStaticShape(x.shape)
    ? fill(x.graph, x.shape, value, x.dataType)
    : constantOfShape(x.graph, shapeNode(x), value, x.dataType);
/** Zeros with the shape and element type of `x`. */
export const zerosLike = (x: Tensor): Tensor => filledLike(x, 0);
/** Ones with the shape and element type of `x`. */
export const onesLike = (x: Tensor): Tensor => filledLike(x, 1);

/** Repeat `x` along axes of size 1 so that it has the shape of `target`. */
export const broadcastTo = (x: Tensor, target: Tensor): Tensor =>
  shapeEquals(x.shape, target.shape) ? x : expand(x, shapeOf(target));

/**
 * Sum over the axes along which `target` would be repeated to reach the shape of `x`: the adjoint of broadcasting. The
 * result has the shape of `target`.
 */
export function sumTo(x: Tensor, target: Tensor): Tensor {
  if (shapeEquals(x.shape, target.shape)) return x;
  const lead = x.rank - target.rank;
  const axes: number[] = [];
  const kept: number[] = [];
  x.shape.forEach((dim, axis) => {
    const other = axis < lead ? undefined : target.shape[axis - lead];
    if (other === undefined) axes.push(axis);
    else if (other === 1 && dim !== 1) kept.push(axis);
  });
  const rows = columnSums(x, target, axes, kept);
  if (rows !== undefined) return rows;
  let result = x;
  // Leading axes go first and together with the kept ones where that avoids a reshape.
  if (kept.length > 0) result = reduceSum(result, kept, { keepDims: true });
  if (axes.length > 0) result = reduceSum(result, axes, { keepDims: false });
  if (shapeEquals(result.shape, target.shape)) return result;
  // `x` may be smaller than `target` where a value of size 1 stands for a repeated one.
  const smaller = result.shape.some((dim, axis) => dim === 1 && !dimEquals(dim, target.shape[axis] as Dim));
  return smaller ? expand(result, shapeOf(target)) : result;
}

/** Fewest rows whose columns are summed as a product with ones. */
const PRODUCT_ROWS = 64;

/**
 * All axes but the last summed away, as one product with a row of ones: kernels of products read the rows in the order of
 * memory, those of reductions do not, and take twice as long.
 */
function columnSums(x: Tensor, target: Tensor, axes: readonly number[], kept: readonly number[]): Tensor | undefined {
  const rows = dimProduct(axes.map((axis) => x.shape[axis] as Dim));
  const width = x.shape[x.rank - 1] as Dim;
  if (x.dataType !== 'float32' || kept.length > 0 || target.rank !== 1 || axes.length !== x.rank - 1) return undefined;
  if (!isStatic(rows) || !isStatic(width) || rows < PRODUCT_ROWS || width < 2) return undefined;
  return reshape(gemm(fill(x.graph, [1, rows], 1), reshape(x, [rows, width])), [width]);
}

/** Join along a new axis. */
export const stack = (parts: readonly Tensor[], axis = 0): Tensor =>
  concat(
    parts.map((part) => unsqueeze(part, [axis])),
    axis,
  );

/** x². */
export const square = (x: Tensor): Tensor => mul(x, x);
/** 1 / √x. */
export const rsqrt = (x: Tensor): Tensor => reciprocal(sqrt(x));
