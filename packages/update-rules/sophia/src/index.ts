export { gnbDiagonal, hutchinsonDiagonal, type DiagonalEstimate, type DiagonalEstimator } from './estimators.js';
export * from './sophia.js';
export { winRate } from './win-rate.js';
