import type { Dim } from '../dimension.js';
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
