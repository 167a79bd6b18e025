import type { Backend } from '@updraft/backend';
import { traceAggregator } from '../aggregator/trace-aggregator.js';
import { assertClose } from '../kit/compare.js';
import type { ResolvedSubject } from '../kit/subject.js';
import { goldenTensors, type GoldenFile } from './golden-file.js';

/** Compare an aggregator with the rounds of a golden file. @throws ContractError */
export async function runAggregatorGolden(
  subject: ResolvedSubject<'aggregator'>,
  file: GoldenFile<'aggregator'>,
  backend: Backend,
  own: number | undefined,
): Promise<void> {
  for (const { name, options, rounds, tolerance } of file.cases) {
    const where = `golden case "${name}" (${file.origin})`;
    const results = await traceAggregator({
      backend,
      aggregator: subject.create(options),
      own,
      rounds: rounds.map(({ sources }) =>
        sources.map(({ id, weight, values }) => ({ id, weight, values: goldenTensors(values, where) })),
      ),
    });
    rounds.forEach(({ expected }, index) => {
      const at = `${where}, round ${index + 1}`;
      assertClose(results[index]?.values ?? {}, goldenTensors(expected.values, at), tolerance, at);
      const state = goldenTensors(expected.state ?? {}, at);
      assertClose(
        Object.fromEntries(Object.entries(results[index]?.state ?? {}).filter(([path]) => state[path] !== undefined)),
        state,
        tolerance,
        `${at}, state`,
      );
    });
  }
}
