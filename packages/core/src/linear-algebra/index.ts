export { defaultLinearAlgebra, matrixOf, type HostMatrix, type LinearAlgebra } from './linear-algebra.js';
export { inversePositiveDefinite } from './symbolic.js';
