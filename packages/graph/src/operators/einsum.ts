import { apply } from '../apply.js';
import type { Dim } from '../dimension.js';
import type { OperatorSchema } from '../schema.js';
import { ShapeError } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { NUMBERS } from '../type-sets.js';

/** A parsed Einsum equation: one label per axis of every input and of the output. */
export interface EinsumTerms {
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
}

const ELLIPSIS = '...';

/** `ij...` as its labels and at most one ellipsis. */
function labelsOf(term: string, equation: string): readonly string[] {
  const labels = term.match(/\.\.\.|[A-Za-z]|./gs) ?? [];
  const bad = labels.find((label) => !/^(?:\.\.\.|[A-Za-z])$/.test(label));
  if (bad !== undefined)
    throw new ShapeError(`The Einsum equation "${equation}" holds "${bad}".`, {
      hint: 'Terms consist of letters and at most one "..."; write it as "ij,jk->ik".',
    });
  if (labels.filter((label) => label === ELLIPSIS).length > 1)
    throw new ShapeError(`The term "${term}" of the Einsum equation "${equation}" has more than one ellipsis.`);
  return labels;
}

/** The ellipsis replaced by labels of its axes, counted from the last: `.1` is the last, `.2` the one before. */
const expand = (labels: readonly string[], axes: number): readonly string[] =>
  labels.flatMap((label) =>
    label === ELLIPSIS ? Array.from({ length: axes }, (_, index) => `.${axes - index}`) : [label],
  );

/**
 * Parse an Einsum equation for inputs of these ranks. Ellipses become the labels `.n` to `.1`; without `->` the output
 * holds the ellipsis and then every label that occurs once, in alphabetical order. Throws {@link ShapeError}.
 */
export function einsumTerms(equation: string, ranks: readonly number[]): EinsumTerms {
  const compact = equation.replace(/\s+/g, '');
  const [left, right, ...rest] = compact.split('->') as [string, string | undefined, ...string[]];
  if (rest.length > 0) throw new ShapeError(`The Einsum equation "${equation}" has more than one "->".`);
  const terms = left.split(',').map((term) => labelsOf(term, equation));
  if (terms.length !== ranks.length)
    throw new ShapeError(`The Einsum equation "${equation}" has ${terms.length} terms for ${ranks.length} inputs.`);
  let ellipsisAxes: number | undefined;
  const inputs = terms.map((labels, index) => {
    const rank = ranks[index] as number;
    const named = labels.filter((label) => label !== ELLIPSIS).length;
    const axes = labels.includes(ELLIPSIS) ? rank - named : 0;
    if (axes < 0 || named + axes !== rank)
      throw new ShapeError(
        `The term "${labels.join('')}" of the Einsum equation "${equation}" does not fit an input of rank ${rank}.`,
        { hint: 'Give one letter per axis, or "..." for the axes that broadcast.' },
      );
    if (labels.includes(ELLIPSIS)) {
      if (ellipsisAxes !== undefined && ellipsisAxes !== axes)
        throw new ShapeError(
          `The ellipsis of the Einsum equation "${equation}" stands for ${ellipsisAxes} axes in one input and ${axes} in another.`,
          { hint: 'Add axes of size 1 with unsqueeze() until they are as many.' },
        );
      ellipsisAxes = axes;
    }
    return expand(labels, axes);
  });
  const hasEllipsis = terms.some((labels) => labels.includes(ELLIPSIS));
  const counts = new Map<string, number>();
  for (const label of terms.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  const implicit = [...counts.keys()].filter((label) => label !== ELLIPSIS && counts.get(label) === 1).sort();
  const output = right === undefined ? [...(hasEllipsis ? [ELLIPSIS] : []), ...implicit] : labelsOf(right, equation);
  for (const [at, label] of output.entries()) {
    if (!counts.has(label))
      throw new ShapeError(`The output of the Einsum equation "${equation}" has "${label}", which no input has.`);
    if (output.indexOf(label) !== at)
      throw new ShapeError(`The output of the Einsum equation "${equation}" has "${label}" more than once.`);
  }
  if (hasEllipsis && !output.includes(ELLIPSIS))
    throw new ShapeError(`The output of the Einsum equation "${equation}" lacks the ellipsis of its inputs.`);
  return { inputs, output: expand(output, ellipsisAxes ?? 0) };
}

const EINSUM: OperatorSchema = {
  type: 'Einsum',
  since: 12,
  inputs: [{ name: 'Inputs', types: NUMBERS.filter((type) => type !== 'bfloat16'), typeVariable: 'T', variadic: true }],
  attributes: { equation: { kind: 'string', required: true } },
  infer(context) {
    const inputs = context.inputs.map((_, index) => context.input(index));
    let terms: EinsumTerms;
    try {
      terms = einsumTerms(
        context.node.string('equation'),
        inputs.map(({ rank }) => rank),
      );
    } catch (error) {
      if (error instanceof ShapeError) {
        const { message, hint = '' } = error;
        context.fail(
          message.slice(0, message.length - hint.length).replace(/\. ?$/, ''),
          hint === '' ? undefined : hint,
        );
      }
      throw error;
    }
    const sizes = new Map<string, Dim>();
    inputs.forEach((input, index) => {
      input.shape.forEach((dim, axis) => {
        const label = terms.inputs[index]?.[axis] as string;
        const known = sizes.get(label);
        sizes.set(label, known === undefined ? dim : (context.broadcast([known], [dim])[0] as Dim));
      });
    });
    return [{ dataType: context.input(0).dataType, shape: terms.output.map((label) => sizes.get(label) as Dim) }];
  },
};

export const einsumSchemas: readonly OperatorSchema[] = [EINSUM];

/**
 * Sum of products by labelled axes: `einsum('bij,bjk->bik', a, b)`. A label that occurs twice in one term takes the
 * diagonal; labels missing from the output are summed over; `...` stands for axes that broadcast.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  // ONNX Runtime 1.30 refuses upper-case labels in an output that it has to work out itself.
  const explicit = equation.includes('->') ? equation : `${equation}->${implicitOutput(equation, operands)}`;
  return apply(EINSUM, operands, { equation: explicit });
}

function implicitOutput(equation: string, operands: readonly Tensor[]): string {
  const { output } = einsumTerms(
    equation,
    operands.map(({ rank }) => rank),
  );
  return (equation.includes(ELLIPSIS) ? ELLIPSIS : '') + output.filter((label) => !label.startsWith('.')).join('');
}
