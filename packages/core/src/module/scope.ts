import {
  isStaticShape,
  labelled,
  shapeText,
  tensor,
  emptyTensor,
  UpdraftError,
  type DataType,
  type Dim,
  type Graph,
  type Tensor,
  type TensorData,
} from '@updraft/graph';
import type { Initializer, ParameterRole, ParameterSpec, VariableSpec } from './parameter.js';

/**
 * Distributions of noise that enters a program as an input. `segmented-uniform` is uniform over (-1, -0.5] and [0.5, 1):
 * perturbations whose inverse is bounded.
 */
export type NoiseDistribution = 'normal' | 'uniform' | 'rademacher' | 'gumbel' | 'segmented-uniform';

/** Where a scope gets its tensors from: a fresh trace, or parameters at hand (perturbed, averaged, frozen). */
export interface ScopeProvider {
  readonly graph: Graph;
  parameter(spec: ParameterSpec): Tensor;
  variable(spec: VariableSpec): Tensor;
  assign(name: string, value: Tensor): void;
  noise(name: string, shape: readonly Dim[], distribution: NoiseDistribution, dataType: DataType): Tensor;
}

export interface ParameterOptions {
  readonly initialize: Initializer;
  readonly role?: ParameterRole;
  readonly dataType?: DataType;
}

/**
 * What a module builds itself with: declares parameters, variables and noise under hierarchical names
 * (`encoder.block1.attention.query.weight`). The same module code serves training, inference and evaluation at other
 * parameter values, because the scope decides where the tensors come from.
 */
export class Scope {
  readonly #children = new Map<string, number>();

  constructor(
    readonly provider: ScopeProvider,
    /** Training form: dropout draws, normalisation uses batch statistics and updates its running ones. */
    readonly training: boolean,
    readonly path = '',
    readonly layer = '',
  ) {}

  get graph(): Graph {
    return this.provider.graph;
  }

  #name(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  /** Build inside a named child scope; a repeated name gets a number (`dense`, `dense1`, …). */
  child<T>(name: string, build: (scope: Scope) => T, layer = name): T {
    const count = this.#children.get(name) ?? 0;
    this.#children.set(name, count + 1);
    const unique = count === 0 ? name : `${name}${count}`;
    const scope = new Scope(this.provider, this.training, this.#name(unique), layer);
    return labelled(unique, () => build(scope));
  }

  /** A trainable tensor. The shape must be static. */
  parameter(name: string, shape: readonly Dim[], options: ParameterOptions): Tensor {
    if (!isStaticShape(shape))
      throw new UpdraftError('module', `Parameter "${this.#name(name)}" has the symbolic shape ${shapeText(shape)}.`, {
        hint: 'Sizes of parameters must be numbers: fix that dimension of the input.',
      });
    return this.provider.parameter({
      name: this.#name(name),
      shape,
      dataType: options.dataType ?? 'float32',
      role: options.role ?? 'other',
      layer: this.layer,
      initialize: options.initialize,
    });
  }

  /** A non-trainable tensor kept between steps, starting at `initial` (a number fills the shape). */
  variable(name: string, shape: readonly number[], initial: TensorData | number = 0): Tensor {
    let value: TensorData;
    if (typeof initial === 'number') {
      value = emptyTensor('float32', shape);
      (value.data as Float32Array).fill(initial);
    } else value = initial;
    return this.provider.variable({ name: this.#name(name), initial: value });
  }

  /** The value that a variable holds after this step. */
  assign(name: string, value: Tensor): void {
    this.provider.assign(this.#name(name), value);
  }

  /** Fresh noise for every step, drawn by the host from the seeded stream of this name. */
  noise(
    name: string,
    shape: readonly Dim[],
    distribution: NoiseDistribution = 'normal',
    dataType: DataType = 'float32',
  ): Tensor {
    return this.provider.noise(this.#name(name), shape, distribution, dataType);
  }

  /** A scalar or literal constant in the graph. */
  constant(value: number | TensorData, dataType: DataType = 'float32'): Tensor {
    return this.graph.constant(typeof value === 'number' ? tensor(value, 'float32', []) : value, dataType);
  }
}
