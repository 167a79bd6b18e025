export * from './checkpoint/index.js';
export * from './contracts/index.js';
export * from './drivers/evaluate.js';
export { EventRun } from './drivers/event-run.js';
export * from './drivers/federate.js';
export {
  screenSources,
  SourceError,
  type ClientUpload,
  type ExpectedSources,
  type SourceReport,
} from './drivers/federate-sources.js';
export * from './drivers/generate.js';
export * from './drivers/merge.js';
export { bindShape, bindSizes, fillNoise } from './drivers/noise.js';
export * from './drivers/train.js';
export * from './drivers/train-black-box.js';
export * from './errors.js';
export * from './events/index.js';
export * from './export/export-model.js';
export * from './linear-algebra/index.js';
export * from './module/index.js';
export * from './options/index.js';
export * from './plugins/index.js';
export * from './probe/index.js';
export * from './program/index.js';
export * from './random/index.js';
export * from './ratio.js';
export * from './tree.js';
