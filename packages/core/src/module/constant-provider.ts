import type { Graph, Tensor, TensorData } from '@updraft/graph';
import { CoreError } from '../errors.js';
import type { NamedValues } from '../tree.js';
import type { ParameterSpec, VariableSpec } from './parameter.js';
import type { NoiseDistribution, ScopeProvider } from './scope.js';

/** Puts parameter and variable values into the graph as constants. */
export class ConstantProvider implements ScopeProvider {
  readonly #made = new Map<string, Tensor>();

  /** @param named Give the constants the names of what they are values of; for graphs that hold nothing else. */
  constructor(
    readonly graph: Graph,
    readonly values: NamedValues<TensorData>,
    readonly named = true,
  ) {}
  #constant(name: string): Tensor {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const value = this.values[name];
    if (value === undefined)
      throw new CoreError('export', `There is no value for "${name}".`, {
        hint: 'Give the params and variables of a training result.',
      });
    const made = this.graph.constant(value, value.dataType, this.named ? name : undefined);
    this.#made.set(name, made);
    return made;
  }
  parameter(spec: ParameterSpec): Tensor {
    return this.#constant(spec.name);
  }
  variable(spec: VariableSpec): Tensor {
    return this.#constant(spec.name);
  }
  assign(): void {
    // Nothing changes in an inference model.
  }
  noise(name: string, _shape: unknown, _distribution: NoiseDistribution): Tensor {
    throw new CoreError(
      'export',
      `The model draws the noise "${name}" in inference form, which a plain ONNX model cannot.`,
      {
        hint: 'Draw noise only where scope.training is true.',
      },
    );
  }
}
