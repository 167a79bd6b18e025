import type { Tensor } from '@updraft/graph';
import type { DerivativeContext, DerivativeFacts, DerivativeRule } from './derivative.js';

/**
 * A rule for an operator that is written out in simpler operators: its derivative is that of the written-out form, to
 * any order. `decompose` gives one tensor per output of the node that can carry a gradient (`undefined`: none).
 */
export const byDecomposition = (
  operator: string,
  decompose: (context: DerivativeContext) => readonly (Tensor | undefined)[],
  facts: Partial<DerivativeFacts> = {},
): DerivativeRule => ({
  operator,
  order: 'any',
  ...facts,
  backward(context) {
    const outputs = decompose(context);
    const heads: Tensor[] = [];
    const seeds: Tensor[] = [];
    context.outputGradients.forEach((gradient, index) => {
      if (gradient === undefined) return;
      const output = outputs[index] ?? context.fail(`its output ${index} has no derivative`);
      heads.push(output);
      seeds.push(gradient);
    });
    const wanted = context.inputs.flatMap((input, index) =>
      input !== undefined && context.needs(index) ? [{ input, index }] : [],
    );
    const results = context.differentiate(
      heads,
      wanted.map(({ input }) => input),
      seeds,
    );
    const all: (Tensor | undefined)[] = context.inputs.map(() => undefined);
    wanted.forEach(({ index }, at) => {
      all[index] = results[at];
    });
    return all;
  },
});
