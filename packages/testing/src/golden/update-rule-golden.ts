import type { Backend } from '@updraft/backend';
import { ContractError } from '../errors.js';
import { assertOneTrajectory, type Named } from '../kit/compare.js';
import type { ResolvedSubject } from '../kit/subject.js';
import { givenGradients, type TaskParameters } from '../update-rule/tasks.js';
import { traceRule } from '../update-rule/trace-rule.js';
import { goldenTensors, type GoldenFile } from './golden-file.js';

/** Compare a rule with the values of a golden file. @throws ContractError */
export async function runUpdateRuleGolden(
  subject: ResolvedSubject<'update-rule'>,
  file: GoldenFile<'update-rule'>,
  backend: Backend,
): Promise<void> {
  for (const { name, options, seed, params, gradients, sampledGradients, expected, tolerance } of file.cases) {
    const where = `golden case "${name}" (${file.origin})`;
    if (sampledGradients !== undefined && sampledGradients.length !== gradients.length)
      throw new ContractError(`The ${where} has ${gradients.length} gradients and ${sampledGradients.length} sampled ones.`);
    const initial = goldenTensors(params, where);
    const parameters: TaskParameters = Object.fromEntries(
      Object.entries(initial).map(([param, { dims }]) => [param, { shape: dims, role: roleOf(dims) }]),
    );
    const { params: found, state } = await traceRule({
      backend,
      rule: subject.create(options),
      task: givenGradients(
        parameters,
        initial,
        gradients.map((step) => goldenTensors(step, where)),
        sampledGradients?.map((step) => goldenTensors(step, where)),
      ),
      steps: gradients.length,
      seed,
    });
    const at = <T>(values: readonly T[], step: number): T => {
      const value = values[step - 1];
      if (value === undefined) throw new ContractError(`The ${where} has values after step ${step}, but no gradients.`);
      return value;
    };
    const wanted = expected.map(({ params: values }) => goldenTensors(values, where));
    assertOneTrajectory(
      expected.map(({ step }) => at(found, step)),
      wanted,
      initial,
      tolerance,
      where,
    );
    const states = expected.flatMap(({ step, state: values }) =>
      values === undefined ? [] : [{ step, values: goldenTensors(values, where) }],
    );
    const [first] = states;
    if (first === undefined) continue;
    const named = (values: Named): Named =>
      Object.fromEntries(Object.entries(values).filter(([path]) => first.values[path] !== undefined));
    const zero = Object.fromEntries(
      Object.entries(first.values).map(([path, value]) => [path, { ...value, data: value.data.slice().fill(0 as never) }]),
    ) as Named;
    assertOneTrajectory(
      states.map(({ step }) => named(at(state, step))),
      states.map(({ values }) => values),
      zero,
      tolerance,
      `${where}, state`,
    );
  }
}

const roleOf = (dims: readonly number[]): 'weight' | 'bias' | 'other' =>
  dims.length >= 2 ? 'weight' : dims.length === 1 ? 'bias' : 'other';
