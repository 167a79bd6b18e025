export * from './backend.js';
export { createBackend } from './create-backend.js';
export * from './errors.js';
export { OrtBackend } from './ort-backend.js';
export type { BackendOptions } from './select.js';
