import { apply, type Operand } from '../apply.js';
import { dimAdd, dimFloorDivide, dimMultiply, dimSubtract, isStatic, type Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema, TensorType } from '../schema.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, NUMBERS } from '../type-sets.js';

/** Integer arithmetic on symbolically known contents: what makes shape computations of imported graphs fold. */
function combineElements(
  context: InferenceContext,
  combine: ((a: Dim, b: Dim) => Dim) | undefined,
): readonly Dim[] | undefined {
  const left = context.elements(0);
  const right = context.elements(1);
  if (combine === undefined || left === undefined || right === undefined) return undefined;
  if (left.length !== right.length && left.length !== 1 && right.length !== 1) return undefined;
  const length = left.length === 1 ? right.length : left.length;
  const limit = context.input(0).dataType === 'int64' ? Number.MAX_SAFE_INTEGER : 2 ** 31 - 1;
  // Beyond these numbers are not exact, or the runtime wraps around.
  const exact = (dim: Dim): boolean => !isStatic(dim) || Math.abs(dim) <= limit;
  if (!left.every(exact) || !right.every(exact)) return undefined;
  const result = Array.from({ length }, (_, index) =>
    combine(left[left.length === 1 ? 0 : index] as Dim, right[right.length === 1 ? 0 : index] as Dim),
  );
  return result.every(exact) ? result : undefined;
}

/** ONNX divides integers towards zero; sizes are not negative, so that symbols may use the floor. */
const divideElements = (a: Dim, b: Dim): Dim =>
  isStatic(a) && isStatic(b) && b !== 0 ? Math.trunc(a / b) + 0 : dimFloorDivide(a, b);

function binary(type: string, since: number, combine?: (a: Dim, b: Dim) => Dim): OperatorSchema {
  return {
    type,
    since,
    inputs: [
      { name: 'A', types: NUMBERS, typeVariable: 'T' },
      { name: 'B', types: NUMBERS, typeVariable: 'T' },
    ],
    infer(context): TensorType[] {
      const a = context.input(0);
      const b = context.input(1);
      return [
        {
          dataType: a.dataType,
          shape: context.broadcast(a.shape, b.shape),
          elements: combineElements(context, combine),
        },
      ];
    },
  };
}

const ADD = binary('Add', 14, dimAdd);
const SUB = binary('Sub', 14, dimSubtract);
const MUL = binary('Mul', 14, dimMultiply);
const DIV = binary('Div', 14, divideElements);
const POW: OperatorSchema = {
  type: 'Pow',
  since: 15,
  inputs: [
    { name: 'X', types: ['int32', 'int64', ...FLOATS], typeVariable: 'T' },
    { name: 'Y', types: NUMBERS },
  ],
  infer(context) {
    return [
      {
        dataType: context.input(0).dataType,
        shape: context.broadcast(context.input(0).shape, context.input(1).shape),
      },
    ];
  },
};

export const arithmeticSchemas: readonly OperatorSchema[] = [ADD, SUB, MUL, DIV, POW];

/** Elementwise `a + b` with broadcasting. */
export const add = (a: Operand, b: Operand): Tensor => apply(ADD, [a, b]);
/** Elementwise `a - b` with broadcasting. */
export const sub = (a: Operand, b: Operand): Tensor => apply(SUB, [a, b]);
/** Elementwise `a * b` with broadcasting. */
export const mul = (a: Operand, b: Operand): Tensor => apply(MUL, [a, b]);
/** Elementwise `a / b` with broadcasting; integers divide towards zero. */
export const div = (a: Operand, b: Operand): Tensor => apply(DIV, [a, b]);
/** Elementwise `base ** exponent` with broadcasting, in the element type of the base. */
export const pow = (base: Tensor, exponent: Operand): Tensor => apply(POW, [base, exponent]);
