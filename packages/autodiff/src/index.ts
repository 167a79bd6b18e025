export * from './checkpoint.js';
export * from './decomposition.js';
export * from './derivative.js';
export * from './errors.js';
export * from './gradients.js';
export * from './per-sample.js';
export * from './rules/index.js';
export * from './second-order.js';
export { stopGradient, straightThrough } from './stop-gradient.js';
