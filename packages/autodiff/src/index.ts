export * from './decomposition.js';
export * from './derivative.js';
export * from './errors.js';
export * from './gradients.js';
export * from './rules/index.js';
