export * from './contrast-images.js';
export { blobs, spirals, twoMoons, type BlobsOptions, type MoonsOptions, type SpiralsOptions } from './points.js';
export * from './prototype-images.js';
export * from './sequences.js';
export * from './teachers.js';
export * from './teacher-task.js';
