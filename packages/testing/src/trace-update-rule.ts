import type { Backend } from '@updraft/backend';
import type { UpdateRule } from '@updraft/core';
import { ContractError } from './errors.js';
import type { Named } from './kit/compare.js';
import { givenGradients, type TaskParameters } from './update-rule/tasks.js';
import { traceRule } from './update-rule/trace-rule.js';

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
  const parameters: TaskParameters = Object.fromEntries(
    Object.entries(params).map(([name, { dims }]) => [name, { shape: dims }]),
  );
  const task = givenGradients(parameters, params, gradients);
  return [...(await traceRule({ backend, rule: rule(), task, steps: gradients.length, seed })).params];
}
