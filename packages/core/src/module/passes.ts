import type { DataType, Dim, Graph, Tensor } from '@updraft/graph';
import type { ParameterSpec, VariableSpec } from './parameter.js';
import { Scope, type NoiseDistribution, type ScopeProvider } from './scope.js';

/** One of several runs of a network: see {@link passes}. */
class PassProvider implements ScopeProvider {
  constructor(
    readonly outer: ScopeProvider,
    readonly pass: number,
    /** Values that earlier passes gave to variables. */
    readonly assigned: Map<string, Tensor>,
  ) {}
  get graph(): Graph {
    return this.outer.graph;
  }
  parameter(spec: ParameterSpec): Tensor {
    return this.outer.parameter(spec);
  }
  variable(spec: VariableSpec): Tensor {
    // Declared in every case, so that it exists.
    const declared = this.outer.variable(spec);
    return this.assigned.get(spec.name) ?? declared;
  }
  assign(name: string, value: Tensor): void {
    this.assigned.set(name, value);
    this.outer.assign(name, value);
  }
  noise(name: string, shape: readonly Dim[], distribution: NoiseDistribution, dataType: DataType): Tensor {
    return this.outer.noise(this.pass === 0 ? name : `${name}#${this.pass}`, shape, distribution, dataType);
  }
}

/**
 * Runs of one network on several inputs within one program, as if they came one after the other: each call of the result
 * gives the scope for the next run. Parameters are shared, and their gradients add up; every run draws noise of its own and
 * finds variables (running statistics) as the run before left them.
 *
 * ```
 * const next = passes(scope);
 * const [left, right] = [network(next(), xA), network(next(), xB)];
 * ```
 */
export function passes(scope: Scope): () => Scope {
  const assigned = new Map<string, Tensor>();
  let pass = 0;
  return () => new Scope(new PassProvider(scope.provider, pass++, assigned), scope.training, scope.path, scope.layer);
}
