export * from './check-gradients.js';
export * from './check-update-rule.js';
export * from './errors.js';
export * from './trace-update-rule.js';
