export * from './checkpoint.js';
export { superfluous, type BestPolicy, type KeepPolicy } from './keep-policy.js';
export * from './safetensors.js';
export { SAFETENSORS_TYPES, SafetensorsError, type SafetensorsType } from './safetensors-header.js';
