export * from './aggregator.js';
export * from './client-rule.js';
export * from './generation-sampler.js';
export * from './reward.js';
export * from './sampler.js';
export * from './update-rule.js';
