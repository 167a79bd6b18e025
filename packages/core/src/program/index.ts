export * from './aggregation.js';
export * from './joint-norm.js';
export { isWeightTap, layerRows, type LayerRows } from './layer-rows.js';
export * from './model-specs.js';
export * from './objective.js';
export * from './step-program.js';
export * from './tracer.js';
export * from './update-context.js';
