import type { Backend } from '@updraft/backend';
import { ContractError } from '../errors.js';
import { assertClose, type Named } from '../kit/compare.js';
import type { ResolvedSubject } from '../kit/subject.js';
import { rewardProgram, type Columns } from '../reward/evaluate-reward.js';
import { goldenNumber, goldenTensors, type GoldenFile } from './golden-file.js';

const specsOf = (values: Named): Columns =>
  Object.fromEntries(Object.entries(values).map(([name, { dataType, dims }]) => [name, { dataType, shape: dims }]));

const numbers = (values: readonly number[]): Named => ({
  values: { dataType: 'float64', dims: [values.length], data: Float64Array.from(values) },
});

/** Compare a reward with the values of a golden file: objective, scores and advantages, whichever it gives. @throws ContractError */
export async function runRewardGolden(
  subject: ResolvedSubject<'reward'>,
  file: GoldenFile<'reward'>,
  backend: Backend,
): Promise<void> {
  for (const one of file.cases) {
    const { name, options, expected, tolerance } = one;
    const where = `golden case "${name}" (${file.origin})`;
    const reward = subject.create(options);
    if (expected !== undefined) {
      const [batch, outputs] = [goldenTensors(one.batch ?? {}, where), goldenTensors(one.outputs ?? {}, where)];
      const program = await rewardProgram({
        backend,
        reward,
        columns: specsOf(batch),
        outputs: specsOf(outputs),
        training: true,
        differentiate: expected.gradients !== undefined,
      });
      try {
        const found = await program.evaluate(batch, outputs);
        const scalars = (loss: number, metrics: Readonly<Record<string, number>>): Named =>
          Object.fromEntries(
            Object.entries({ loss, ...metrics }).map(([key, value]) => [
              key,
              { dataType: 'float64', dims: [], data: Float64Array.of(value) },
            ]),
          );
        const metrics = Object.fromEntries(
          Object.entries(expected.metrics ?? {}).map(([key, value]) => [key, goldenNumber(value)]),
        );
        assertClose(
          scalars(found.loss, Object.fromEntries(Object.keys(metrics).map((key) => [key, found.metrics[key] ?? NaN]))),
          scalars(goldenNumber(expected.loss), metrics),
          tolerance,
          where,
        );
        for (const group of ['perExample', 'gradients'] as const) {
          const wanted = goldenTensors(expected[group] ?? {}, where);
          const own = Object.fromEntries(Object.entries(found[group]).filter(([key]) => wanted[key] !== undefined));
          assertClose(own, wanted, tolerance, `${where}, ${group}`);
        }
      } finally {
        await program.dispose();
      }
    }
    if (one.items !== undefined && one.scores !== undefined) {
      const found = await reward.score?.(one.items);
      if (found === undefined) throw new ContractError(`The ${where} has scores, but the reward gives none.`);
      assertClose(numbers(found), numbers(one.scores.map(goldenNumber)), tolerance, `${where}, scores`);
    }
    if (one.advantages !== undefined) {
      const found = reward.advantages?.((one.scores ?? []).map(goldenNumber), one.groups);
      if (found === undefined) throw new ContractError(`The ${where} has advantages, but the reward gives none.`);
      assertClose(numbers(found), numbers(one.advantages.map(goldenNumber)), tolerance, `${where}, advantages`);
    }
  }
}
