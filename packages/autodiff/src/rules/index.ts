import { DerivativeTable, type DerivativeRule } from '../derivative.js';
import { arithmeticRules } from './arithmetic.js';
import { attentionRules } from './attention.js';
import { controlFlowRules } from './control-flow.js';
import { convolutionRules } from './convolution.js';
import { einsumRules } from './einsum.js';
import { elementwiseRules } from './elementwise.js';
import { indexingRules } from './indexing.js';
import { lossRules } from './losses.js';
import { matrixRules } from './matrix.js';
import { microsoftRules } from './microsoft.js';
import { microsoftModelRules } from './microsoft-models.js';
import { normalisationRules } from './normalisation.js';
import { poolingRules } from './pooling.js';
import { quantisationRules } from './quantisation.js';
import { recurrentRules } from './recurrent.js';
import { reductionRules } from './reductions.js';
import { resizeRules } from './resize.js';
import { samplingRules } from './sampling.js';
import { selectionRules } from './selection.js';
import { shapeRules } from './shape.js';
import { signalRules } from './signal.js';
import { unfoldingRules } from './unfolding.js';

export { straightThroughQuantization } from './quantisation.js';

/** Every standard derivative rule, by family. */
export const standardRules = (): readonly DerivativeRule[] => [
  ...arithmeticRules,
  ...attentionRules,
  ...controlFlowRules,
  ...convolutionRules,
  ...einsumRules,
  ...elementwiseRules,
  ...indexingRules,
  ...lossRules,
  ...matrixRules,
  ...microsoftRules,
  ...microsoftModelRules,
  ...normalisationRules,
  ...poolingRules,
  ...quantisationRules,
  ...recurrentRules,
  ...reductionRules,
  ...resizeRules,
  ...samplingRules,
  ...selectionRules,
  ...shapeRules,
  ...signalRules,
  ...unfoldingRules,
];

let shared: DerivativeTable | undefined;

/** The standard rules as a table; pass your own table (`new DerivativeTable([...standardRules(), mine])`) to extend it. */
export const standardDerivatives = (): DerivativeTable => (shared ??= new DerivativeTable(standardRules()));
