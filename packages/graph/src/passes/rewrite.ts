import { copyInto, type Copier } from '../copier.js';
import type { TensorData } from '../data-type.js';
import { Graph, insideGraph } from '../graph.js';
import type { Node } from '../node.js';
import type { Tensor } from '../tensor.js';

/** One node under rewriting. */
export interface RewriteContext {
  /** The node as it was; its outputs tell types and shapes. */
  readonly node: Node;
  /** Its inputs in the new graph. */
  readonly inputs: readonly (Tensor | undefined)[];
  /** Where new nodes go. */
  readonly graph: Graph;
  readonly copier: Copier;
}

/** A rule during one walk over a graph, with what it remembers of it. */
export interface RewriteStep {
  /**
   * Values in the new graph that take the place of the outputs, in order, or undefined to leave the node alone. They
   * have to be equal to the last bit, of the same type and shape.
   */
  replace?(context: RewriteContext): readonly (Tensor | undefined)[] | undefined;
  /** An equal constant that is there already. */
  constant?(data: TensorData, graph: Graph): Tensor | undefined;
  copied?(node: Node): void;
  copiedConstant?(value: Tensor, data: TensorData): void;
}

/** Replaces single nodes by equal values. Rules see producers before consumers, bodies included. */
export interface RewriteRule {
  readonly name: string;
  start(): RewriteStep;
}

export interface RewriteResult {
  readonly graph: Graph;
  /** What became of the old values; those that nothing needs are missing. */
  readonly map: ReadonlyMap<Tensor, Tensor>;
  /** How often each rule replaced a node or constant, by name. */
  readonly changes: ReadonlyMap<string, number>;
}

/**
 * A copy of a graph in which rules have replaced nodes: one walk, first rule first. The source stays as it is; nodes and
 * constants that no output needs are not copied. Inputs and the names of inputs and outputs stay.
 */
export function rewrite(source: Graph, rules: readonly RewriteRule[]): RewriteResult {
  const target = new Graph(source.name);
  const changes = new Map<string, number>();
  const steps = rules.map((rule) => [rule.name, rule.start()] as const);
  const count = (name: string): void => {
    changes.set(name, (changes.get(name) ?? 0) + 1);
  };
  const map = copyInto(target, source, {
    hooks: {
      replace(node, inputs, graph, copier) {
        for (const [name, step] of steps) {
          if (step.replace === undefined) continue;
          const before = graph.nodes.length;
          const outputs = insideGraph(graph, () => step.replace?.({ node, inputs, graph, copier }));
          if (outputs === undefined) continue;
          count(name);
          for (const made of graph.nodes.slice(before)) if (made.source === '') made.source = node.source;
          return outputs;
        }
        return undefined;
      },
      constant(data, graph) {
        for (const [name, step] of steps) {
          const value = step.constant?.(data, graph);
          if (value === undefined) continue;
          count(name);
          return value;
        }
        return undefined;
      },
      copied(node) {
        for (const [, step] of steps) step.copied?.(node);
      },
      copiedConstant(value, data) {
        for (const [, step] of steps) step.copiedConstant?.(value, data);
      },
    },
  });
  return { graph: target, map, changes };
}
