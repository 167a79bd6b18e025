import type { Backend } from '@updraft/backend';
import { defineModel, train, type Reward, type Sampler, type UpdateRule } from '@updraft/core';
import type { Tensor, TensorData } from '@updraft/graph';
import { ContractError } from './errors.js';

type Named = Readonly<Record<string, TensorData>>;

export interface UpdateRuleTraceOptions {
  readonly backend: Backend;
  /** Makes the rule; called once per run, so that no run sees another one's memory. */
  readonly rule: () => UpdateRule;
  /** First values of the parameters, float32. */
  readonly params: Named;
  /** The gradients of each step: for every parameter a tensor of its shape. */
  readonly gradients: readonly Named[];
  /** Default 0. */
  readonly seed?: number;
}

const shapesOf = (values: Named): Record<string, readonly number[]> =>
  Object.fromEntries(Object.entries(values).map(([name, { dims }]) => [name, dims]));

/** A model whose loss is the sum of ⟨parameter, column of the batch⟩: its gradients are the columns. */
function givenGradients(
  params: Named,
  gradients: readonly Named[],
): { model: ReturnType<typeof defineModel>; reward: Reward; sampler: Sampler } {
  const shapes = Object.entries(shapesOf(params));
  let position = 0;
  return {
    model: defineModel({
      name: 'given-gradients',
      inputs: {},
      build: (scope) =>
        Object.fromEntries(
          shapes.map(([name, shape]) => [
            name,
            scope.parameter(name, shape, { initialize: () => new Float32Array(0) }),
          ]),
        ),
    }),
    reward: {
      objective: ({ batch, forward }) => {
        const values = forward();
        const terms = shapes.map(([name]) => (values[name] as Tensor).mul(batch[name] as Tensor).sum());
        return { loss: terms.reduce((total, term) => total.add(term)) };
      },
    },
    sampler: {
      columns: Object.fromEntries(shapes.map(([name, shape]) => [name, { dataType: 'float32', shape }])),
      draw: () => ({ columns: gradients[position++] as Named, size: 1 }),
      state: () => position,
      restore: (state) => {
        position = Number(state);
      },
    },
  };
}

/**
 * Parameters after every step of a rule that is given its gradients: what golden values of an independent implementation
 * are compared with. Each element of the result holds copies of all parameters.
 *
 * @throws ContractError where gradients are missing or of another shape than their parameter.
 */
export async function traceUpdateRule(options: UpdateRuleTraceOptions): Promise<Named[]> {
  const { backend, rule, params, gradients, seed = 0 } = options;
  gradients.forEach((step, index) => {
    for (const [name, { dims }] of Object.entries(params))
      if (step[name]?.dims.join() !== dims.join())
        throw new ContractError(`The gradients of step ${index + 1} hold no "${name}" of shape [${dims.join(', ')}].`);
  });
  const trace: Named[] = [];
  for (let steps = 1; steps <= gradients.length; steps++) {
    const pipeline = givenGradients(params, gradients);
    const result = await train({ ...pipeline, updateRule: rule(), backend, steps, seed, initial: params }).result();
    trace.push(result.params);
  }
  return trace;
}
