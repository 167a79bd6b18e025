import type { DataType } from './data-type.js';
import { Copier, copyInto } from './copier.js';
import type { Dim } from './dimension.js';
import { UpdraftError } from './errors.js';
import { Graph } from './graph.js';
import { dependenciesOf, reachableNodes } from './reachability.js';
import { shapeText } from './shape.js';
import type { Tensor } from './tensor.js';

/**
 * Apply again, in `target`, the nodes that `outputs` need, with the values in `bindings` replaced: the same function at
 * other inputs. Shapes are inferred anew, so symbolic dimensions re-bind. `target` may be the graph itself or a body
 * inside it: then only what depends on a bound value is built again. Constants of other graphs are copied once.
 * Throws {@link UpdraftError} when an input is not bound or a binding has another element type.
 */
export function instantiate(
  outputs: readonly Tensor[],
  bindings: ReadonlyMap<Tensor, Tensor>,
  target: Graph,
): Tensor[] {
  for (const [from, to] of bindings)
    if (from.dataType !== to.dataType)
      throw new UpdraftError(
        'graph',
        `"${from.name}" is ${from.dataType} and cannot be bound to the ${to.dataType} "${to.name}".`,
        {
          hint: 'Convert with cast(), or copy the graph with other element types first.',
        },
      );
  const copier = new Copier(target, new Map(bindings), { keepNames: false });
  const dependent = new Set<Tensor>(bindings.keys());
  for (const node of reachableNodes(outputs, bindings)) {
    const foreign = !target.sees(node.graph);
    if (!foreign && !dependenciesOf(node).some((input) => input !== undefined && dependent.has(input))) continue;
    for (const output of node.outputs) if (output !== undefined) dependent.add(output);
    copier.node(node, target);
  }
  return outputs.map((output) => copier.value(output));
}

/** A whole graph as a function: its outputs in `target`, with `inputs` in the place of its inputs (in order, or by name). */
export function inlineGraph(
  graph: Graph,
  inputs: readonly Tensor[] | ReadonlyMap<string, Tensor>,
  target: Graph,
): Tensor[] {
  const bindings = new Map<Tensor, Tensor>();
  const given = (input: Tensor, index: number): Tensor | undefined =>
    Array.isArray(inputs)
      ? (inputs as readonly Tensor[])[index]
      : (inputs as ReadonlyMap<string, Tensor>).get(input.name);
  graph.inputs.forEach((input, index) => {
    const value = given(input, index);
    if (value === undefined) {
      if (input.constant !== undefined) return;
      throw new UpdraftError('graph', `The input "${input.name}" of the graph "${graph.name}" is not given.`, {
        hint: `Its inputs are ${graph.inputs.map(({ name }) => `"${name}"`).join(', ')}.`,
      });
    }
    if (value.rank !== input.rank)
      throw new UpdraftError(
        'shape',
        `The input "${input.name}" of the graph "${graph.name}" is ${shapeText(input.shape)}; it is given ${shapeText(value.shape)}.`,
      );
    bindings.set(input, value);
  });
  return instantiate(graph.outputs, bindings, target);
}

export interface CopyOptions {
  /** Sizes for symbolic dimensions. */
  readonly dims?: ReadonlyMap<string, Dim>;
  /** Other element types: float32 to float64, say. Constants, `Cast` and the like follow. */
  readonly dataTypes?: ReadonlyMap<DataType, DataType>;
}

/**
 * A copy of a graph with the same names, with symbolic dimensions bound and element types replaced where given. Nodes
 * and constants that no output needs go. `map` leads from old values to new ones.
 */
export function copyGraph(
  source: Graph,
  options: CopyOptions = {},
): { graph: Graph; map: ReadonlyMap<Tensor, Tensor> } {
  if (source.parent !== undefined)
    throw new UpdraftError(
      'graph',
      `"${source.name}" is the body of a control-flow node and cannot be copied on its own.`,
    );
  const target = new Graph(source.name);
  return { graph: target, map: copyInto(target, source, options) };
}
