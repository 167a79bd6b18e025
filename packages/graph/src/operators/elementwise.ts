import { apply, type Operand } from '../apply.js';
import type { AttributeSchema } from '../schema.js';
import { dimMax, dimMin, dimMultiply, dimSubtract, isStatic, type Dim } from '../dimension.js';
import type { DataType } from '../data-type.js';
import type { InferenceContext, OperatorSchema, TensorType } from '../schema.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, INTEGERS, NUMBERS, SIGNED } from '../type-sets.js';

const sameAsFirst = (context: InferenceContext): TensorType[] => [
  { dataType: context.input(0).dataType, shape: context.input(0).shape },
];

/** An operator on one tensor whose output has the same shape and element type. */
const unary = (
  type: string,
  since: number,
  types: readonly DataType[] = FLOATS,
  attributes?: Readonly<Record<string, AttributeSchema>>,
): OperatorSchema => ({
  type,
  since,
  inputs: [{ name: 'X', types, typeVariable: 'T' }],
  ...(attributes === undefined ? {} : { attributes }),
  infer: sameAsFirst,
});

const float = (value: number): AttributeSchema => ({ kind: 'float', default: value });

const ABS = unary('Abs', 13, NUMBERS);
const NEG = unary('Neg', 13, SIGNED);
const SIGN = unary('Sign', 13, NUMBERS);
const RECIPROCAL = unary('Reciprocal', 13);
const SQRT = unary('Sqrt', 13);
const EXP = unary('Exp', 13);
const LOG = unary('Log', 13);
const FLOOR = unary('Floor', 13);
const CEIL = unary('Ceil', 13);
const ROUND = unary('Round', 11);
const SIN = unary('Sin', 7);
const COS = unary('Cos', 7);
const TAN = unary('Tan', 7);
const ASIN = unary('Asin', 7);
const ACOS = unary('Acos', 7);
const ATAN = unary('Atan', 7);
const SINH = unary('Sinh', 9);
const COSH = unary('Cosh', 9);
const TANH = unary('Tanh', 13);
const ASINH = unary('Asinh', 9);
const ACOSH = unary('Acosh', 9);
const ATANH = unary('Atanh', 9);
const ERF = unary('Erf', 13, NUMBERS);
const RELU = unary('Relu', 14, SIGNED);
const LEAKY_RELU = unary('LeakyRelu', 16, FLOATS, { alpha: float(0.01) });
const ELU = unary('Elu', 6, FLOATS, { alpha: float(1) });
const SELU = unary('Selu', 6, FLOATS, { alpha: float(1.6732631921768188), gamma: float(1.0507010221481323) });
const CELU = unary('Celu', 12, ['float32'], { alpha: float(1) });
const THRESHOLDED_RELU = unary('ThresholdedRelu', 10, FLOATS, { alpha: float(1) });
const HARD_SIGMOID = unary('HardSigmoid', 6, FLOATS, { alpha: float(0.2), beta: float(0.5) });
const HARD_SWISH = unary('HardSwish', 14);
const SIGMOID = unary('Sigmoid', 13);
const SOFTPLUS = unary('Softplus', 1);
const SOFTSIGN = unary('Softsign', 1);
const GELU = unary('Gelu', 20, FLOATS, {
  approximate: { kind: 'string', default: 'none', values: ['none', 'tanh'] },
});
const MISH = unary('Mish', 18);
const SHRINK = unary('Shrink', 9, NUMBERS, { bias: float(0), lambd: float(0.5) });
const SWISH = unary('Swish', 24, FLOATS, { alpha: float(1) });
const BITWISE_NOT = unary('BitwiseNot', 18, INTEGERS);
const NOT = unary('Not', 1, ['bool']);

const test = (type: string, since: number, attributes?: Readonly<Record<string, AttributeSchema>>): OperatorSchema => ({
  ...unary(type, since, FLOATS, attributes),
  infer: (context) => [{ dataType: 'bool', shape: context.input(0).shape }],
});
const IS_NAN = test('IsNaN', 20);
const IS_INF = test('IsInf', 20, {
  detect_negative: { kind: 'int', default: 1 },
  detect_positive: { kind: 'int', default: 1 },
});

