import { dimMax, isStatic, type Dim } from '../dimension.js';
import type { InferenceContext } from '../schema.js';
import { shapeText, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';

/** `value` has to broadcast to `target` without enlarging it. */
export function checkBroadcastsTo(context: InferenceContext, value: Tensor, target: Shape, what: string): void {
  if (value.rank > target.length)
    context.fail(`${what} ${shapeText(value.shape)} does not broadcast to ${shapeText(target)}`);
  value.shape.forEach((dim, axis) => {
    if (dim !== 1)
      context.unify(
        target[target.length - value.rank + axis] as Dim,
        dim,
        `${what} ${shapeText(value.shape)} against ${shapeText(target)}`,
      );
  });
}

/** `value` has to have this shape. */
export function expectShape(context: InferenceContext, value: Tensor, expected: Shape, what: string): void {
  if (value.rank !== expected.length)
    context.fail(`${what} is ${shapeText(value.shape)}`, `It has to be ${shapeText(expected)}.`);
  expected.forEach((dim, axis) =>
    context.unify(dim, value.shape[axis] as Dim, `axis ${axis} of ${what} ${shapeText(value.shape)}`),
  );
}

/** `value` has no axis of size 0, as far as its sizes are known. For operators that the runtime refuses to run on one. */
export function refuseEmpty(context: InferenceContext, shape: Shape, what: string): void {
  if (shape.some((dim) => isStatic(dim) && dim < 1))
    context.fail(`${what} ${shapeText(shape)} is empty`, 'ONNX Runtime cannot run this operator on empty tensors.');
}

/**
 * {@link refuseEmpty} for operators on which ONNX Runtime 1.30 kills the process: symbolic sizes are noted as well, so
 * that a run checks them (a size equals its maximum with 1).
 */
export function requireFilled(context: InferenceContext, shape: Shape, what: string): void {
  refuseEmpty(context, shape, what);
  for (const dim of shape)
    if (!isStatic(dim))
      context.node.graph.assume(dim, dimMax(dim, 1), `${context.node.type}: ${what} must not be empty`);
}
