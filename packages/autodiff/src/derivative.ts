import type { Node, Tensor } from '@updraft/graph';

/** What a derivative rule sees of the node that it differentiates. All tensors are symbolic. */
export interface DerivativeContext {
  readonly node: Node;
  /** Inputs of the node (`undefined`: omitted), followed by the outer values that its bodies capture. */
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly (Tensor | undefined)[];
  /** Derivative of the differentiated scalar with respect to each output; `undefined` where none flows. */
  readonly outputGradients: readonly (Tensor | undefined)[];
  /** Outer values used by the bodies of a control-flow node: `inputs.slice(node.inputs.length)`. */
  readonly captures: readonly Tensor[];
  input(index: number): Tensor;
  output(index: number): Tensor;
  /** Gradient of output `index`; zeros when none flows into it. */
  gradient(index: number): Tensor;
  /** Whether a gradient with respect to `inputs[index]` is wanted: skip the work for the others. */
  needs(index: number): boolean;
  /**
   * Gradients of other values with the rules in use, for operators that are differentiated through a written-out form.
   * `wrt` are independent variables: paths from one to another do not count.
   */
  differentiate(outputs: readonly Tensor[], wrt: readonly Tensor[], outputGradients: readonly Tensor[]): Tensor[];
  /** Throws a NonDifferentiableError that names the node. */
  fail(message: string, hint?: string): never;
}

/** Facts about a rule for the operator table in the docs. */
export interface DerivativeFacts {
  /**
   * `any`: the gradient is built from operators with derivatives of their own; `first`: it is not;
   * `zero`: the derivative is zero wherever it exists (rounding, comparisons, integers).
   */
  readonly order: 'any' | 'first' | 'zero';
  /** Attribute settings without a derivative, conventions at kinks. One short sentence. */
  readonly notes?: string;
}

/**
 * Reverse-mode derivative of one operator: maps gradients of the outputs to gradients of the inputs (and captures),
 * `undefined` meaning zero. Integer inputs (indices, shapes, axes) get `undefined`.
 */
export interface DerivativeRule extends DerivativeFacts {
  /** Qualified operator name, such as `MatMul` or `com.microsoft.Gelu`. */
  readonly operator: string;
  /**
   * Further values that the node is differentiated with respect to, which lie behind integers that carry no gradient;
   * they follow the inputs and captures in the context. Straight-through estimators use it.
   */
  through?(node: Node): readonly Tensor[];
  backward(context: DerivativeContext): readonly (Tensor | undefined)[];
}

/** A rule for operators whose derivative is zero wherever it exists. */
export const zeroDerivative = (operator: string, notes?: string): DerivativeRule => ({
  operator,
  order: 'zero',
  ...(notes === undefined ? {} : { notes }),
  backward: () => [],
});

/** Derivative rules by operator; later entries win, so that callers may extend or override the standard ones. */
export class DerivativeTable {
  readonly #rules = new Map<string, DerivativeRule>();

  constructor(rules: Iterable<DerivativeRule> = []) {
    for (const rule of rules) this.add(rule);
  }
  add(rule: DerivativeRule): this {
    this.#rules.set(rule.operator, rule);
    return this;
  }
  find(operator: string): DerivativeRule | undefined {
    return this.#rules.get(operator);
  }
  rules(): DerivativeRule[] {
    return [...this.#rules.values()].sort((a, b) => (a.operator < b.operator ? -1 : 1));
  }
}
