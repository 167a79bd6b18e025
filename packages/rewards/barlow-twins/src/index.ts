export * from './barlow-twins.js';
export * from './linear-probe.js';
export * from './paper.js';
export * from './twin-model.js';
export * from './twin-views.js';
export { lars } from '@updraft/rules';
