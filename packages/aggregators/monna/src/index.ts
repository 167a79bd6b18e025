export * from './attacks.js';
export * from './coordination.js';
export * from './line-search.js';
export * from './nearest-neighbour-averaging.js';
export * from './polyak-momentum.js';
export * from './worst-case-receipt.js';
