import * as g from '@updraft/graph';
import { applied } from '../applied.js';
import { fixed, real, whole, type OperatorCases } from '../random-cases.js';
import type { Drawing, Random } from '../random.js';
import { broadcastDims, elementwise, mapValues, scalarOf } from '../values.js';

/** Derivatives of all smooth functions here have float64 kernels as well where the operator has one. */
type Precision = 'float32' | 'float64';

interface UnarySetting {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly apply: (x: g.Tensor) => g.Tensor;
  readonly f: (x: number) => number;
  readonly drawing?: Drawing;
}

/** An operator `y = f(x)` element by element; the settings are drawn for each case. */
const unary = (
  operator: string,
  setting: (random: Random) => UnarySetting,
  dataType: Precision = 'float32',
): OperatorCases => ({
  operator,
  dataType,
  draw(random) {
    const { settings, apply, f, drawing } = setting(random);
    return {
      settings,
      inputs: [real(random.values(random.dims(0, 4, 3), drawing))],
      build: (x) => [apply(x as g.Tensor)],
      reference: (x) => [mapValues(x, f)],
    };
  },
});

/** An operator without attributes. */
const plain = (
  operator: string,
  apply: (x: g.Tensor) => g.Tensor,
  f: (x: number) => number,
  drawing: Drawing = { low: -2, high: 2 },
  dataType: Precision = 'float32',
): OperatorCases => unary(operator, () => ({ settings: {}, apply, f, drawing }), dataType);

