export * from './local.js';
export * from './server.js';
