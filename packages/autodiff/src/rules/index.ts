import { DerivativeTable, type DerivativeRule } from '../derivative.js';
import { arithmeticRules } from './arithmetic.js';

/** Every standard derivative rule, by family. */
export const standardRules = (): readonly DerivativeRule[] => [...arithmeticRules];

let shared: DerivativeTable | undefined;

/** The standard rules as a table; pass your own table (`new DerivativeTable([...standardRules(), mine])`) to extend it. */
export const standardDerivatives = (): DerivativeTable => (shared ??= new DerivativeTable(standardRules()));
