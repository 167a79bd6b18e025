export { blobs, spirals, twoMoons, type BlobsOptions, type MoonsOptions, type SpiralsOptions } from './points.js';
export * from './sequences.js';
export * from './teachers.js';
