import { stopGradient } from '@updraft/autodiff';
import {
  argMax,
  concat,
  cos,
  cosh,
  erf,
  exp,
  floor,
  gather,
  gelu,
  isFloat,
  log,
  reduceLogSumExp,
  relu,
  round,
  sigmoid,
  sign,
  sin,
  sinh,
  softmaxCrossEntropyLoss,
  softplus,
  sqrt,
  stack,
  Tensor,
  tan,
  tanh,
  tensor,
  where,
  type NestedNumbers,
  type Graph,
} from '@updraft/graph';
import { CoreError } from '../errors.js';
import { nearestNames } from '../names.js';
import type { AxisIndex, BinaryOperator, Expression } from './expression.js';

/** What a part of a formula is: a tensor, a number or list that is known already, or a list of tensors. */
type Value = Tensor | number | readonly Value[];

/** What formulas are built in. */
export interface ExpressionContext {
  readonly graph: Graph;
  /** The tensor of a name; undefined where there is none. */
  readonly lookup: (name: string) => Tensor | undefined;
  /** Every name that there is, for messages. */
  readonly names: readonly string[];
}

const isNumbers = (value: Value): boolean =>
  typeof value === 'number' || (Array.isArray(value) && (value as readonly Value[]).every(isNumbers));

const asTensor = (value: Value, context: ExpressionContext): Tensor => {
  if (value instanceof Tensor) return value;
  if (isNumbers(value)) return context.graph.constant(tensor(value as NestedNumbers));
  // A list with tensors in it: they lie side by side along a new first axis.
  return stack((value as readonly Value[]).map((item) => asTensor(item, context)));
};

const integer = (value: Value | undefined, what: string): number => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw new CoreError('probe', `${what} takes a whole number written in the formula.`);
  return value;
};
const integers = (value: Value | undefined, what: string): number[] => {
  const list = Array.isArray(value) ? (value as readonly Value[]) : [value];
  return list.map((item) => integer(item, what));
};

type Build = (items: readonly Value[], context: ExpressionContext) => Value;
interface Callable {
  /** Fewest and most arguments. */
  readonly count: readonly [number, number];
  readonly build: Build;
}

const elementwise = (operator: (x: Tensor) => Tensor): Callable => ({
  count: [1, 1],
  build: ([x], context) => operator(asTensor(x as Value, context)),
});
/** A reduction: over everything, or over the axes given second. */
const reduction = (operator: (x: Tensor, axes?: readonly number[]) => Tensor, name: string): Callable => ({
  count: [1, 2],
  build: ([x, axes], context) =>
    operator(asTensor(x as Value, context), axes === undefined ? undefined : integers(axes, name)),
});
const pair = (operator: (a: Tensor, b: Tensor) => Tensor): Callable => ({
  count: [2, 2],
  build: ([a, b], context) => operator(asTensor(a as Value, context), asTensor(b as Value, context)),
});
const alongAxis = (operator: (x: Tensor, axis: number) => Tensor, name: string): Callable => ({
  count: [1, 2],
  build: ([x, axis], context) => operator(asTensor(x as Value, context), axis === undefined ? -1 : integer(axis, name)),
});

