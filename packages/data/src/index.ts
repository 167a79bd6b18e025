export * from './augmentation.js';
export {
  BatchCursor,
  batches,
  type Batches,
  type BatchOptions,
  type BatchPosition,
  type BatchTransform,
  type DatasetBatch,
  type PrefetchOptions,
} from './batches.js';
export * from './byte-pair-encoding.js';
export { dirichletShards, type DirichletShardOptions } from './client-shards.js';
export * from './combinators.js';
export * from './dataset.js';
export { DATASET, provideDataset, requireDataset } from './dataset-service.js';
export { DataError } from './errors.js';
export * from './gzip.js';
export * from './hugging-face-tokenizer.js';
export * from './idx.js';
export * from './image-distortions.js';
export { imageSteps, imageStepsOf, type ImageStepOption } from './image-step-options.js';
export * from './in-memory.js';
export * from './language-windows.js';
export { meanPooled, type MeanPooledOptions } from './mean-pooled.js';
export * from './mnist.js';
export * from './samplers.js';
export * from './stream.js';
export * from './synthetic/index.js';
export * from './table.js';
export * from './table-dataset.js';
export {
  fitTable,
  type CategoricalFeature,
  type FitTableOptions,
  type NumericFeature,
  type TableSchema,
  type TargetColumn,
} from './table-schema.js';
export { byteTokenizer, type Tokenizer } from './tokenizer.js';
