import { apply } from '../apply.js';
import type { Dim } from '../dimension.js';
import type { OperatorSchema } from '../schema.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { NUMBERS } from '../type-sets.js';

const MAT_MUL: OperatorSchema = {
  type: 'MatMul',
  since: 13,
  inputs: [
    { name: 'A', types: NUMBERS, typeVariable: 'T' },
    { name: 'B', types: NUMBERS, typeVariable: 'T' },
  ],
  infer(context) {
    const a = context.input(0);
    const b = context.input(1);
    if (a.rank === 0 || b.rank === 0)
      context.fail(`a scalar cannot be a matrix factor: ${shapeText(a.shape)} · ${shapeText(b.shape)}`);
    // As in numpy.matmul: a vector is a row on the left and a column on the right, and its axis disappears.
    const left: readonly Dim[] = a.rank === 1 ? [1, ...a.shape] : a.shape;
    const right: readonly Dim[] = b.rank === 1 ? [...b.shape, 1] : b.shape;
    context.unify(
      left[left.length - 1] as Dim,
      right[right.length - 2] as Dim,
      `inner dimensions of ${shapeText(a.shape)} · ${shapeText(b.shape)}`,
    );
    const batch = context.broadcast(left.slice(0, -2), right.slice(0, -2));
    const rows = a.rank === 1 ? [] : [left[left.length - 2] as Dim];
    const columns = b.rank === 1 ? [] : [right[right.length - 1] as Dim];
    return [{ dataType: a.dataType, shape: [...batch, ...rows, ...columns] }];
  },
};

export const matrixSchemas: readonly OperatorSchema[] = [MAT_MUL];

/** Matrix product over the last two axes, leading axes broadcast (as `numpy.matmul`). */
export const matMul = (a: Tensor, b: Tensor): Tensor => apply(MAT_MUL, [a, b]);
