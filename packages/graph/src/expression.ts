import type { Node } from './node.js';
import { shapeText } from './shape.js';
import { Tensor } from './tensor.js';

const MAX_DEPTH = 3;

/** A value or node as a short expression: `Add(MatMul(x[batch, 784], w[784, 10]), b[10])`. For error messages. */
export function expressionText(subject: Tensor | Node, depth = MAX_DEPTH): string {
  if (subject instanceof Tensor) {
    if (subject.producer !== undefined && depth > 0) return expressionText(subject.producer, depth);
    return `${subject.name}${shapeText(subject.shape)}`;
  }
  const operands = subject.inputs.map((input) => (input === undefined ? '_' : expressionText(input, depth - 1)));
  return `${subject.type}(${operands.join(', ')})`;
}