/** Broadcasting operator on two tensors of one element type. */
const binary = (
  type: string,
  since: number,
  types: readonly DataType[],
  output?: DataType,
  attributes?: Readonly<Record<string, AttributeSchema>>,
  decide?: (a: Dim, b: Dim) => boolean | undefined,
): OperatorSchema => ({
  type,
  since,
  inputs: [
    { name: 'A', types, typeVariable: 'T' },
    { name: 'B', types, typeVariable: 'T' },
  ],
  ...(attributes === undefined ? {} : { attributes }),
  infer: (context) => [
    {
      dataType: output ?? context.input(0).dataType,
      shape: context.broadcast(context.input(0).shape, context.input(1).shape),
      elements: decided(context, decide),
    },
  ],
});

/** Results of a comparison of sizes, as 0 and 1, where all of them are certain: files branch on them. */
function decided(
  context: InferenceContext,
  decide?: (a: Dim, b: Dim) => boolean | undefined,
): readonly Dim[] | undefined {
  if (decide === undefined) return undefined;
  const [left, right] = [context.elements(0), context.elements(1)];
  if (
    left === undefined ||
    right === undefined ||
    (left.length !== right.length && left.length !== 1 && right.length !== 1)
  )
    return undefined;
  const results = Array.from({ length: left.length === 1 ? right.length : left.length }, (_, index) =>
    decide(left[left.length === 1 ? 0 : index] as Dim, right[right.length === 1 ? 0 : index] as Dim),
  );
  return results.every((result) => result !== undefined) ? results.map(Number) : undefined;
}

/** A number with the sign of a difference of sizes, where every size (which is 0 or more) leads to the same sign. */
function signOf(difference: Dim): number | undefined {
  if (isStatic(difference)) return difference;
  const atLeast = ({ terms }: Exclude<Dim, number>): number =>
    terms.every(
      ({ coefficient, factors }) =>
        factors.length === 0 || (coefficient > 0 && factors.every(({ kind }) => kind === 'symbol')),
    )
      ? (terms.find(({ factors }) => factors.length === 0)?.coefficient ?? 0)
      : -1;
  if (atLeast(difference) > 0) return 1;
  const opposite = dimMultiply(difference, -1);
  return !isStatic(opposite) && atLeast(opposite) > 0 ? -1 : undefined;
}

/** The sign of a difference decides; symbols that cancel count too. */
const compare =
  (test: (difference: number) => boolean) =>
  (a: Dim, b: Dim): boolean | undefined => {
    // Larger contents are not exact as numbers.
    if ([a, b].some((dim) => isStatic(dim) && !Number.isSafeInteger(dim))) return undefined;
    const sign = signOf(dimSubtract(a, b));
    return sign === undefined ? undefined : test(sign);
  };
const COMPARES = {
  equal: compare((difference) => difference === 0),
  greater: compare((difference) => difference > 0),
  greaterOrEqual: compare((difference) => difference >= 0),
  less: compare((difference) => difference < 0),
  lessOrEqual: compare((difference) => difference <= 0),
} as const;

