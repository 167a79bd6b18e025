import type { Graph } from '../graph.js';
import { modelOf, type Model } from '../model.js';
import { rewrite, type RewriteRule } from '../passes/rewrite.js';
import { isExpandable } from './functions.js';

const expandCalls: RewriteRule = {
  name: 'inline-functions',
  start: () => ({
    replace({ node, inputs, graph }) {
      return isExpandable(node.schema) ? node.schema.expand(graph, inputs, node.attributes) : undefined;
    },
  }),
};

const callsFunctions = (graph: Graph): boolean =>
  graph.nodes.some((node) => isExpandable(node.schema) || node.subgraphs().some(([, body]) => callsFunctions(body)));

/**
 * The model with every call of one of its own functions replaced by the nodes of the function. Nodes that no output
 * needs go. Functions may use other operator versions than the graph; the result imports what its nodes need.
 */
export function inlineFunctions(model: Model): Model {
  let { graph } = model;
  while (callsFunctions(graph)) ({ graph } = rewrite(graph, [expandCalls]));
  if (graph === model.graph) return model;
  return { ...model, graph, functions: [], notes: undefined, opsets: modelOf(graph).opsets };
}