const FUNCTIONS: Readonly<Record<string, Callable>> = {
  abs: elementwise((x) => x.abs()),
  cos: elementwise(cos),
  cosh: elementwise(cosh),
  erf: elementwise(erf),
  exp: elementwise(exp),
  floor: elementwise(floor),
  gelu: elementwise((x) => gelu(x)),
  log: elementwise(log),
  relu: elementwise(relu),
  round: elementwise(round),
  sigmoid: elementwise(sigmoid),
  sign: elementwise(sign),
  sin: elementwise(sin),
  sinh: elementwise(sinh),
  softplus: elementwise(softplus),
  sqrt: elementwise(sqrt),
  square: elementwise((x) => x.square()),
  stopGradient: elementwise(stopGradient),
  tan: elementwise(tan),
  tanh: elementwise(tanh),
  sum: reduction((x, axes) => x.sum(axes), 'sum()'),
  mean: reduction((x, axes) => x.mean(axes), 'mean()'),
  max: reduction((x, axes) => x.max(axes), 'max()'),
  min: reduction((x, axes) => x.min(axes), 'min()'),
  norm: reduction((x, axes) => sqrt(x.square().sum(axes)), 'norm()'),
  logSumExp: reduction((x, axes) => reduceLogSumExp(x, axes, { keepDims: false }), 'logSumExp()'),
  softmax: alongAxis((x, axis) => x.softmax(axis), 'softmax()'),
  logSoftmax: alongAxis((x, axis) => x.logSoftmax(axis), 'logSoftmax()'),
  argMax: alongAxis((x, axis) => argMax(x, axis, { keepDims: false }), 'argMax()'),
  dot: pair((a, b) => a.mul(b).sum()),
  matmul: pair((a, b) => a.matMul(b)),
  maximum: pair((a, b) => a.maximum(b)),
  minimum: pair((a, b) => a.minimum(b)),
  /** Mean over rows of the cross entropy of softmax(scores) against class numbers. */
  crossEntropy: pair((scores, labels) => softmaxCrossEntropyLoss(scores, wholeNumbers(labels))),
  where: {
    count: [3, 3],
    build: ([condition, a, b], context) => {
      const choice = asTensor(condition as Value, context);
      return where(
        choice.dataType === 'bool' ? choice : choice.cast('bool'),
        asTensor(a as Value, context),
        asTensor(b as Value, context),
      );
    },
  },
  clip: {
    count: [3, 3],
    build: ([x, low, high], context) =>
      asTensor(x as Value, context).clip(asTensor(low as Value, context), asTensor(high as Value, context)),
  },
  gather: {
    count: [2, 3],
    build: ([x, indices, axis], context) =>
      gather(
        asTensor(x as Value, context),
        wholeNumbers(asTensor(indices as Value, context)),
        axis === undefined ? 0 : integer(axis, 'gather()'),
      ),
  },
  transpose: {
    count: [1, 2],
    build: ([x, axes], context) =>
      asTensor(x as Value, context).transpose(axes === undefined ? undefined : integers(axes, 'transpose()')),
  },
  reshape: {
    count: [2, 2],
    build: ([x, shape], context) => asTensor(x as Value, context).reshape(integers(shape, 'reshape()')),
  },
  concat: {
    count: [1, 2],
    build: ([parts, axis], context) => {
      if (!Array.isArray(parts)) throw new CoreError('probe', 'concat() takes a list: concat([a, b], 0).');
      return concat(
        (parts as readonly Value[]).map((part) => asTensor(part, context)),
        axis === undefined ? 0 : integer(axis, 'concat()'),
      );
    },
  },
};

/** Names of all functions of formulas. */
export const EXPRESSION_FUNCTIONS: readonly string[] = Object.keys(FUNCTIONS).sort();

const wholeNumbers = (x: Tensor): Tensor => (isFloat(x.dataType) ? x.cast('int64') : x);

const BINARY: Readonly<Record<BinaryOperator, (a: Tensor, b: Tensor | number) => Tensor>> = {
  '+': (a, b) => a.add(b),
  '-': (a, b) => a.sub(b),
  '*': (a, b) => a.mul(b),
  '/': (a, b) => a.div(b),
  '^': (a, b) => a.pow(b),
  '@': (a, b) => a.matMul(b as Tensor),
  '<': (a, b) => a.less(b),
  '<=': (a, b) => a.lessOrEqual(b),
  '>': (a, b) => a.greater(b),
  '>=': (a, b) => a.greaterOrEqual(b),
  '==': (a, b) => a.equal(b),
};
const NUMBERS: Readonly<Partial<Record<BinaryOperator, (a: number, b: number) => number>>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '^': (a, b) => a ** b,
};

