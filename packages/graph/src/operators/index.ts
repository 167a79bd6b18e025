import { OperatorTable, type OperatorSchema } from '../schema.js';
import { arithmeticSchemas } from './arithmetic.js';
import { creationSchemas } from './creation.js';
import { elementwiseSchemas } from './elementwise.js';
import { indexingSchemas } from './indexing.js';
import { reductionSchemas } from './reductions.js';
import { shapeOperatorSchemas } from './shape-operators.js';
import { controlFlowSchemas } from './control-flow.js';
import { convolutionSchemas } from './convolution.js';
import { matrixSchemas } from './matrix.js';
import { poolingSchemas } from './pooling.js';
import { dropoutSchemas } from './dropout.js';
import { einsumSchemas } from './einsum.js';
import { lossSchemas } from './losses.js';
import { normalisationSchemas } from './normalisation.js';
import { quantisationSchemas } from './quantisation.js';
import { recurrentSchemas } from './recurrent.js';
import { resizeSchemas } from './resize.js';
import { attentionSchemas } from './attention.js';
import { microsoftSchemas } from './microsoft.js';
import { signalSchemas } from './signal.js';

export * from './arithmetic.js';
export * from './composed.js';
export * from './creation.js';
export * from './elementwise.js';
export * from './indexing.js';
export * from './reductions.js';
export * from './shape-operators.js';
export type { IntegerList } from './operands.js';
export * from './control-flow.js';
export * from './convolution.js';
export * from './matrix.js';
export * from './pooling.js';
export type { AutoPad, SpatialWindow, WindowOptions } from './window.js';
export * from './dropout.js';
export * from './einsum.js';
export * from './losses.js';
export * from './normalisation.js';
export * from './quantisation.js';
export * from './recurrent.js';
export * from './resize.js';
export * from './attention.js';
export * from './microsoft.js';
export * from './signal.js';

/** Every operator that Updraft knows. */
export const standardSchemas = (): readonly OperatorSchema[] => [
  ...arithmeticSchemas,
  ...creationSchemas,
  ...elementwiseSchemas,
  ...indexingSchemas,
  ...reductionSchemas,
  ...shapeOperatorSchemas,
  ...matrixSchemas,
  ...convolutionSchemas,
  ...poolingSchemas,
  ...dropoutSchemas,
  ...lossSchemas,
  ...normalisationSchemas,
  ...controlFlowSchemas,
  ...einsumSchemas,
  ...quantisationSchemas,
  ...recurrentSchemas,
  ...resizeSchemas,
  ...attentionSchemas,
  ...microsoftSchemas,
  ...signalSchemas,
];

/** A fresh table of every operator that Updraft knows; add your own to it. */
export const standardOperators = (): OperatorTable => new OperatorTable(standardSchemas());
