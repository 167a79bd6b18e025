export * from './adafactor.js';
export * from './adam.js';
export * from './clipping.js';
export * from './composition.js';
export { DerivedContext, type ContextChanges } from './derived-context.js';
export * from './muon.js';
export * from './rmsprop.js';
export * as schedules from './schedules.js';
export * from './sgd.js';
