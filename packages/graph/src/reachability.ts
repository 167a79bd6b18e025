import type { Graph } from './graph.js';
import type { Node } from './node.js';
import type { Tensor } from './tensor.js';

/** Values of enclosing graphs that the bodies of a node use, each once, in order of use. */
export function capturesOf(node: Node): readonly Tensor[] {
  const bodies = node.subgraphs().map(([, body]) => body);
  if (bodies.length === 0) return [];
  const captures = new Set<Tensor>();
  const use = (value: Tensor | undefined): void => {
    if (value !== undefined && !bodies.some((body) => value.graph.sees(body))) captures.add(value);
  };
  const visit = (graph: Graph): void => {
    for (const inner of graph.nodes) {
      inner.inputs.forEach(use);
      for (const [, body] of inner.subgraphs()) visit(body);
    }
    graph.outputs.forEach(use);
  };
  bodies.forEach(visit);
  return [...captures];
}

/** Everything a node depends on: its inputs and what its bodies capture. */
export const dependenciesOf = (node: Node): readonly (Tensor | undefined)[] =>
  node.hasSubgraphs ? [...node.inputs, ...capturesOf(node)] : node.inputs;

/** Nodes that `outputs` need, producers before consumers; values in `stop` count as given. */
export function reachableNodes(
  outputs: Iterable<Tensor>,
  stop: { has(value: Tensor): boolean } = new Set<Tensor>(),
): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  // A stack of its own: deep networks exceed the call stack.
  const stack: { node: Node; next: number; inputs: readonly (Tensor | undefined)[] }[] = [];
  const visit = (value: Tensor | undefined): void => {
    const node = value?.producer;
    if (value === undefined || node === undefined || stop.has(value) || seen.has(node)) return;
    seen.add(node);
    stack.push({ node, next: 0, inputs: dependenciesOf(node) });
  };
  for (const output of outputs) {
    visit(output);
    for (let top = stack[stack.length - 1]; top !== undefined; top = stack[stack.length - 1]) {
      if (top.next < top.inputs.length) visit(top.inputs[top.next++]);
      else {
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}
