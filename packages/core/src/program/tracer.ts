import type { Graph } from '@updraft/graph';
import { shapeEquals, shapeText, symbol, type DataType, type Dim, type Tensor } from '@updraft/graph';
import { CoreError } from '../errors.js';
import type { InputSpec } from '../module/module.js';
import type { ParameterSpec, VariableSpec } from '../module/parameter.js';
import type { NoiseDistribution, ScopeProvider } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import type { NamedValues } from '../tree.js';

/** A float32 scalar input and the host function that supplies it each step. */
export interface ScalarInput {
  readonly name: string;
  readonly tensor: Tensor;
  readonly at: (step: number) => number;
}

/** A noise input: the host draws it each step from the stream of this name. */
export interface NoiseInput {
  readonly name: string;
  readonly tensor: Tensor;
  readonly distribution: NoiseDistribution;
}

/** Prefixes of the inputs of step programs; outputs that replace an input are called `next/<input>`. */
export const PREFIX = {
  param: 'param/',
  variable: 'variable/',
  state: 'state/',
  batch: 'batch/',
  scalar: 'scalar/',
  noise: 'noise/',
  metric: 'metric/',
  perExample: 'example/',
  next: 'next/',
} as const;

/**
 * Collects what a program under construction reads: parameters, variables, batch columns, scalars and noise become
 * graph inputs when they are first asked for; asking again gives the same tensor, so that a model may be built several
 * times (two views, perturbed weights) within one program.
 */
export class Tracer implements ScopeProvider {
  readonly params = new Map<string, { readonly spec: ParameterSpec; readonly tensor: Tensor }>();
  readonly variables = new Map<string, { readonly spec: VariableSpec; readonly tensor: Tensor }>();
  /** Values that variables take after the step. */
  readonly assignments = new Map<string, Tensor>();
  readonly scalars = new Map<string, ScalarInput>();
  readonly noises = new Map<string, NoiseInput>();
  readonly batch = new Map<string, Tensor>();
  readonly #values = new Map<string, ScalarValue | ((step: number) => number)>();

  constructor(readonly graph: Graph) {}

  parameter(spec: ParameterSpec): Tensor {
    const known = this.params.get(spec.name);
    if (known !== undefined) {
      if (known.spec.shape.join() !== spec.shape.join())
        throw new CoreError(
          'module',
          `Parameter "${spec.name}" is declared with shape [${known.spec.shape.join(', ')}] and again with [${spec.shape.join(', ')}].`,
          { hint: 'Give the two layers different names, or feed both inputs of one size.' },
        );
      return known.tensor;
    }
    const tensor = this.graph.input(PREFIX.param + spec.name, spec.dataType, spec.shape);
    this.params.set(spec.name, { spec, tensor });
    return tensor;
  }

  /** Parameters traced so far, by name. */
  parameters(): Record<string, Tensor> {
    return Object.fromEntries([...this.params].map(([name, { tensor }]) => [name, tensor]));
  }

  variable(spec: VariableSpec): Tensor {
    const known = this.variables.get(spec.name);
    if (known !== undefined) return known.tensor;
    const tensor = this.graph.input(PREFIX.variable + spec.name, spec.initial.dataType, spec.initial.dims);
    this.variables.set(spec.name, { spec, tensor });
    return tensor;
  }

  assign(name: string, value: Tensor): void {
    this.assignments.set(name, value);
  }

  column(name: string, spec: InputSpec): Tensor {
    const known = this.batch.get(name);
    if (known !== undefined) return known;
    const shape = spec.shape.map((dim) => (typeof dim === 'string' ? symbol(dim) : dim));
    const tensor = this.graph.input(PREFIX.batch + name, spec.dataType, shape);
    this.batch.set(name, tensor);
    return tensor;
  }

  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor {
    const known = this.scalars.get(name);
    if (known !== undefined) {
      if (this.#values.get(name) !== value)
        throw new CoreError('scalar', `Two different scalars of one program are named "${name}".`, {
          hint: 'Name scalars after what they are, with a prefix where a rule is used twice.',
        });
      return known.tensor;
    }
    const tensor = this.graph.input(PREFIX.scalar + name, 'float32', []);
    const at =
      typeof value === 'number' ? () => value : typeof value === 'function' ? value : (step: number) => value.at(step);
    this.scalars.set(name, { name, tensor, at });
    this.#values.set(name, value);
    return tensor;
  }

  noise(name: string, shape: readonly Dim[], distribution: NoiseDistribution, dataType: DataType = 'float32'): Tensor {
    const known = this.noises.get(name);
    if (known !== undefined) {
      const { tensor } = known;
      if (known.distribution !== distribution || tensor.dataType !== dataType || !shapeEquals(tensor.shape, shape))
        throw new CoreError('noise', `Two different noises of one program are named "${name}".`, {
          hint: `One is ${known.distribution} ${shapeText(tensor.shape)}, the other ${distribution} ${shapeText(shape)}: name noise after what it is for, with a prefix where something is used twice.`,
        });
      return tensor;
    }
    const tensor = this.graph.input(PREFIX.noise + name, dataType, shape);
    this.noises.set(name, { name, tensor, distribution });
    return tensor;
  }
}

/** A provider that reads parameters from given tensors and everything else from the tracer. */
export class ReboundProvider implements ScopeProvider {
  constructor(
    readonly tracer: Tracer,
    readonly values: NamedValues<Tensor>,
  ) {}
  get graph(): Graph {
    return this.tracer.graph;
  }
  parameter(spec: ParameterSpec): Tensor {
    return this.values[spec.name] ?? this.tracer.parameter(spec);
  }
  variable(spec: VariableSpec): Tensor {
    return this.tracer.variable(spec);
  }
  assign(): void {
    // Variables follow the unperturbed forward pass alone.
  }
  noise(name: string, shape: readonly Dim[], distribution: NoiseDistribution, dataType: DataType): Tensor {
    return this.tracer.noise(name, shape, distribution, dataType);
  }
}
