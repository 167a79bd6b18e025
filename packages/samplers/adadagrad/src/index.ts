export * from './adagrad.js';
export * from './adaptive-batch.js';
export { batchStatistics } from './batch-statistics.js';
export * from './size-tests.js';
export * from './statistics.js';
