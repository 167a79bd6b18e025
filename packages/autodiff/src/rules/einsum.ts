import { einsum, einsumTerms, emptyTensor, mul, sumTo, writeElement, type Tensor } from '@updraft/graph';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** An identity matrix, whose product puts values on the diagonal of two axes. */
function diagonal(context: DerivativeContext, operand: Tensor, axis: number): Tensor {
  const size = operand.shape[axis];
  if (typeof size !== 'number')
    return context.fail('a label that repeats within a term needs a known size', 'Bind that dimension to a number.');
  const { dataType } = operand;
  const eye = emptyTensor(dataType, [size, size]);
  for (let at = 0; at < size; at++) writeElement(eye, at * (size + 1), 1);
  return operand.graph.constant(eye);
}

/**
 * The gradient of one operand is a sum of products of the output's gradient and the other operands, labelled by the
 * operand. A label that repeats in it lies on a diagonal; a label that nothing else has was summed over.
 */
function einsumBackward(context: DerivativeContext): (Tensor | undefined)[] {
  const operands = context.node.inputs as readonly Tensor[];
  const terms = einsumTerms(
    context.node.string('equation'),
    operands.map(({ rank }) => rank),
  );
  // Ellipses have become labels of their own: one letter for each.
  const unused = [...LETTERS];
  const letters = new Map<string, string>();
  const letter = (label: string): string => {
    const known = letters.get(label);
    if (known !== undefined) return known;
    const next = unused.shift() ?? context.fail('it has more labels than there are letters');
    letters.set(label, next);
    return next;
  };
  const inputs = terms.inputs.map((labels) => labels.map(letter));
  const output = terms.output.map(letter);
  const gradient = context.gradient(0);

  return operands.map((operand, index) => {
    if (!context.needs(index)) return undefined;
    const factors = [
      { labels: output, value: gradient },
      ...inputs.flatMap((labels, at) => (at === index ? [] : [{ labels, value: operands[at] as Tensor }])),
    ];
    const spare = [...unused];
    const wanted = (inputs[index] as readonly string[]).map((label, axis, all) => {
      if (all.indexOf(label) === axis) return label;
      const fresh = spare.shift() ?? context.fail('it has more labels than there are letters');
      factors.push({ labels: [label, fresh], value: diagonal(context, operand, axis) });
      return fresh;
    });
    const tensors = factors.filter(({ labels }) => labels.length > 0);
    const scalars = factors.filter(({ labels }) => labels.length === 0).map(({ value }) => value);
    const available = new Set(tensors.flatMap(({ labels }) => labels));
    const kept = wanted.filter((label) => available.has(label));
    const equation = `${tensors.map(({ labels }) => labels.join('')).join()}->${kept.join('')}`;
    let result = tensors.length === 0 ? undefined : einsum(equation, ...tensors.map(({ value }) => value));
    for (const scalar of scalars) result = result === undefined ? scalar : mul(result, scalar);
    const missing = wanted.flatMap((label, axis) => (available.has(label) ? [] : [axis]));
    const product = result as Tensor;
    return sumTo(missing.length === 0 ? product : product.unsqueeze(missing), operand);
  });
}

export const einsumRules: readonly DerivativeRule[] = [
  {
    operator: 'Einsum',
    order: 'any',
    notes: 'all equations: ellipses, diagonals (of known size), summed labels, any number of operands',
    backward: einsumBackward,
  },
];
