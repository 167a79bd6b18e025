import type { TensorData } from '../data-type.js';
import type { Node } from '../node.js';

/** Computes nodes on the host. */
export interface Evaluator {
  /**
   * Outputs of a node from the contents of its inputs, or undefined when this evaluator does not know them to the last
   * bit of what a runtime would compute.
   */
  evaluate(node: Node, inputs: readonly (TensorData | undefined)[]): readonly (TensorData | undefined)[] | undefined;
}
