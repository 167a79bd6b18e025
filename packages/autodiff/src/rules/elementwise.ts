import {
  abs,
  add,
  and,
  cos,
  cosh,
  div,
  equal,
  erf,
  exp,
  greater,
  greaterOrEqual,
  less,
  lessOrEqual,
  mul,
  neg,
  not,
  or,
  sigmoid,
  sign,
  sin,
  sinh,
  softplus,
  sqrt,
  square,
  sub,
  sumTo,
  tanh,
  where,
  zerosLike,
  type Tensor,
} from '@updraft/graph';
import { zeroDerivative, type DerivativeContext, type DerivativeRule } from '../derivative.js';

/** What the slope of a unary function is built from. */
interface SlopeContext {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly context: DerivativeContext;
}

/** A rule for `y = f(x)` elementwise: the gradient times the slope. */
const unary = (operator: string, slope: (at: SlopeContext) => Tensor, notes?: string): DerivativeRule => ({
  operator,
  order: 'any',
  ...(notes === undefined ? {} : { notes }),
  backward: (context) => [mul(context.gradient(0), slope({ x: context.input(0), y: context.output(0), context }))],
});

/** `value` where the condition holds, exact zero elsewhere. */
const only = (condition: Tensor, value: Tensor): Tensor => where(condition, value, zerosLike(value));
const oneMinus = (x: Tensor): Tensor => sub(1, x);
/** Slope 1 where the condition holds, `otherwise` elsewhere, in the element type of `like`. */
const choose = (condition: Tensor, then: Tensor | number, otherwise: Tensor | number, like: Tensor): Tensor =>
  where(condition, asTensor(then, like), asTensor(otherwise, like));
const asTensor = (value: Tensor | number, like: Tensor): Tensor =>
  typeof value === 'number' ? like.graph.constant(value, like.dataType) : value;

const LOG_2_OVER_SQRT_PI = Math.log(2 / Math.sqrt(Math.PI));

/** d/dx of x·Φ(x): Φ(x) + x·φ(x) = (1 + erf(s) + 2/√π·s·exp(-s²)) / 2 with s = x/√2, in as few passes as there are. */
function geluSlope(x: Tensor): Tensor {
  const s = mul(x, Math.SQRT1_2);
  const density = exp(sub(LOG_2_OVER_SQRT_PI, square(s)));
  return mul(0.5, add(1, add(erf(s), mul(s, density))));
}

/** d/dx of 0.5·x·(1 + tanh(u)) with u = √(2/π)·(x + 0.044715·x³). */
function tanhGeluSlope(x: Tensor): Tensor {
  const scale = Math.sqrt(2 / Math.PI);
  const squared = square(x);
  const t = tanh(mul(x, add(scale, mul(scale * 0.044715, squared))));
  const inner = add(scale, mul(3 * scale * 0.044715, squared));
  return mul(0.5, add(add(1, t), mul(mul(x, oneMinus(square(t))), inner)));
}