/** What is calculated with: the results of comparisons count as 0 and 1, class numbers as what they are. */
function operand(value: Value, context: ExpressionContext): Tensor {
  const tensor = asTensor(value, context);
  return isFloat(tensor.dataType) ? tensor : tensor.cast('float32');
}

function binary(operator: BinaryOperator, left: Value, right: Value, context: ExpressionContext): Value {
  const known = NUMBERS[operator];
  if (known !== undefined && typeof left === 'number' && typeof right === 'number') return known(left, right);
  const [a, b] = [operand(left, context), operand(right, context)];
  // A square as a product has a derivative of every order without a logarithm in it.
  if (operator === '^' && right === 2) return a.square();
  return BINARY[operator](a, typeof right === 'number' && operator !== '@' ? right : b);
}

function index(value: Tensor, axes: readonly AxisIndex[]): Tensor {
  if (axes.length > value.rank)
    throw new CoreError('probe', `${axes.length} indices for a tensor with ${value.rank} axes.`, {
      hint: 'Give at most one index for each axis.',
    });
  const edge = Number.MAX_SAFE_INTEGER;
  const starts = axes.map((axis) => ('at' in axis ? axis.at : (axis.from ?? 0)));
  const ends = axes.map((axis) => ('at' in axis ? (axis.at === -1 ? edge : axis.at + 1) : (axis.to ?? edge)));
  axes.forEach((axis, position) => {
    const size = value.shape[position];
    if ('at' in axis && typeof size === 'number' && (axis.at >= size || axis.at < -size))
      throw new CoreError('probe', `The index ${axis.at} is outside an axis of size ${size}.`);
  });
  const sliced = value.slice(
    starts,
    ends,
    axes.map((_, position) => position),
  );
  const gone = axes.flatMap((axis, position) => ('at' in axis ? [position] : []));
  return gone.length === 0 ? sliced : sliced.squeeze(gone);
}

function call(name: string, items: readonly Value[], context: ExpressionContext): Value {
  const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (known === undefined)
    throw new CoreError('probe', `There is no function "${name}" in formulas.`, {
      hint: `The nearest is "${nearestNames(name, EXPRESSION_FUNCTIONS, 1).join()}". There are: ${EXPRESSION_FUNCTIONS.join(', ')}.`,
    });
  const [fewest, most] = known.count;
  if (items.length < fewest || items.length > most)
    throw new CoreError(
      'probe',
      `${name}() takes ${fewest === most ? fewest : `${fewest} to ${most}`} arguments, not ${items.length}.`,
    );
  return known.build(items, context);
}

function value(expression: Expression, context: ExpressionContext): Value {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'name': {
      const { name } = expression;
      const found = context.lookup(name);
      if (found !== undefined) return found;
      // `W.T` is the transpose, as people write it, unless something is named so.
      const plain = name.endsWith('.T') ? context.lookup(name.slice(0, -2)) : undefined;
      if (plain !== undefined) return plain.transpose();
      throw new CoreError('probe', `The formula uses "${name}", which is neither a parameter nor an input.`, {
        hint: `There are: ${context.names.join(', ') || 'none'}.`,
      });
    }
    case 'list':
      return expression.items.map((item) => value(item, context));
    case 'call':
      return call(
        expression.name,
        expression.items.map((item) => value(item, context)),
        context,
      );
    case 'negate': {
      const item = value(expression.item, context);
      return typeof item === 'number' ? -item : asTensor(item, context).neg();
    }
    case 'binary':
      return binary(expression.operator, value(expression.left, context), value(expression.right, context), context);
    case 'index':
      return index(asTensor(value(expression.item, context), context), expression.axes);
  }
}

/** Append the nodes that compute a formula. @throws CoreError for unknown names and wrong arguments, ShapeError */
export const buildExpression = (expression: Expression, context: ExpressionContext): Tensor =>
  asTensor(value(expression, context), context);
