export { createProgram } from './program.js';
export { loadConfig, type Config } from './config.js';
