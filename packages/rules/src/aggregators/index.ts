export * from './mean.js';
export * from './median.js';
export * from './trimmed-mean.js';
