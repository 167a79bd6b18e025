export * from './model-specs.js';
export * from './objective.js';
export * from './step-program.js';
export * from './tracer.js';
export * from './update-context.js';