/** Gauss error function by its Maclaurin series, exact to double precision for the small arguments drawn here. */
export function errorFunction(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
export const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
export const softplusOf = (x: number): number => Math.log1p(Math.exp(x));
export const geluOf = (x: number): number => 0.5 * x * (1 + errorFunction(x / Math.SQRT2));
export const tanhGeluOf = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const castLike = (x: g.Tensor, like: g.Tensor): g.Tensor => applied('CastLike', [x, like])[0] as g.Tensor;

const POSITIVE: Drawing = { low: 0.3, high: 3 };
const INSIDE: Drawing = { low: -0.85, high: 0.85 };
const AROUND_ZERO: Drawing = { low: -2, high: 2, kinks: [0] };

const unaries: readonly OperatorCases[] = [
  plain('Abs', g.abs, Math.abs, AROUND_ZERO, 'float64'),
  plain('Neg', g.neg, (x) => -x, {}, 'float64'),
  plain(
    'Identity',
    (x) => x.identity(),
    (x) => x,
    {},
    'float64',
  ),
  plain('Reciprocal', g.reciprocal, (x) => 1 / x, { low: -3, high: 3, kinks: [0], margin: 0.4 }, 'float64'),
  plain('Sqrt', g.sqrt, Math.sqrt, POSITIVE, 'float64'),
  plain('Exp', g.exp, Math.exp, {}, 'float64'),
  plain('Log', g.log, Math.log, POSITIVE, 'float64'),
  plain('Sin', g.sin, Math.sin, { low: -4, high: 4 }, 'float64'),
  plain('Cos', g.cos, Math.cos, { low: -4, high: 4 }, 'float64'),
  plain('Tan', g.tan, Math.tan, { low: -1.1, high: 1.1 }),
  plain('Asin', g.asin, Math.asin, INSIDE),
  plain('Acos', g.acos, Math.acos, INSIDE),
  plain('Atan', g.atan, Math.atan),
  plain('Sinh', g.sinh, Math.sinh),
  plain('Cosh', g.cosh, Math.cosh),
  plain('Tanh', g.tanh, Math.tanh, {}, 'float64'),
  plain('Asinh', g.asinh, Math.asinh),
  plain('Acosh', g.acosh, Math.acosh, { low: 1.3, high: 4 }),
  plain('Atanh', g.atanh, Math.atanh, INSIDE),
  plain('Erf', g.erf, errorFunction),
  plain('Sigmoid', g.sigmoid, logistic, { low: -4, high: 4 }, 'float64'),
  plain('Softplus', g.softplus, softplusOf, { low: -4, high: 4 }),
  plain('Softsign', g.softsign, (x) => x / (1 + Math.abs(x)), AROUND_ZERO),
  plain('Relu', g.relu, (x) => Math.max(x, 0), AROUND_ZERO, 'float64'),
  plain('HardSwish', g.hardSwish, (x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1), {
    low: -5,
    high: 5,
    kinks: [-3, 3],
  }),
  plain('Mish', g.mish, (x) => x * Math.tanh(softplusOf(x)), { low: -3, high: 3 }),
  plain('com.microsoft.Gelu', g.microsoftGelu, geluOf, { low: -3, high: 3 }),
  unary('LeakyRelu', (random) => {
    const alpha = random.between(-0.5, 1.5);
    return {
      settings: { alpha },
      apply: (x) => g.leakyRelu(x, alpha),
      f: (x) => (x < 0 ? alpha * x : x),
      drawing: AROUND_ZERO,
    };
  }),
  unary('Elu', (random) => {
    const alpha = random.between(0.3, 2);
    return {
      settings: { alpha },
      apply: (x) => g.elu(x, alpha),
      f: (x) => (x < 0 ? alpha * Math.expm1(x) : x),
      drawing: AROUND_ZERO,
    };
  }),
  unary('Celu', (random) => {
    const alpha = random.between(0.5, 2);
    return {
      settings: { alpha },
      apply: (x) => g.celu(x, alpha),
      f: (x) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha)),
      drawing: AROUND_ZERO,
    };
  }),
  unary('Selu', (random) => {
    const given = random.chance();
    const alpha = given ? random.between(0.5, 2) : Math.fround(1.67326319217681884765625);
    const gamma = given ? random.between(0.5, 2) : Math.fround(1.05070102214813232421875);
    return {
      settings: { alpha, gamma, given },
      apply: (x) => g.selu(x, given ? { alpha, gamma } : {}),
      f: (x) => gamma * (x > 0 ? x : alpha * Math.expm1(x)),
      drawing: AROUND_ZERO,
    };
  }),
  unary('ThresholdedRelu', (random) => {
    const alpha = random.between(0.1, 1);
    return {
      settings: { alpha },
      apply: (x) => g.thresholdedRelu(x, alpha),
      f: (x) => (x > alpha ? x : 0),
      drawing: { low: -2, high: 2, kinks: [alpha] },
    };
  }),
  unary('HardSigmoid', (random) => {
    const [alpha, beta] = [random.between(0.2, 0.6), random.between(0.2, 0.8)];
    return {
      settings: { alpha, beta },
      apply: (x) => g.hardSigmoid(x, { alpha, beta }),
      f: (x) => Math.min(Math.max(alpha * x + beta, 0), 1),
      drawing: { low: -4, high: 4, kinks: [-beta / alpha, (1 - beta) / alpha] },
    };
  }),
  unary('Gelu', (random) => {
    const approximate = random.pick(['none', 'tanh'] as const);
    return {
      settings: { approximate },
      apply: (x) => g.gelu(x, approximate),
      f: approximate === 'tanh' ? tanhGeluOf : geluOf,
      drawing: { low: -3, high: 3 },
    };
  }),
  unary('Swish', (random) => {
    const alpha = random.between(-1, 2);
    return {
      settings: { alpha },
      apply: (x) => g.swish(x, alpha),
      f: (x) => x * logistic(alpha * x),
      drawing: { low: -3, high: 3 },
    };
  }),
  unary('com.microsoft.QuickGelu', (random) => {
    const alpha = random.between(0.5, 2);
    return {
      settings: { alpha },
      apply: (x) => g.quickGelu(x, alpha),
      f: (x) => x * logistic(alpha * x),
      drawing: { low: -3, high: 3 },
    };
  }),
  unary('Shrink', (random) => {
    const [bias, lambd] = [random.between(-1, 1), random.between(0.2, 1)];
    return {
      settings: { bias, lambd },
      apply: (x) => g.shrink(x, { bias, lambd }),
      f: (x) => (x < -lambd ? x + bias : x > lambd ? x - bias : 0),
      drawing: { low: -2, high: 2, kinks: [-lambd, lambd] },
    };
  }),
  // There and back, since the reference cannot see the rounding in between; the objective is quadratic.
  unary('Cast', () => ({ settings: {}, apply: (x) => x.cast('float64').mul(1.5).cast('float32'), f: (x) => 1.5 * x })),
  {
    operator: 'CastLike',
    draw: (random) => ({
      settings: {},
      inputs: [
        real(random.values(random.dims(0, 3))),
        { values: random.values([2]), dataType: 'float64' },
        fixed(random.values([1])),
      ],
      build: (x, like, back) => [castLike(castLike(x as g.Tensor, like as g.Tensor).mul(1.5), back as g.Tensor)],
      reference: (x) => [mapValues(x, (value) => 1.5 * value)],
    }),
  },
];

