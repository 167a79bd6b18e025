export * from './file-checkpoint-store.js';
