import { dimEquals, dimProduct, dimSubstitute, dimText, isStatic, type Dim } from './dimension.js';
import { UpdraftError, type UpdraftErrorOptions } from './errors.js';

/** Dimensions of a symbolic tensor; `[]` is a scalar. The rank is always known. */
export type Shape = readonly Dim[];

/** Operands of an operator do not fit together. The message shows the shapes and the expression. */
export class ShapeError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('shape', message, options);
  }
}

export const shapeText = (shape: Shape): string => `[${shape.map(dimText).join(', ')}]`;
export const shapeEquals = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((dim, index) => dimEquals(dim, b[index] as Dim));
export const isStaticShape = (shape: Shape): shape is readonly number[] => shape.every(isStatic);
export const shapeSize = (shape: Shape): Dim => dimProduct(shape);
export const substituteShape = (shape: Shape, bindings: ReadonlyMap<string, Dim>): Shape =>
  shape.map((dim) => dimSubstitute(dim, bindings));

/** `axis` in `[-rank, rank)` as a non-negative index. */
export function normalizeAxis(axis: number, rank: number, what = 'axis'): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new ShapeError(`${what} ${axis} is out of range for a tensor of rank ${rank}.`, {
      hint: rank === 0 ? 'A scalar has no axes.' : `Use an integer from ${-rank} to ${rank - 1}.`,
    });
  return axis < 0 ? axis + rank : axis;
}

/** Two different dimensions that a graph takes to be equal because broadcasting demands it. */
export interface DimAssumption {
  readonly left: Dim;
  readonly right: Dim;
  readonly where: string;
}

/**
 * Result of NumPy-style broadcasting of one pair of dimensions. Two sizes that differ in writing but may be equal at
 * run time (`n` and `5`, `n` and `m`) are taken to be equal; `assume` hears of it so that the run can check.
 */
export function broadcastDim(a: Dim, b: Dim, assume?: (left: Dim, right: Dim) => void): Dim | undefined {
  if (dimEquals(a, b)) return a;
  if (a === 1) return b;
  if (b === 1) return a;
  if (isStatic(a) && isStatic(b)) return undefined;
  assume?.(a, b);
  return isStatic(b) ? b : a;
}

/** Shape of the broadcast of all shapes (multidirectional). Throws {@link ShapeError}. */
export function broadcastShapes(shapes: readonly Shape[], assume?: (left: Dim, right: Dim) => void): Shape {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result: Dim[] = new Array<Dim>(rank).fill(1);
  for (const shape of shapes)
    shape.forEach((dim, index) => {
      const at = rank - shape.length + index;
      const merged = broadcastDim(result[at] as Dim, dim, assume);
      if (merged === undefined)
        throw new ShapeError(
          `Shapes ${shapes.map(shapeText).join(' and ')} do not broadcast: ${dimText(result[at] as Dim)} and ${dimText(dim)} differ on axis ${at - rank}.`,
          { hint: 'Dimensions must be equal or 1, counted from the last axis.' },
        );
      result[at] = merged;
    });
  return result;
}