/** Gelus with a bias per feature. */
const biased = (operator: string, optional: boolean): OperatorCases => ({
  operator,
  draw(random) {
    const dims = random.dims(1, 3);
    const features = dims[dims.length - 1] as number;
    const given = !optional || random.chance();
    const f = optional ? tanhGeluOf : geluOf;
    return {
      settings: { given },
      inputs: [real(random.values(dims, { low: -2, high: 2 })), ...(given ? [real(random.values([features]))] : [])],
      build: (x, bias) => [optional ? g.fastGelu(x as g.Tensor, bias) : g.biasGelu(x as g.Tensor, bias as g.Tensor)],
      reference: (x, bias) => [elementwise((a, b) => f((a as number) + (b as number)), x, bias ?? scalarOf(0))],
    };
  },
});

const binary = (
  operator: string,
  apply: (a: g.Tensor, b: g.Tensor) => g.Tensor,
  f: (a: number, b: number) => number,
  left: Drawing = {},
  right: Drawing = left,
  dataType: Precision = 'float64',
): OperatorCases => ({
  operator,
  dataType,
  draw(random) {
    const [a, b] = random.broadcastable();
    return {
      settings: {},
      inputs: [real(random.values(a, left)), real(random.values(b, right))],
      build: (x, y) => [apply(x as g.Tensor, y as g.Tensor)],
      reference: (x, y) => [elementwise((p, q) => f(p as number, q as number), x, y)],
    };
  },
});

/** Operators over any number of operands that broadcast. */
const variadic = (
  operator: string,
  apply: (...operands: g.Tensor[]) => g.Tensor,
  f: (elements: readonly number[]) => number,
  dataType: Precision = 'float64',
): OperatorCases => ({
  operator,
  dataType,
  draw(random) {
    const [a, b] = random.broadcastable();
    const shapes = random.shuffled([a, b, ...(random.chance() ? [b] : [])]).slice(0, random.integer(1, 3));
    return {
      settings: {},
      inputs: random.distinct(...shapes).map(real),
      build: (...operands) => [apply(...operands)],
      reference: (...operands) => [elementwise((...elements) => f(elements), ...operands)],
    };
  },
});

