export * from './aggregator.js';
export * from './reward.js';
export * from './sampler.js';
export * from './update-rule.js';
