import { gradients } from '@updraft/autodiff';
import type { Tensor } from '@updraft/graph';
import type { Tap } from '../contracts/update-rule.js';

/** Layers of the forward pass of `loss` that use `param` as an operand, with input, output and output gradient. */
export function layerTaps(loss: Tensor, param: Tensor): readonly Tap[] {
  const last = loss.producer === undefined ? -1 : loss.graph.nodes.indexOf(loss.producer);
  // Only the forward pass: nodes after the loss belong to backward passes and updates.
  const users = loss.graph.nodes.slice(0, last + 1).filter((node) => node.inputs.includes(param));
  const outputs = users.map((node) => node.output);
  const outputGradients = gradients(loss, outputs);
  return users.flatMap((node, index) => {
    const input = node.inputs.find((operand) => operand !== undefined && operand !== param);
    return input === undefined
      ? []
      : [{ operator: node.key, input, output: node.output, outputGradient: outputGradients[index] as Tensor }];
  });
}