const several: readonly OperatorCases[] = [
  biased('com.microsoft.FastGelu', true),
  biased('com.microsoft.BiasGelu', false),
  binary('Add', g.add, (a, b) => a + b),
  binary('Sub', g.sub, (a, b) => a - b),
  binary('Mul', g.mul, (a, b) => a * b),
  binary('Div', g.div, (a, b) => a / b, {}, { low: -3, high: 3, kinks: [0], margin: 0.5 }),
  {
    operator: 'Pow',
    dataType: 'float64',
    draw(random) {
      const [a, b] = random.broadcastable();
      // Any base has whole powers, positive ones have all; exponents of another element type are converted.
      const kind = random.pick(['positive', 'whole', 'integers'] as const);
      const base = random.values(
        a,
        kind === 'positive' ? { low: 0.4, high: 2 } : { low: -2, high: 2, kinks: [0], margin: 0.3 },
      );
      return {
        settings: { kind },
        inputs: [
          real(base),
          kind === 'positive'
            ? real(random.values(b, { low: -2, high: 3 }))
            : kind === 'whole'
              ? fixed(random.integers(b, -1, 3))
              : whole(random.integers(b, 0, 3)),
        ],
        build: (x, y) => [g.pow(x as g.Tensor, y as g.Tensor)],
        reference: (x, y) => [elementwise((p, q) => (p as number) ** (q as number), x, y)],
      };
    },
  },
  {
    operator: 'Mod',
    dataType: 'float64',
    draw(random) {
      const [a, b] = random.broadcastable();
      const divisor = random.values(b, { low: 0.5, high: 2 });
      const quotients = elementwise(() => random.pick([-1, 1]) * (random.integer(0, 3) + random.between(0.1, 0.9)), {
        dims: broadcastDims(a, b),
        data: new Float64Array(broadcastDims(a, b).reduce((x, y) => x * y, 1)),
      });
      // Dividends that are no multiples of their divisor have a neighbourhood with the same quotient.
      const dividend = elementwise((q, d) => (q as number) * (d as number), quotients, divisor);
      return {
        settings: {},
        inputs: [real(dividend), real(divisor)],
        build: (x, y) => [g.mod(x as g.Tensor, y as g.Tensor, { fmod: true })],
        reference: (x, y) => [elementwise((p, q) => (p as number) % (q as number), x, y)],
      };
    },
  },
  variadic('Max', g.maximum, (elements) => Math.max(...elements)),
  variadic('Min', g.minimum, (elements) => Math.min(...elements)),
  variadic('Sum', g.sum, (elements) => elements.reduce((x, y) => x + y), 'float64'),
  variadic('Mean', g.mean, (elements) => elements.reduce((x, y) => x + y) / elements.length, 'float32'),
  {
    operator: 'Where',
    dataType: 'float64',
    draw(random) {
      const [a, b] = random.broadcastable();
      const [condition] = [random.pick([a, b])];
      return {
        settings: {},
        inputs: [whole(random.integers(condition, 0, 1), 'bool'), real(random.values(a)), real(random.values(b))],
        build: (c, x, y) => [g.where(c as g.Tensor, x as g.Tensor, y as g.Tensor)],
        reference: (c, x, y) => [elementwise((p, q, r) => (p === 1 ? (q as number) : (r as number)), c, x, y)],
      };
    },
  },
  {
    operator: 'PRelu',
    draw(random) {
      const dims = random.dims(1, 4, 3);
      const slope = dims.slice(random.below(dims.length)).map((dim) => (random.chance(0.3) ? 1 : dim));
      return {
        settings: {},
        inputs: [real(random.values(dims, AROUND_ZERO)), real(random.values(slope))],
        build: (x, s) => [g.pRelu(x as g.Tensor, s as g.Tensor)],
        reference: (x, s) => [
          elementwise((p, q) => ((p as number) < 0 ? (p as number) * (q as number) : (p as number)), x, s),
        ],
      };
    },
  },
  {
    operator: 'Clip',
    dataType: 'float64',
    draw(random) {
      const [low, high] = [random.between(-1, -0.1), random.between(0.1, 1)];
      const bounds = random.pick(['both', 'low', 'high', 'none'] as const);
      const [hasLow, hasHigh] = [bounds === 'both' || bounds === 'low', bounds === 'both' || bounds === 'high'];
      return {
        settings: { bounds, low, high },
        inputs: [
          real(random.values(random.dims(0, 4, 3), { low: -2, high: 2, kinks: [low, high] })),
          ...(hasLow ? [real(scalarOf(low))] : []),
          ...(hasHigh ? [real(scalarOf(high))] : []),
        ],
        build: (x, ...limits) => [
          g.clip(x as g.Tensor, hasLow ? limits[0] : undefined, hasHigh ? limits[hasLow ? 1 : 0] : undefined),
        ],
        reference: (x, ...limits) => {
          const least = hasLow ? (limits[0]?.data[0] as number) : -Infinity;
          const most = hasHigh ? (limits[hasLow ? 1 : 0]?.data[0] as number) : Infinity;
          return [mapValues(x, (value) => Math.min(Math.max(value, least), most))];
        },
      };
    },
  },
];

export const elementwiseCases: readonly OperatorCases[] = [...unaries, ...several];
