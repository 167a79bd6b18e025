export {
  defineExperiment,
  type Arm,
  type Claim,
  type Criterion,
  type Curve,
  type Experiment,
  type RunContext,
  type RunOutcome,
  type Setting,
  type Workload,
} from './experiment.js';
export { parseRecord, withExperiment, type ExperimentRecord, type MethodRecord, type Verdict } from './record.js';
export { figureText, markdownTable, plainTable, plotExperiment, settingText } from './render.js';
export { SettingResult, type ArmResult, type Comparison, type Results, type SeedResult } from './results.js';
export {
  MemoryRunStore,
  runExperiment,
  type ExperimentOptions,
  type ExperimentProgress,
  type ExperimentRun,
  type RunStore,
  type StoredRun,
  type Surroundings,
} from './run-experiment.js';
export { trainAndEvaluate, type TrainingRun } from './train-and-evaluate.js';
