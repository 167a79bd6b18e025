export * from './correction.js';
export * from './false-negative-rate.js';
export * from './group-rollouts.js';
export * from './noisy-verifiers.js';
export * from './tabular-policy.js';
