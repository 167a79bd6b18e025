export * from './tract.js';
