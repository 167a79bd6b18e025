export { createProgram } from './program.js';
export { loadConfig } from './config/load-config.js';
export type { Config } from './config/schema.js';
