import type { Graph } from '../graph.js';
import { rewrite, type RewriteResult } from './rewrite.js';

/** A copy without the nodes and constants that no output needs, in bodies too. Inputs stay: they are the signature. */
export const removeDeadCode = (graph: Graph): RewriteResult => rewrite(graph, []);

/** Nodes of a graph and all its bodies. */
export function countNodes(graph: Graph): number {
  let count = graph.nodes.length;
  for (const node of graph.nodes) for (const [, body] of node.subgraphs()) count += countNodes(body);
  return count;
}
