import { emptyTensor, isInteger, writeElement, type DataType, type TensorData } from '../data-type.js';
import { isStatic, type Dim } from '../dimension.js';
import type { Graph } from '../graph.js';
import { elementCount } from '../data-type.js';
import { isStaticShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { bytesOf } from './common-subexpressions.js';
import type { Evaluator } from './evaluator.js';
import { hostEvaluator } from './host-evaluator.js';
import { rewrite, type RewriteContext, type RewriteResult, type RewriteRule } from './rewrite.js';

/** Results up to this many bytes may be larger than the constants that they come from. */
const SMALL = 4096;

export interface FoldingOptions {
  /** Default: {@link hostEvaluator}. */
  readonly evaluator?: Evaluator;
}

/** Contents that shape inference knows: the sizes of a static tensor, say, although the tensor is an input. */
function knownContents(output: Tensor): TensorData | undefined {
  const { dataType, shape, elements } = output;
  if (elements === undefined || !(isInteger(dataType) || dataType === 'bool') || !isStaticShape(shape))
    return undefined;
  if (
    elements.length !== elementCount(shape) ||
    !elements.every((element: Dim) => isStatic(element) && Number.isSafeInteger(element))
  )
    return undefined;
  const data = emptyTensor<DataType>(dataType, shape);
  elements.forEach((element, index) => {
    writeElement(data, index, element as number);
  });
  return data;
}

function fold({ node, inputs, graph }: RewriteContext, evaluator: Evaluator): readonly Tensor[] | undefined {
  if (node.schema.random === true || node.hasSubgraphs) return undefined;
  const [only] = node.outputs;
  if (node.outputs.length !== 1 || only === undefined) return undefined;
  // Outputs have to be computed by a node; this is how a constant becomes one.
  if (node.key === 'Identity' && node.graph.outputs.includes(only)) return undefined;
  const known = knownContents(only);
  if (known !== undefined) return [graph.constant(known, known.dataType, only.name)];
  const contents = inputs.map((input) => input?.constant);
  if (inputs.some((input, index) => input !== undefined && contents[index] === undefined)) return undefined;
  if (!isStaticShape(only.shape)) return undefined;
  const given = contents.reduce((sum, data) => sum + (data === undefined ? 0 : bytesOf(data)), 0);
  const needed = bytesOf({ dataType: only.dataType, dims: only.shape, data: [] as never });
  if (node.type !== 'Constant' && needed > Math.max(SMALL, given)) return undefined;
  const [result] = evaluator.evaluate(node, contents) ?? [];
  if (result === undefined) return undefined;
  return [graph.constant(result, result.dataType, only.name)];
}

/** Nodes whose result is known become constants, as far as the evaluator is exact and the model does not grow. */
export const constantFolding = ({ evaluator = hostEvaluator }: FoldingOptions = {}): RewriteRule => ({
  name: 'constant-folding',
  start: () => ({ replace: (context) => fold(context, evaluator) }),
});

/** A copy in which what is known when the graph is built is a constant. */
export const foldConstants = (graph: Graph, options: FoldingOptions = {}): RewriteResult =>
  rewrite(graph, [constantFolding(options)]);
