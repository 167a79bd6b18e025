import { readElement } from '../data-type.js';
import { isStatic } from '../dimension.js';
import type { Graph } from '../graph.js';
import { capturesOf, reachableNodes } from '../reachability.js';
import type { Tensor } from '../tensor.js';
import { rewrite, type RewriteContext, type RewriteResult, type RewriteRule } from './rewrite.js';

function takenBranch({ node, inputs, graph, copier }: RewriteContext): readonly Tensor[] | undefined {
  if (node.key !== 'If') return undefined;
  const [condition] = inputs;
  const known = condition?.constant === undefined ? condition?.elements?.[0] : readElement(condition.constant, 0);
  if (known === undefined || !isStatic(known)) return undefined;
  const branch = node.subgraph(known === 0 ? 'else_branch' : 'then_branch');
  const nodes = reachableNodes(branch.outputs).filter((inner) => inner.graph === branch);
  const used = new Set<Tensor | undefined>(branch.outputs);
  for (const inner of nodes) for (const input of [...inner.inputs, ...capturesOf(inner)]) used.add(input);
  copier.withFreshNames(() => {
    for (const [value, data] of branch.constants) if (used.has(value)) copier.constant(graph, value, data);
    for (const inner of nodes) copier.node(inner, graph);
  });
  return branch.outputs.map((output) => copier.value(output));
}

/** An `If` whose condition is known is replaced by the branch that is taken. */
export const knownBranches: RewriteRule = { name: 'known-branches', start: () => ({ replace: takenBranch }) };

/** A copy without branches that are never or always taken. */
export const takeKnownBranches = (graph: Graph): RewriteResult => rewrite(graph, [knownBranches]);
