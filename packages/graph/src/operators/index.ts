import { OperatorTable, type OperatorSchema } from '../schema.js';
import { arithmeticSchemas } from './arithmetic.js';
import { matrixSchemas } from './matrix.js';

export * from './arithmetic.js';
export * from './matrix.js';

/** Every operator that Updraft knows. */
export const standardSchemas = (): readonly OperatorSchema[] => [...arithmeticSchemas, ...matrixSchemas];

/** A fresh table of every operator that Updraft knows; add your own to it. */
export const standardOperators = (): OperatorTable => new OperatorTable(standardSchemas());
