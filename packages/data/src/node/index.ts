export * from './mnist.js';