const COMPARABLE: readonly DataType[] = NUMBERS;
const EQUAL = binary('Equal', 19, [...NUMBERS, 'bool', 'string'], 'bool', undefined, COMPARES.equal);
const GREATER = binary('Greater', 13, COMPARABLE, 'bool', undefined, COMPARES.greater);
const GREATER_OR_EQUAL = binary('GreaterOrEqual', 16, COMPARABLE, 'bool', undefined, COMPARES.greaterOrEqual);
const LESS = binary('Less', 13, COMPARABLE, 'bool', undefined, COMPARES.less);
const LESS_OR_EQUAL = binary('LessOrEqual', 16, COMPARABLE, 'bool', undefined, COMPARES.lessOrEqual);
const AND = binary('And', 7, ['bool']);
const OR = binary('Or', 7, ['bool']);
const XOR = binary('Xor', 7, ['bool']);
const BIT_SHIFT = binary('BitShift', 11, ['uint8', 'uint16', 'uint32', 'uint64'], undefined, {
  direction: { kind: 'string', required: true, values: ['LEFT', 'RIGHT'] },
});
const BITWISE_AND = binary('BitwiseAnd', 18, INTEGERS);
const BITWISE_OR = binary('BitwiseOr', 18, INTEGERS);
const BITWISE_XOR = binary('BitwiseXor', 18, INTEGERS);
const MOD = binary('Mod', 13, NUMBERS, undefined, { fmod: { kind: 'int', default: 0 } });
const P_RELU: OperatorSchema = {
  ...binary('PRelu', 16, NUMBERS),
  infer(context) {
    const [x, slope] = [context.input(0), context.input(1)];
    const shape = context.broadcast(x.shape, slope.shape);
    if (shape.length !== x.rank) context.fail('the slope has more axes than the input');
    return [{ dataType: x.dataType, shape: x.shape }];
  },
};

/** One output from any number of tensors that broadcast. */
const variadic = (
  type: string,
  since: number,
  types: readonly DataType[],
  combine?: (a: Dim, b: Dim) => Dim,
): OperatorSchema => ({
  type,
  since,
  inputs: [{ name: 'data', types, typeVariable: 'T', variadic: true }],
  infer(context) {
    const operands = context.inputs.map((_, index) => context.input(index));
    const known = operands.map((_, index) => context.elements(index));
    const scalars = known.every((elements) => elements?.length === 1);
    return [
      {
        dataType: context.input(0).dataType,
        shape: context.broadcast(...operands.map(({ shape }) => shape)),
        elements:
          combine !== undefined && scalars
            ? [known.map((elements) => (elements as readonly Dim[])[0] as Dim).reduce(combine)]
            : undefined,
      },
    ];
  },
});
const MAX = variadic('Max', 13, NUMBERS, dimMax);
const MIN = variadic('Min', 13, NUMBERS, dimMin);
const SUM = variadic('Sum', 13, FLOATS);
const MEAN = variadic('Mean', 13, FLOATS);

/** Contents of a choice between known sizes, where the choice is certain. */
function chosen(context: InferenceContext): readonly Dim[] | undefined {
  const [condition, x, y] = [context.inputs[0]?.elements, context.elements(1), context.elements(2)];
  if (condition === undefined || x === undefined || y === undefined) return undefined;
  const length = Math.max(condition.length, x.length, y.length);
  const at = (elements: readonly Dim[], index: number): Dim | undefined => elements[elements.length === 1 ? 0 : index];
  const result = Array.from({ length }, (_, index) => at(at(condition, index) === 0 ? y : x, index));
  return result.every((dim) => dim !== undefined) ? result : undefined;
}

const WHERE: OperatorSchema = {
  type: 'Where',
  since: 16,
  inputs: [
    { name: 'condition', types: ['bool'] },
    { name: 'X', typeVariable: 'T' },
    { name: 'Y', typeVariable: 'T' },
  ],
  infer(context) {
    const [condition, x, y] = [context.input(0), context.input(1), context.input(2)];
    return [
      { dataType: x.dataType, shape: context.broadcast(condition.shape, x.shape, y.shape), elements: chosen(context) },
    ];
  },
};

const CLIP: OperatorSchema = {
  type: 'Clip',
  since: 13,
  inputs: [
    { name: 'input', types: NUMBERS, typeVariable: 'T' },
    { name: 'min', types: NUMBERS, typeVariable: 'T', optional: true },
    { name: 'max', types: NUMBERS, typeVariable: 'T', optional: true },
  ],
  infer(context) {
    for (const index of [1, 2])
      if ((context.inputs[index]?.rank ?? 0) !== 0)
        context.fail('bounds must be scalars', 'Use minimum() and maximum() for tensors.');
    return sameAsFirst(context);
  },
};

