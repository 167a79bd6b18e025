export { defineOptions } from './define-options.js';
export { describeOptions, optionsJsonSchema, type OptionRow } from './describe-options.js';
export { OptionsError, type OptionProblem } from './options-error.js';
export * from './parameter-choice.js';
export { parseOptions, type ParseContext } from './parse-options.js';
export { pluginOption, type RevivePlugin } from './plugin-option.js';
export * from './scalar.js';
export * from './schedule.js';