export const elementwiseRules: readonly DerivativeRule[] = [
  { operator: 'Neg', order: 'any', backward: (context) => [neg(context.gradient(0))] },
  { operator: 'Identity', order: 'any', backward: (context) => [context.gradient(0)] },
  unary('Abs', ({ x }) => sign(x), 'derivative 0 at 0'),
  unary('Reciprocal', ({ y }) => neg(square(y))),
  unary('Sqrt', ({ y }) => only(greater(y, 0), div(0.5, choose(greater(y, 0), y, 1, y))), 'derivative 0 at 0'),
  unary('Exp', ({ y }) => y),
  unary('Log', ({ x }) => div(1, x)),
  unary('Sin', ({ x }) => cos(x)),
  unary('Cos', ({ x }) => neg(sin(x))),
  unary('Tan', ({ y }) => add(1, square(y))),
  unary('Asin', ({ x }) => div(1, sqrt(oneMinus(square(x))))),
  unary('Acos', ({ x }) => div(-1, sqrt(oneMinus(square(x))))),
  unary('Atan', ({ x }) => div(1, add(1, square(x)))),
  unary('Sinh', ({ x }) => cosh(x)),
  unary('Cosh', ({ x }) => sinh(x)),
  unary('Tanh', ({ y }) => oneMinus(square(y))),
  unary('Asinh', ({ x }) => div(1, sqrt(add(1, square(x))))),
  unary('Acosh', ({ x }) => div(1, sqrt(sub(square(x), 1)))),
  unary('Atanh', ({ x }) => div(1, oneMinus(square(x)))),
  unary('Erf', ({ x }) => mul(2 / Math.sqrt(Math.PI), exp(neg(square(x))))),
  unary('Sigmoid', ({ y }) => mul(y, oneMinus(y))),
  unary('Softplus', ({ x }) => sigmoid(x)),
  unary('Softsign', ({ x }) => div(1, square(add(1, abs(x))))),
  {
    operator: 'Relu',
    order: 'any',
    notes: 'derivative 0 at 0',
    backward: (context) => [only(greater(context.output(0), 0), context.gradient(0))],
  },
  unary(
    'LeakyRelu',
    ({ x, context }) => choose(greater(x, 0), 1, context.node.float('alpha'), x),
    'derivative alpha at 0',
  ),
  unary(
    'Elu',
    ({ x, y, context }) => {
      const alpha = context.node.float('alpha');
      return choose(greater(x, 0), 1, add(y, alpha), x);
    },
    'derivative alpha at 0',
  ),
  unary('Celu', ({ x, context }) => {
    const alpha = context.node.float('alpha');
    return choose(greater(x, 0), 1, exp(div(choose(greater(x, 0), 0, x, x), alpha)), x);
  }),
  unary('Selu', ({ x, y, context }) => {
    const [alpha, gamma] = [context.node.float('alpha'), context.node.float('gamma')];
    return choose(greater(x, 0), gamma, add(y, alpha * gamma), x);
  }),
  unary('ThresholdedRelu', ({ x, context }) => choose(greater(x, context.node.float('alpha')), 1, 0, x)),
  unary(
    'HardSigmoid',
    ({ x, y, context }) => choose(and(greater(y, 0), less(y, 1)), context.node.float('alpha'), 0, x),
    'derivative 0 at the bounds',
  ),
  unary('HardSwish', ({ x }) =>
    choose(greaterOrEqual(x, 3), 1, choose(lessOrEqual(x, -3), 0, add(mul(x, 1 / 3), 0.5), x), x),
  ),
  unary('Gelu', ({ x, context }) => (context.node.string('approximate') === 'tanh' ? tanhGeluSlope(x) : geluSlope(x))),
  unary('Mish', ({ x }) => {
    const t = tanh(softplus(x));
    return add(t, mul(mul(x, oneMinus(square(t))), sigmoid(x)));
  }),
  unary('Swish', ({ x, context }) => {
    const alpha = context.node.float('alpha');
    const s = sigmoid(mul(x, alpha));
    return add(s, mul(mul(mul(x, alpha), s), oneMinus(s)));
  }),
  unary('Shrink', ({ x, context }) => {
    const lambd = context.node.float('lambd');
    return choose(or(less(x, -lambd), greater(x, lambd)), 1, 0, x);
  }),
  {
    operator: 'PRelu',
    order: 'any',
    notes: 'derivative of the slope at 0',
    backward(context) {
      const [x, slope] = [context.input(0), context.input(1)];
      const gradient = context.gradient(0);
      const positive = greater(x, 0);
      return [
        context.needs(0) ? where(positive, gradient, mul(gradient, slope)) : undefined,
        context.needs(1) ? sumTo(only(not(positive), mul(gradient, x)), slope) : undefined,
      ];
    },
  },
  {
    operator: 'Where',
    order: 'any',
    backward(context) {
      const condition = context.input(0);
      const gradient = context.gradient(0);
      const zero = zerosLike(gradient);
      return [
        undefined,
        context.needs(1) ? sumTo(where(condition, gradient, zero), context.input(1)) : undefined,
        context.needs(2) ? sumTo(where(condition, zero, gradient), context.input(2)) : undefined,
      ];
    },
  },
  {
    operator: 'Clip',
    order: 'any',
    notes: 'derivative 1 at the bounds; bounds get the gradient of what they cut',
    backward(context) {
      const x = context.input(0);
      const gradient = context.gradient(0);
      const low = context.inputs[1];
      const high = context.inputs[2];
      const below = low === undefined ? undefined : less(x, low);
      const above = high === undefined ? undefined : greater(x, high);
      let inner = gradient;
      const zero = zerosLike(gradient);
      if (below !== undefined) inner = where(below, zero, inner);
      if (above !== undefined) inner = where(above, zero, inner);
      return [
        context.needs(0) ? inner : undefined,
        below !== undefined && low !== undefined && context.needs(1) ? sumTo(only(below, gradient), low) : undefined,
        above !== undefined && high !== undefined && context.needs(2) ? sumTo(only(above, gradient), high) : undefined,
      ];
    },
  },
  extreme('Max'),
  extreme('Min'),
  variadic('Sum', (gradient) => gradient),
  variadic('Mean', (gradient, context) => div(gradient, context.node.inputs.length)),
  {
    operator: 'Cast',
    order: 'any',
    notes: 'between floating-point types; casts to and from integers have derivative 0',
    backward: (context) => [context.gradient(0).cast(context.input(0).dataType)],
  },
  {
    operator: 'CastLike',
    order: 'any',
    notes: 'as Cast',
    backward: (context) => [context.gradient(0).cast(context.input(0).dataType)],
  },
  {
    operator: 'Mod',
    order: 'any',
    notes:
      'with fmod = 1: derivative 1 with respect to the dividend, minus the truncated quotient with respect to the divisor',
    backward(context) {
      const [a, b] = [context.input(0), context.input(1)];
      const gradient = context.gradient(0);
      return [
        context.needs(0) ? sumTo(gradient, a) : undefined,
        context.needs(1) ? sumTo(neg(mul(gradient, div(sub(a, context.output(0)), b))), b) : undefined,
      ];
    },
  },
  ...['Floor', 'Ceil', 'Round', 'Sign'].map((operator) => zeroDerivative(operator, 'derivative 0 everywhere')),
  ...[
    'And',
    'Or',
    'Xor',
    'Not',
    'Equal',
    'Greater',
    'GreaterOrEqual',
    'Less',
    'LessOrEqual',
    'IsNaN',
    'IsInf',
    'BitShift',
    'BitwiseAnd',
    'BitwiseOr',
    'BitwiseXor',
    'BitwiseNot',
    'ArgMax',
    'ArgMin',
    'Shape',
    'Size',
    'NonZero',
    'Range',
    'ConstantOfShape',
    'EyeLike',
    'RandomNormalLike',
    'RandomUniformLike',
    'Bernoulli',
    'Multinomial',
    'Hardmax',
    'Unique',
    'Constant',
    'RandomNormal',
    'RandomUniform',
    'HannWindow',
    'HammingWindow',
    'BlackmanWindow',
    'MelWeightMatrix',
    'MatMulInteger',
    'ConvInteger',
    'QLinearMatMul',
    'QLinearConv',
  ].map((operator) => zeroDerivative(operator)),
];

/** Max and Min of several operands: ties share the gradient equally, as `torch.maximum` and `torch.amax` have it. */
function extreme(operator: 'Max' | 'Min'): DerivativeRule {
  return {
    operator,
    order: 'any',
    notes: 'ties share the gradient equally',
    backward(context) {
      const gradient = context.gradient(0);
      const y = context.output(0);
      const operands = context.node.inputs as readonly Tensor[];
      if (operands.length === 1) return [gradient];
      const hits = operands.map((operand) => equal(operand, y).cast(gradient.dataType));
      const share = div(
        gradient,
        hits.reduce((sum, hit) => add(sum, hit)),
      );
      return operands.map((operand, index) =>
        context.needs(index) ? sumTo(mul(share, hits[index] as Tensor), operand) : undefined,
      );
    },
  };
}

function variadic(operator: string, part: (gradient: Tensor, context: DerivativeContext) => Tensor): DerivativeRule {
  return {
    operator,
    order: 'any',
    backward(context) {
      const gradient = part(context.gradient(0), context);
      return context.node.inputs.map((operand, index) =>
        operand !== undefined && context.needs(index) ? sumTo(gradient, operand) : undefined,
      );
    },
  };
}
