import { div, mul, neg, sumTo, log, pow, sub, where, zerosLike, equal, type Tensor } from '@updraft/graph';
import type { DerivativeRule } from '../derivative.js';

// Broadcast operands: the gradient is summed over the axes along which the operand was repeated (`sumTo`).

const addition: DerivativeRule = {
  operator: 'Add',
  order: 'any',
  backward(context) {
    const gradient = context.gradient(0);
    return [0, 1].map((index) => (context.needs(index) ? sumTo(gradient, context.input(index)) : undefined));
  },
};

const subtraction: DerivativeRule = {
  operator: 'Sub',
  order: 'any',
  backward(context) {
    const gradient = context.gradient(0);
    return [
      context.needs(0) ? sumTo(gradient, context.input(0)) : undefined,
      context.needs(1) ? neg(sumTo(gradient, context.input(1))) : undefined,
    ];
  },
};

const multiplication: DerivativeRule = {
  operator: 'Mul',
  order: 'any',
  backward(context) {
    const gradient = context.gradient(0);
    const [a, b] = [context.input(0), context.input(1)];
    return [
      context.needs(0) ? sumTo(mul(gradient, b), a) : undefined,
      context.needs(1) ? sumTo(mul(gradient, a), b) : undefined,
    ];
  },
};

const division: DerivativeRule = {
  operator: 'Div',
  order: 'any',
  backward(context) {
    const b = context.input(1);
    const quotient = div(context.gradient(0), b);
    return [
      context.needs(0) ? sumTo(quotient, context.input(0)) : undefined,
      context.needs(1) ? neg(sumTo(mul(quotient, context.output(0)), b)) : undefined,
    ];
  },
};

const power: DerivativeRule = {
  operator: 'Pow',
  order: 'any',
  notes: 'd/dy x^y is 0 at x = 0; the exponent must be a float to get a gradient',
  backward(context) {
    const gradient = context.gradient(0);
    const [base, exponent] = [context.input(0), context.input(1)];
    const results: (Tensor | undefined)[] = [undefined, undefined];
    if (context.needs(0)) {
      const y = exponent.dataType === base.dataType ? exponent : exponent.cast(base.dataType);
      // y·x^(y-1) with the factor y first: 0·x^(-1) at x = 0 would be NaN for the constant power 0.
      const slope = mul(y, pow(base, sub(y, 1)));
      const isConstantPower = equal(y, 0);
      results[0] = sumTo(mul(gradient, where(isConstantPower, zerosLike(slope), slope)), base);
    }
    if (context.needs(1)) {
      // x^y·log(x), with 0 where x = 0: the limit from the right for y > 0, as PyTorch and JAX have it.
      const atZero = equal(base, 0);
      const safe = where(atZero, 1, base);
      results[1] = sumTo(mul(gradient, mul(context.output(0), log(safe))), exponent);
    }
    return results;
  },
};

export const arithmeticRules: readonly DerivativeRule[] = [addition, subtraction, multiplication, division, power];
