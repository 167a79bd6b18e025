import type { GraphProto, NodeProto } from '../serialise/generated/onnx_pb.js';
import { ModelFormatError } from './format-error.js';

/** Names that a node needs from outside: its inputs, and what its bodies use but do not define. */
export function freeNames(node: NodeProto): string[] {
  const names = node.input.filter((name) => name !== '');
  for (const attribute of node.attribute) if (attribute.g !== undefined) names.push(...freeOf(attribute.g));
  return names;
}

function freeOf(graph: GraphProto): string[] {
  const own = new Set([
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.node.flatMap(({ output }) => output),
  ]);
  return [...graph.node.flatMap(freeNames), ...graph.output.map(({ name }) => name)].filter((name) => !own.has(name));
}

interface Names {
  readonly values: ReadonlyMap<string, unknown>;
}

/**
 * Indices of nodes, producers first: the order of the file when that is one, else the first topological order that keeps
 * to it as far as possible. Throws {@link ModelFormatError} that shows a cycle. Names that nobody defines are left to the
 * reader of the node.
 */
export function sortNodes(nodes: readonly NodeProto[], scope: Names, where: (index: number) => string): number[] {
  const producer = new Map<string, number>();
  nodes.forEach(({ output }, index) => {
    for (const name of output) if (name !== '') producer.set(name, index);
  });
  const needs = nodes.map((node) => {
    const indices = new Set<number>();
    for (const name of freeNames(node)) {
      const at = scope.values.has(name) ? undefined : producer.get(name);
      if (at !== undefined) indices.add(at);
    }
    return indices;
  });
  const order: number[] = [];
  const state = new Uint8Array(nodes.length);
  for (let start = 0; start < nodes.length; start++) {
    if (state[start] !== 0) continue;
    const stack: { index: number; rest: Iterator<number> }[] = [
      { index: start, rest: (needs[start] as Set<number>).values() },
    ];
    state[start] = 1;
    for (let top = stack[stack.length - 1]; top !== undefined; top = stack[stack.length - 1]) {
      const next = top.rest.next();
      if (next.done === true) {
        state[top.index] = 2;
        order.push(top.index);
        stack.pop();
      } else if (state[next.value] === 1) {
        const cycle = stack
          .slice(stack.findIndex(({ index }) => index === next.value))
          .map(({ index }) => where(index));
        throw new ModelFormatError(
          where(next.value),
          `It depends on itself, through ${cycle.length} node(s): ${cycle.slice(0, 5).join(', ')}.`,
          {
            details: { cycle: cycle.slice(0, 20) },
          },
        );
      } else if (state[next.value] === 0) {
        state[next.value] = 1;
        stack.push({ index: next.value, rest: (needs[next.value] as Set<number>).values() });
      }
    }
  }
  return order;
}
