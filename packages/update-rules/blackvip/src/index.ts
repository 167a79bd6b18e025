export * from './coordinator.js';
export * from './spsa-gc.js';
