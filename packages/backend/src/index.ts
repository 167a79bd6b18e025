export * from './backend.js';
export { chunkSteps, type ChunkOptions } from './chunk.js';
export { createBackend, type NodeBackendOptions } from './create-backend.js';
export * from './errors.js';
export { OrtBackend } from './ort-backend.js';
export type { BackendOptions } from './select.js';
