import { where, type Node, type Tensor } from '@updraft/graph';
import type { DerivativeRule } from './derivative.js';

/** Node metadata that replaces the derivative rule of the operator; copies of graphs keep it. */
const KEY = 'updraft.derivative';
const STOP = 'stop';
const STRAIGHT_THROUGH = 'straight-through';

function mark(value: Tensor, derivative: string): Tensor {
  if (value.producer !== undefined) value.producer.metadata = new Map([[KEY, derivative]]);
  return value;
}

/** The same value, as a constant of differentiation: no gradient flows through it. */
export const stopGradient = (x: Tensor): Tensor => mark(x.identity(), STOP);

/**
 * `value` going forward, while the gradient flows to `through` unchanged (straight-through estimator, Bengio et al.
 * 2013): `straightThrough(round(x), x)`. Both have one shape and element type.
 */
export const straightThrough = (value: Tensor, through: Tensor): Tensor =>
  mark(where(value.graph.constant(1, 'bool'), value, through), STRAIGHT_THROUGH);

const rules: Readonly<Record<string, DerivativeRule>> = {
  [STOP]: { operator: 'Identity', order: 'zero', backward: () => [] },
  [STRAIGHT_THROUGH]: {
    operator: 'Where',
    order: 'any',
    backward: (context) => [undefined, undefined, context.gradient(0)],
  },
};

/** The derivative that a node was marked with, in place of that of its operator. */
export const markedDerivative = (node: Node): DerivativeRule | undefined => rules[node.metadata.get(KEY) ?? ''];
