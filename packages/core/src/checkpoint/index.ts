export * from './checkpoint.js';
export * from './safetensors.js';
export { SAFETENSORS_TYPES, SafetensorsError, type SafetensorsType } from './safetensors-header.js';
