export { naturalLogarithm, normalQuantile } from './normal-quantile.js';
export { philoxBlocks } from './philox.js';
export * from './random-stream.js';
