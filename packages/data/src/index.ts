export * from './csv.js';
export * from './dataset.js';
export { DataError } from './errors.js';
export * from './idx.js';
export * from './mnist.js';
export * from './samplers.js';
export * from './synthetic.js';
export * from './text.js';
