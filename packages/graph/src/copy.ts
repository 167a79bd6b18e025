import { appendNode } from './apply.js';
import type { Attribute } from './attribute.js';
import { UpdraftError } from './errors.js';
import { insideGraph, Graph } from './graph.js';
import type { Node } from './node.js';
import type { Dim } from './dimension.js';
import { substituteShape } from './shape.js';
import { Tensor } from './tensor.js';

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
export const dependenciesOf = (node: Node): readonly (Tensor | undefined)[] => [...node.inputs, ...capturesOf(node)];

/** Nodes that `outputs` need, producers before consumers; values in `stop` count as given. */
export function reachableNodes(outputs: Iterable<Tensor>, stop: { has(value: Tensor): boolean } = new Set<Tensor>()): Node[] {
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

/** Copies values and nodes into a target graph, re-running inference. */
class Copier {
  constructor(
    readonly target: Graph,
    readonly map: Map<Tensor, Tensor>,
    readonly keepNames: boolean,
  ) {}

  value(value: Tensor): Tensor {
    const known = this.map.get(value);
    if (known !== undefined) return known;
    const data = value.constant;
    if (data !== undefined && !this.target.sees(value.graph)) {
      const made = this.target.root.constant(data, data.dataType, value.name);
      this.map.set(value, made);
      return made;
    }
    if (this.target.sees(value.graph)) return value;
    throw new UpdraftError('graph', `"${value.name}" of the graph "${value.graph.name}" is neither bound nor computed in "${this.target.name}".`, {
      hint: 'Bind every input that the copied outputs depend on.',
    });
  }

  node(node: Node, graph: Graph): void {
    const attributes = new Map<string, Attribute>();
    for (const [name, attribute] of node.attributes)
      attributes.set(name, attribute.kind === 'graph' ? { kind: 'graph', value: this.body(attribute.value, graph) } : attribute);
    const inputs = node.inputs.map((input) => (input === undefined ? undefined : this.value(input)));
    const copy = appendNode(graph, node.schema, inputs, attributes, {
      outputs: node.outputs.length,
      ...(this.keepNames
        ? { name: node.name, outputNames: node.outputs.map((output) => (output === undefined ? '' : graph.uniqueName(output.name))) }
        : {}),
    });
    copy.source = node.source;
    copy.documentation = node.documentation;
    copy.metadata = node.metadata;
    node.outputs.forEach((output, index) => {
      const made = copy.outputs[index];
      if (output !== undefined && made !== undefined) this.map.set(output, made);
    });
  }

  body(source: Graph, parent: Graph): Graph {
    const body = parent.body(source.name);
    return insideGraph(body, () => {
      for (const input of source.inputs) this.map.set(input, body.input(input.name, input.dataType, input.shape));
      for (const [value, data] of source.constants) this.map.set(value, body.constant(data, data.dataType, value.name));
      for (const node of source.nodes) this.node(node, body);
      for (const output of source.outputs) body.output(this.value(output));
      return body;
    });
  }
}

/**
 * Apply again, in `target`, the nodes that `outputs` need, with the values in `bindings` replaced: the same function at
 * other inputs. Shapes are inferred anew, so symbolic dimensions re-bind. `target` may be the graph itself.
 */
export function instantiate(
  outputs: readonly Tensor[],
  bindings: ReadonlyMap<Tensor, Tensor>,
  target: Graph,
): Tensor[] {
  const map = new Map(bindings);
  const copier = new Copier(target, map, false);
  // Only what depends on a bound value (or lies in another graph) is built again.
  const dependent = new Set<Tensor>(bindings.keys());
  for (const node of reachableNodes(outputs, bindings)) {
    const foreign = !target.sees(node.graph);
    if (!foreign && !dependenciesOf(node).some((input) => input !== undefined && dependent.has(input))) continue;
    for (const output of node.outputs) if (output !== undefined) dependent.add(output);
    copier.node(node, target);
  }
  return outputs.map((output) => copier.value(output));
}

export interface CopyOptions {
  /** Sizes for symbolic dimensions. */
  readonly dims?: ReadonlyMap<string, Dim>;
}

/** A copy of a graph with the same names, with symbolic dimensions bound where given; nodes that no output needs go. */
export function copyGraph(source: Graph, options: CopyOptions = {}): { graph: Graph; map: ReadonlyMap<Tensor, Tensor> } {
  const target = new Graph(source.name);
  target.documentation = source.documentation;
  for (const [key, value] of source.metadata) target.metadata.set(key, value);
  const map = new Map<Tensor, Tensor>();
  for (const input of source.inputs)
    map.set(input, target.input(input.name, input.dataType, substituteShape(input.shape, options.dims ?? new Map<string, Dim>())));
  const copier = new Copier(target, map, true);
  for (const node of reachableNodes(source.outputs, map)) copier.node(node, target);
  for (const output of source.outputs) {
    const made = copier.value(output);
    if (made.name !== output.name && made.producer !== undefined) made.name = target.uniqueName(output.name);
    target.output(made);
  }
  return { graph: target, map };
}
