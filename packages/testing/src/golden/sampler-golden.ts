import { ContractError } from '../errors.js';
import { assertClose } from '../kit/compare.js';
import type { ResolvedSubject } from '../kit/subject.js';
import { drawOnce } from '../sampler/draws.js';
import { goldenNumber, goldenTensors, type GoldenFile } from './golden-file.js';

/** Compare a sampler with the draws of a golden file. @throws ContractError */
export async function runSamplerGolden(
  subject: ResolvedSubject<'sampler'>,
  file: GoldenFile<'sampler'>,
): Promise<void> {
  for (const { name, options, seed, draws, feedback, tolerance } of file.cases) {
    const where = `golden case "${name}" (${file.origin})`;
    const sampler = subject.create(options);
    for (const [index, expected] of draws.entries()) {
      const told = feedback?.[index];
      const found = await drawOnce(sampler, seed, index + 1, () => ({
        loss: goldenNumber(told?.loss ?? 0),
        metrics: Object.fromEntries(
          Object.entries(told?.metrics ?? {}).map(([metric, value]) => [metric, goldenNumber(value)]),
        ),
        perExample: goldenTensors(told?.perExample ?? {}, where),
      }));
      const at = `${where}, draw ${index + 1}`;
      if ((found === undefined) !== (expected === null))
        throw new ContractError(`${at}: the sampler ${found === undefined ? 'has ended' : 'goes on after its end'}.`);
      if (expected === null || found === undefined) continue;
      if (expected.ids !== undefined && JSON.stringify(found.ids) !== JSON.stringify(expected.ids))
        throw new ContractError(`${at}: the ids are ${JSON.stringify(found.ids)}, not ${JSON.stringify(expected.ids)}.`);
      const columns = goldenTensors(expected.columns ?? {}, at);
      assertClose(
        Object.fromEntries(Object.entries(found.columns).filter(([column]) => columns[column] !== undefined)),
        columns,
        tolerance,
        at,
      );
    }
  }
}
