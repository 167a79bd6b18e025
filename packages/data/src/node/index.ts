export * from './corpora.js';
export * from './files.js';
export * from './mnist.js';
export * from './tables.js';
