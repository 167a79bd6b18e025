import type { OperatorCases } from '../random-cases.js';
import { attentionCases } from './attention.js';
import { elementwiseCases } from './elementwise.js';
import { normalisationCases } from './normalisations.js';
import { productCases } from './products.js';
import { controlFlowCases, recurrentCases } from './recurrent.js';
import { reductionCases } from './reductions.js';
import { samplingCases } from './sampling.js';
import { indexingCases, shapeCases } from './shapes.js';
import { windowCases } from './windows.js';

/** Random cases of every operator with a derivative, by family. */
export const FAMILIES = {
  attention: attentionCases,
  'control flow': controlFlowCases,
  elementwise: elementwiseCases,
  indexing: indexingCases,
  normalisations: normalisationCases,
  products: productCases,
  recurrent: recurrentCases,
  reductions: reductionCases,
  sampling: samplingCases,
  shapes: shapeCases,
  windows: windowCases,
} as const satisfies Readonly<Record<string, readonly OperatorCases[]>>;
