export { normalQuantile } from './normal-quantile.js';
export { philox } from './philox.js';
export * from './random-stream.js';
