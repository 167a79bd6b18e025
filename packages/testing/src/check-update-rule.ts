import type { TensorData } from '@updraft/graph';
import { ContractError } from './errors.js';
import { traceUpdateRule, type UpdateRuleTraceOptions } from './trace-update-rule.js';

const same = (left: TensorData, right: TensorData): boolean => {
  const [a, b] = [left.data as Float32Array, right.data as Float32Array];
  return a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
};

/**
 * What holds for every update rule: parameters keep their names, shapes and types, finite gradients lead to finite
 * parameters, some parameter moves, and two runs from the same seed end with the same bits.
 *
 * @throws ContractError naming the parameter and the step that break the contract.
 */
export async function checkUpdateRule(options: UpdateRuleTraceOptions): Promise<void> {
  const first = await traceUpdateRule(options);
  const second = await traceUpdateRule(options);
  const names = Object.keys(options.params);
  for (const [index, values] of first.entries())
    for (const name of names) {
      const where = `"${name}" after step ${index + 1}`;
      const before = options.params[name] as TensorData;
      const after = values[name];
      if (after === undefined) throw new ContractError(`The rule lost ${where}.`);
      if (after.dataType !== before.dataType || after.dims.join() !== before.dims.join())
        throw new ContractError(`The rule made ${where} a ${after.dataType} [${after.dims.join(', ')}].`);
      if (!(after.data as Float32Array).every(Number.isFinite))
        throw new ContractError(`The rule made ${where} infinite or NaN from finite gradients.`);
      if (!same(after, second[index]?.[name] as TensorData))
        throw new ContractError(`Two runs of the rule from one seed differ in ${where}.`, {
          hint: 'Draw random numbers from context.noise() only, and keep what changes in declared state.',
        });
    }
  const last = first.at(-1);
  if (last !== undefined && names.every((name) => same(options.params[name] as TensorData, last[name] as TensorData)))
    throw new ContractError('The rule changed no parameter.');
}
