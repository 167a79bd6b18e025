import {
  dependenciesOf,
  expressionText,
  isFloat,
  labelled,
  onesLike,
  reachableNodes,
  shapeEquals,
  shapeText,
  ShapeError,
  zerosLike,
  type Node,
  type Tensor,
} from '@updraft/graph';
import { type DerivativeContext, type DerivativeTable } from './derivative.js';
import { NonDifferentiableError } from './errors.js';
import { standardDerivatives } from './rules/index.js';
import { markedDerivative } from './stop-gradient.js';
import { sumOfParts } from './tiling.js';

export interface GradientOptions {
  /** Gradient of each output (same shape); default: ones, so that scalar losses need none. */
  readonly outputGradients?: readonly Tensor[];
  /** What a tensor that no output depends on differentiably gets: zeros (default) or an error with the blocked path. */
  readonly unconnected?: 'zeros' | 'error';
  /** Treat `wrt` as independent variables: paths that lead from one of them to another do not count. Default false. */
  readonly independent?: boolean;
  /** Derivative rules; default: the standard ones. */
  readonly derivatives?: DerivativeTable;
}

/** Contributions to the gradient of one value, added up when it is read. */
class Accumulator {
  readonly #parts = new Map<Tensor, Tensor[]>();

  push(value: Tensor, gradient: Tensor): void {
    const parts = this.#parts.get(value);
    if (parts === undefined) this.#parts.set(value, [gradient]);
    else parts.push(gradient);
  }
  take(value: Tensor): Tensor | undefined {
    const parts = this.#parts.get(value);
    if (parts === undefined) return undefined;
    const total = sumOfParts(parts);
    this.#parts.set(value, [total]);
    return total;
  }
}

function checkGradient(node: Node, index: number, input: Tensor, gradient: Tensor): void {
  if (gradient.dataType !== input.dataType || gradient.rank !== input.rank)
    throw new ShapeError(
      `The derivative rule of ${node.key} gave a ${gradient.dataType}${shapeText(gradient.shape)} gradient for input ${index}, ${input.dataType}${shapeText(input.shape)}.`,
      { hint: 'Correct the rule: a gradient has the element type and shape of its input.' },
    );
}

/**
 * Reverse-mode gradients of (the sum of) `outputs` with respect to `wrt`, as new nodes of the same graph. `wrt` may hold
 * any values: parameters, inputs, or intermediate results (taps). Each result has the shape and element type of its value.
 *
 * @throws NonDifferentiableError when an operator on a path from `wrt` to `outputs` has no derivative rule.
 */
export function gradients(
  outputs: Tensor | readonly Tensor[],
  wrt: readonly Tensor[],
  options: GradientOptions = {},
): Tensor[] {
  const heads = Array.isArray(outputs) ? (outputs as readonly Tensor[]) : [outputs as Tensor];
  const derivatives = options.derivatives ?? standardDerivatives();
  const wanted = new Set(wrt);
  const operandsOf = (node: Node): readonly (Tensor | undefined)[] => {
    const further = derivatives.find(node.key)?.through?.(node) ?? [];
    return further.length === 0 ? dependenciesOf(node) : [...dependenciesOf(node), ...further];
  };
  const order = reachableNodes(heads, options.independent === true ? wanted : new Set());
  // Values that depend on `wrt` through floating-point paths.
  const active = new Set<Tensor>(wrt);
  for (const node of order)
    if (operandsOf(node).some((input) => input !== undefined && active.has(input)))
      for (const output of node.outputs) if (output !== undefined && isFloat(output.dataType)) active.add(output);

  const accumulated = new Accumulator();
  heads.forEach((head, index) => {
    const seed = options.outputGradients?.[index];
    if (seed !== undefined && !shapeEquals(seed.shape, head.shape))
      throw new ShapeError(
        `The gradient given for output ${index} has shape ${shapeText(seed.shape)}, the output ${shapeText(head.shape)}.`,
      );
    if (isFloat(head.dataType)) accumulated.push(head, seed ?? onesLike(head));
  });

  return labelled('gradient', () => {
    for (const node of [...order].reverse()) {
      const inputs = operandsOf(node);
      const needs = inputs.map((input) => input !== undefined && active.has(input) && isFloat(input.dataType));
      if (!needs.includes(true)) continue;
      const outputGradients = node.outputs.map((output) =>
        output === undefined ? undefined : accumulated.take(output),
      );
      if (outputGradients.every((gradient) => gradient === undefined)) continue;
      const rule = markedDerivative(node) ?? derivatives.find(node.key);
      if (rule === undefined)
        throw new NonDifferentiableError(
          `The operator ${node.key} of node "${node.name}" has no derivative rule; it lies on the path ${pathText(node, wanted)}.`,
          { hint: 'Register a rule with DerivativeTable.add, or cut the path with stopGradient().' },
        );
      const context: DerivativeContext = {
        node,
        inputs,
        outputs: node.outputs,
        outputGradients,
        captures: inputs.slice(node.inputs.length) as readonly Tensor[],
        input: (index) => inputs[index] ?? failAt(node, `its input ${index} is missing`),
        output: (index) => node.outputs[index] ?? failAt(node, `its output ${index} is missing`),
        gradient: (index) =>
          outputGradients[index] ?? zerosLike(node.outputs[index] ?? failAt(node, `its output ${index} is missing`)),
        needs: (index) => needs[index] === true,
        differentiate: (values, variables, seeds) =>
          gradients(values, variables, { outputGradients: seeds, derivatives, independent: true }),
        fail: (message, hint) => failAt(node, message, hint),
      };
      // Labelled by the forward node, so that profiles show which layer a backward node belongs to.
      const results = labelled(node.source, () => rule.backward(context));
      results.forEach((gradient, index) => {
        const input = inputs[index];
        if (gradient === undefined || input === undefined || needs[index] !== true) return;
        checkGradient(node, index, input, gradient);
        accumulated.push(input, gradient);
      });
    }
    return wrt.map((value) => {
      const gradient = accumulated.take(value);
      if (gradient !== undefined) return gradient;
      if (options.unconnected === 'error')
        throw new NonDifferentiableError(
          `No differentiable path leads from "${value.name}" to ${heads.map((head) => `"${head.name}"`).join(', ')}.`,
          { hint: 'Use the value in the loss, freeze it, or ask for zeros with unconnected: "zeros".' },
        );
      return zerosLike(value);
    });
  });
}

function failAt(node: Node, message: string, hint?: string): never {
  throw new NonDifferentiableError(
    `${node.key} "${node.name}": ${message}, in ${expressionText(node)}.`,
    hint === undefined ? {} : { hint },
  );
}

/** A path from one of `wanted` to the node, by value names. */
function pathText(node: Node, wanted: ReadonlySet<Tensor>): string {
  const path: string[] = [];
  const seen = new Set<Node>();
  const walk = (at: Node): boolean => {
    if (seen.has(at)) return false;
    seen.add(at);
    for (const input of dependenciesOf(at)) {
      if (input === undefined) continue;
      if (wanted.has(input) || (input.producer !== undefined && walk(input.producer))) {
        if (path.length === 0) path.push(`"${input.name}"`);
        path.push(`${at.key} "${at.name}"`);
        return true;
      }
    }
    return false;
  };
  walk(node);
  const shown = path.length > 7 ? [...path.slice(0, 3), '…', ...path.slice(-3)] : path;
  return shown.join(' → ');
}
