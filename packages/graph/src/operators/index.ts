import { OperatorTable, type OperatorSchema } from '../schema.js';
import { arithmeticSchemas } from './arithmetic.js';
import { convolutionSchemas } from './convolution.js';
import { matrixSchemas } from './matrix.js';
import { poolingSchemas } from './pooling.js';

export * from './arithmetic.js';
export * from './convolution.js';
export * from './matrix.js';
export * from './pooling.js';
export type { AutoPad, SpatialWindow, WindowOptions } from './window.js';

/** Every operator that Updraft knows. */
export const standardSchemas = (): readonly OperatorSchema[] => [
  ...arithmeticSchemas,
  ...matrixSchemas,
  ...convolutionSchemas,
  ...poolingSchemas,
];

/** A fresh table of every operator that Updraft knows; add your own to it. */
export const standardOperators = (): OperatorTable => new OperatorTable(standardSchemas());
