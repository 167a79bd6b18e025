export * from './lion.js';
