import type { Layer } from '@updraft/core';
import { concat, constantOfShape, scan, shapeOf, sigmoid, tanh, type Tensor } from '@updraft/graph';
import { glorotUniform, zeros } from '../initializers.js';
import { staticSize } from './dense.js';

export interface RecurrentOptions {
  readonly units: number;
  /** All states [batch, length, units] (default), or the last one [batch, units]. */
  readonly output?: 'sequence' | 'last';
  readonly name?: string;
}

/** Zeros [batch, units] for the batch of `x`. */
const initialState = (x: Tensor, units: number): Tensor =>
  constantOfShape(x.graph, concat([shapeOf(x).slice([0], [1]), x.graph.ints([units])], 0));

/** Run `step` over the time axis of [batch, length, width]. */
function unroll(
  x: Tensor,
  states: readonly Tensor[],
  output: RecurrentOptions['output'],
  step: (states: readonly Tensor[], input: Tensor) => readonly Tensor[],
): Tensor {
  const result = scan({ state: states, inputs: [x], inputAxes: [1], outputAxes: [1] }, (current, [input]) => {
    const next = step(current, input as Tensor);
    return { state: next, outputs: [(next[0] as Tensor).identity()] };
  });
  return output === 'last' ? (result.state[0] as Tensor) : (result.outputs[0] as Tensor);
}

/** Long short-term memory (Hochreiter and Schmidhuber 1997) over [batch, length, width]; forget bias 1. */
export const lstm =
  ({ units, output = 'sequence', name = 'lstm' }: RecurrentOptions): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => {
      const width = staticSize(x, -1, 'lstm()');
      const weight = inner.parameter('weight', [width, 4 * units], {
        initialize: glorotUniform({ in: width, out: 4 * units }),
        role: 'weight',
      });
      const recurrent = inner.parameter('recurrent', [units, 4 * units], {
        initialize: glorotUniform({ in: units, out: 4 * units }),
        role: 'weight',
      });
      const bias = inner.parameter('bias', [4 * units], {
        role: 'bias',
        initialize: (shape, random) => zeros(shape, random).fill(1, units, 2 * units),
      });
      const zero = initialState(x, units);
      // The product with the inputs does not depend on the state: one product for all steps.
      return unroll(x.matMul(weight).add(bias), [zero, zero], output, ([hidden, cell], input) => {
        const gates = input.add((hidden as Tensor).matMul(recurrent));
        const gate = (index: number): Tensor => gates.slice([index * units], [(index + 1) * units], [-1]);
        const nextCell = sigmoid(gate(1))
          .mul(cell as Tensor)
          .add(sigmoid(gate(0)).mul(tanh(gate(2))));
        return [sigmoid(gate(3)).mul(tanh(nextCell)), nextCell];
      });
    });

/** Gated recurrent unit (Cho et al. 2014) over [batch, length, width]. */
export const gru =
  ({ units, output = 'sequence', name = 'gru' }: RecurrentOptions): Layer =>
  (scope, x) =>
    scope.child(name, (inner) => {
      const width = staticSize(x, -1, 'gru()');
      const weight = inner.parameter('weight', [width, 3 * units], {
        initialize: glorotUniform({ in: width, out: 3 * units }),
        role: 'weight',
      });
      const recurrent = inner.parameter('recurrent', [units, 3 * units], {
        initialize: glorotUniform({ in: units, out: 3 * units }),
        role: 'weight',
      });
      const bias = inner.parameter('bias', [3 * units], { initialize: zeros, role: 'bias' });
      return unroll(x.matMul(weight).add(bias), [initialState(x, units)], output, ([hidden], input) => {
        const state = hidden as Tensor;
        const part = (all: Tensor, index: number): Tensor => all.slice([index * units], [(index + 1) * units], [-1]);
        const projected = state.matMul(recurrent);
        const reset = sigmoid(part(input, 0).add(part(projected, 0)));
        const update = sigmoid(part(input, 1).add(part(projected, 1)));
        const candidate = tanh(part(input, 2).add(reset.mul(part(projected, 2))));
        return [candidate.add(update.mul(state.sub(candidate)))];
      });
    });