export const elementwiseSchemas: readonly OperatorSchema[] = [
  ABS,
  NEG,
  SIGN,
  RECIPROCAL,
  SQRT,
  EXP,
  LOG,
  FLOOR,
  CEIL,
  ROUND,
  SIN,
  COS,
  TAN,
  ASIN,
  ACOS,
  ATAN,
  SINH,
  COSH,
  TANH,
  ASINH,
  ACOSH,
  ATANH,
  ERF,
  RELU,
  LEAKY_RELU,
  ELU,
  SELU,
  CELU,
  THRESHOLDED_RELU,
  HARD_SIGMOID,
  HARD_SWISH,
  SIGMOID,
  SOFTPLUS,
  SOFTSIGN,
  GELU,
  MISH,
  SHRINK,
  SWISH,
  BITWISE_NOT,
  NOT,
  IS_NAN,
  IS_INF,
  EQUAL,
  GREATER,
  GREATER_OR_EQUAL,
  LESS,
  LESS_OR_EQUAL,
  AND,
  OR,
  XOR,
  BIT_SHIFT,
  BITWISE_AND,
  BITWISE_OR,
  BITWISE_XOR,
  MOD,
  P_RELU,
  MAX,
  MIN,
  SUM,
  MEAN,
  WHERE,
  CLIP,
];

type Unary = (x: Tensor) => Tensor;
const one =
  (schema: OperatorSchema): Unary =>
  (x) =>
    apply(schema, [x]);

export const abs: Unary = one(ABS);
export const neg: Unary = one(NEG);
/** -1, 0 or 1. */
export const sign: Unary = one(SIGN);
export const reciprocal: Unary = one(RECIPROCAL);
export const sqrt: Unary = one(SQRT);
export const exp: Unary = one(EXP);
/** Natural logarithm. */
export const log: Unary = one(LOG);
export const floor: Unary = one(FLOOR);
export const ceil: Unary = one(CEIL);
/** Nearest integer, halves to even. */
export const round: Unary = one(ROUND);
export const sin: Unary = one(SIN);
export const cos: Unary = one(COS);
export const tan: Unary = one(TAN);
export const asin: Unary = one(ASIN);
export const acos: Unary = one(ACOS);
export const atan: Unary = one(ATAN);
export const sinh: Unary = one(SINH);
export const cosh: Unary = one(COSH);
export const tanh: Unary = one(TANH);
export const asinh: Unary = one(ASINH);
export const acosh: Unary = one(ACOSH);
export const atanh: Unary = one(ATANH);
/** Gauss error function. */
export const erf: Unary = one(ERF);
export const relu: Unary = one(RELU);
export const hardSwish: Unary = one(HARD_SWISH);
export const sigmoid: Unary = one(SIGMOID);
/** log(1 + exp(x)). */
export const softplus: Unary = one(SOFTPLUS);
/** x / (1 + |x|). */
export const softsign: Unary = one(SOFTSIGN);
/** x · tanh(softplus(x)) (Misra 2019). */
export const mish: Unary = one(MISH);
export const bitwiseNot: Unary = one(BITWISE_NOT);
export const not: Unary = one(NOT);
export const isNaN: Unary = one(IS_NAN);

export const leakyRelu = (x: Tensor, alpha?: number): Tensor => apply(LEAKY_RELU, [x], { alpha });
export const elu = (x: Tensor, alpha?: number): Tensor => apply(ELU, [x], { alpha });
/** Scaled ELU (Klambauer et al. 2017). */
export const selu = (x: Tensor, options: { readonly alpha?: number; readonly gamma?: number } = {}): Tensor =>
  apply(SELU, [x], { alpha: options.alpha, gamma: options.gamma });
