export { frozen, frozenGraph, type FrozenModel } from './frozen.js';
export * from './module.js';
export * from './parameter.js';
export * from './passes.js';
export * from './scope.js';
