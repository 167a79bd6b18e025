export * from './options.js';
export * from './schedule.js';
