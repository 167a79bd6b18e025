import type { Backend } from '@updraft/backend';
import type { ContractName } from '@updraft/core';
import { resolveSubject, type Subject } from '../kit/subject.js';
import { runAggregatorGolden } from './aggregator-golden.js';
import { parseGolden } from './golden-file.js';
import { runRewardGolden } from './reward-golden.js';
import { runSamplerGolden } from './sampler-golden.js';
import { runUpdateRuleGolden } from './update-rule-golden.js';

/**
 * Compare an implementation with the cases of a golden file, apart from the other checks of its kit.
 *
 * @param json Contents of the file.
 * @throws ContractError for a file that is wrong and for values that differ, with the case and its origin.
 */
export async function runGolden<C extends ContractName>(
  contract: C,
  given: Subject<C>,
  json: unknown,
  backend: Backend,
): Promise<void> {
  // One contract at a time: each has cases of its own form.
  const runners: { readonly [Name in ContractName]: () => Promise<void> } = {
    'update-rule': async () => {
      const subject = resolveSubject('update-rule', given as Subject<'update-rule'>);
      await runUpdateRuleGolden(subject, parseGolden('update-rule', subject.name, json), backend);
    },
    sampler: async () => {
      const subject = resolveSubject('sampler', given as Subject<'sampler'>);
      await runSamplerGolden(subject, parseGolden('sampler', subject.name, json));
    },
    reward: async () => {
      const subject = resolveSubject('reward', given as Subject<'reward'>);
      await runRewardGolden(subject, parseGolden('reward', subject.name, json), backend);
    },
    aggregator: async () => {
      const subject = resolveSubject('aggregator', given as Subject<'aggregator'>);
      await runAggregatorGolden(subject, parseGolden('aggregator', subject.name, json), backend, undefined);
    },
  };
  await runners[contract]();
}
