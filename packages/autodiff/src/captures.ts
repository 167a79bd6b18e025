import type { Graph, Node, Tensor } from '@updraft/graph';

/** Outer values that the bodies of a control-flow node use (directly or in nested bodies), each once, in order of use. */
export function capturesOf(node: Node): readonly Tensor[] {
  const bodies = node.subgraphs();
  if (bodies.length === 0) return [];
  const captures = new Set<Tensor>();
  const inside = (value: Tensor): boolean => {
    for (const [, body] of bodies) if (value.graph.sees(body)) return true;
    return false;
  };
  const visit = (graph: Graph): void => {
    const use = (value: Tensor | undefined): void => {
      if (value !== undefined && !inside(value)) captures.add(value);
    };
    for (const inner of graph.nodes) {
      inner.inputs.forEach(use);
      for (const [, body] of inner.subgraphs()) visit(body);
    }
    graph.outputs.forEach(use);
  };
  for (const [, body] of bodies) visit(body);
  return [...captures];
}
