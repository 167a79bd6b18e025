export * from './check-gradients.js';
export * from './check-update-rule.js';
export * from './errors.js';
export {
  registerKit,
  runKit,
  type Check,
  type CheckResult,
  type ContractKit,
  type KitSettings,
  type TestRunner,
} from './kit/contract-kit.js';
export type { OptionEffect, OptionSettings } from './kit/option-checks.js';
export { oneSidedDrift, residualStatistics, type ResidualStatistics } from './kit/residuals.js';
export type { Options, Subject } from './kit/subject.js';
export * from './trace-update-rule.js';
export type { TaskParameter, TaskParameters } from './update-rule/tasks.js';
export type { Task } from './update-rule/trace-rule.js';
export {
  testUpdateRule,
  updateRuleKit,
  type ConvergenceClaim,
  type UpdateRuleSettings,
} from './update-rule/update-rule-kit.js';
export { aggregatorKit, testAggregator, type AggregatorSettings } from './aggregator/aggregator-kit.js';
export {
  traceAggregator,
  type AggregatorTraceSettings,
  type GivenSource,
  type RoundResult,
} from './aggregator/trace-aggregator.js';
export { goldenTensors, parseGolden, type GoldenFile, type GoldenTensors } from './golden/golden-file.js';
export {
  rewardKit,
  testReward,
  type AdvantageSettings,
  type ObjectiveSettings,
  type RewardSettings,
  type ScoreSettings,
} from './reward/reward-kit.js';
export { type Draw, type FeedbackMaker } from './sampler/draws.js';
export { samplerKit, testSampler, type PassClaim, type SamplerSettings } from './sampler/sampler-kit.js';
export {
  generationKit,
  testGenerationSampler,
  type GenerationSettings,
  type GenerationSubject,
} from './sampler/generation-kit.js';
export { runGolden } from './golden/run-golden.js';
export { parseProbeCases, runProbeCase, type ProbeCase, type ProbeCaseSettings } from './golden/probe-cases.js';
export { optionsTable, resultsText } from './package-text.js';