export const celu = (x: Tensor, alpha?: number): Tensor => apply(CELU, [x], { alpha });
export const thresholdedRelu = (x: Tensor, alpha?: number): Tensor => apply(THRESHOLDED_RELU, [x], { alpha });
export const hardSigmoid = (x: Tensor, options: { readonly alpha?: number; readonly beta?: number } = {}): Tensor =>
  apply(HARD_SIGMOID, [x], { alpha: options.alpha, beta: options.beta });
/** Gaussian error linear unit x·Φ(x); `tanh` uses the approximation of Hendrycks and Gimpel (2016). */
export const gelu = (x: Tensor, approximate: 'none' | 'tanh' = 'none'): Tensor =>
  apply(GELU, [x], { approximate: approximate === 'none' ? undefined : approximate });
/** x - bias above lambd, x + bias below -lambd, else 0. */
export const shrink = (x: Tensor, options: { readonly bias?: number; readonly lambd?: number } = {}): Tensor =>
  apply(SHRINK, [x], { bias: options.bias, lambd: options.lambd });
/** x · sigmoid(alpha · x). ONNX opset 24; `silu` is the form for older runtimes. */
export const swish = (x: Tensor, alpha?: number): Tensor => apply(SWISH, [x], { alpha });
export const isInf = (x: Tensor, options: { readonly negative?: boolean; readonly positive?: boolean } = {}): Tensor =>
  apply(IS_INF, [x], {
    detect_negative: options.negative === false ? 0 : undefined,
    detect_positive: options.positive === false ? 0 : undefined,
  });

type Binary = (a: Operand, b: Operand) => Tensor;
const two =
  (schema: OperatorSchema): Binary =>
  (a, b) =>
    apply(schema, [a, b]);
export const equal: Binary = two(EQUAL);
export const greater: Binary = two(GREATER);
export const greaterOrEqual: Binary = two(GREATER_OR_EQUAL);
export const less: Binary = two(LESS);
export const lessOrEqual: Binary = two(LESS_OR_EQUAL);
export const and = (a: Tensor, b: Tensor): Tensor => apply(AND, [a, b]);
export const or = (a: Tensor, b: Tensor): Tensor => apply(OR, [a, b]);
export const xor = (a: Tensor, b: Tensor): Tensor => apply(XOR, [a, b]);
export const bitShift = (a: Tensor, b: Operand, direction: 'LEFT' | 'RIGHT'): Tensor =>
  apply(BIT_SHIFT, [a, b], { direction });
export const bitwiseAnd: Binary = two(BITWISE_AND);
export const bitwiseOr: Binary = two(BITWISE_OR);
export const bitwiseXor: Binary = two(BITWISE_XOR);
/** Remainder with the sign of the divisor (integers); `fmod` takes that of the dividend and is the form for floats. */
export const mod = (a: Operand, b: Operand, options: { readonly fmod?: boolean } = {}): Tensor =>
  apply(MOD, [a, b], { fmod: options.fmod === true ? 1 : undefined });
/** x where positive, slope · x elsewhere; the slope broadcasts to x. */
export const pRelu = (x: Tensor, slope: Operand): Tensor => apply(P_RELU, [x, slope]);
/** Elementwise maximum with broadcasting. */
export const maximum = (...operands: readonly Operand[]): Tensor => apply(MAX, operands);
/** Elementwise minimum with broadcasting. */
export const minimum = (...operands: readonly Operand[]): Tensor => apply(MIN, operands);
/** Elementwise sum of any number of tensors. */
export const sum = (...operands: readonly Operand[]): Tensor => apply(SUM, operands);
/** Elementwise mean of any number of tensors. */
export const mean = (...operands: readonly Operand[]): Tensor => apply(MEAN, operands);
/** `x` where the condition holds, `y` elsewhere, with broadcasting. */
export const where = (condition: Tensor, x: Operand, y: Operand): Tensor => apply(WHERE, [condition, x, y]);
/** Limit to [min, max]; bounds are scalars. */
export const clip = (x: Tensor, min?: Operand, max?: Operand): Tensor => apply(CLIP, [x, min, max]);
