export * from './auon.js';
export { coshRms, newtonSchulz } from './matrix-update.js';
