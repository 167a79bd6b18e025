import { gradients } from '@updraft/autodiff';
import type { Node, Tensor } from '@updraft/graph';
import type { Tap } from '../contracts/update-rule.js';

/**
 * Layers of the forward pass of `loss` that use `param`, or its transpose, as an operand, with input, output and output
 * gradient, which is built when it is first read.
 */
export function layerTaps(loss: Tensor, param: Tensor): readonly Tap[] {
  const last = loss.producer === undefined ? -1 : loss.graph.nodes.indexOf(loss.producer);
  // Only the forward pass: nodes after the loss belong to backward passes and updates.
  const forward = loss.graph.nodes.slice(0, last + 1);
  const usersOf = (operand: Tensor): (readonly [Node, Tensor])[] =>
    forward.filter((node) => node.inputs.includes(operand)).map((node) => [node, operand]);
  const users = usersOf(param).flatMap(([node, weight]) =>
    node.key === 'Transpose' ? usersOf(node.output) : [[node, weight] as const],
  );
  let outputGradients: readonly Tensor[] | undefined;
  return users.flatMap(([node, weight], index) => {
    const input = node.inputs.find((operand) => operand !== undefined && operand !== weight);
    if (input === undefined) return [];
    return [
      {
        operator: node.key,
        input,
        weight,
        output: node.output,
        get outputGradient(): Tensor {
          outputGradients ??= gradients(
            loss,
            users.map(([user]) => user.output),
          );
          return outputGradients[index] as Tensor;
        },
      },
    ];
  });
}
