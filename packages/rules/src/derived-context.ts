import { gradients } from '@updraft/autodiff';
import {
  mapValues,
  type InitContext,
  type NamedValues,
  type NoiseDistribution,
  type ParameterSpec,
  type SampledGradients,
  type ScalarValue,
  type StateSpecs,
  type SymbolicState,
  type Tap,
  type UpdateContext,
} from '@updraft/core';
import { zerosLike, type Dim, type Tensor } from '@updraft/graph';

/** What a wrapping rule changes for the rule inside it. */
export interface ContextChanges<S extends StateSpecs> {
  readonly state: SymbolicState<S>;
  readonly params?: NamedValues<Tensor>;
  readonly proposed?: NamedValues<Tensor>;
  readonly grads?: () => NamedValues<Tensor>;
  readonly phase?: string;
  /** Put before names of scalars, noise and metrics. */
  readonly prefix?: string;
  /** Maps the step of the run to the step that the inner rule counts. */
  readonly innerStep?: (step: number) => number;
}

const ownStep = (step: number): number => step;

const valueAt = (value: ScalarValue | ((step: number) => number)): ((step: number) => number) =>
  typeof value === 'number' ? () => value : typeof value === 'function' ? value : (step) => value.at(step);

/** An update context seen through a wrapper: other state, gradients, parameters, or step count. */
export class DerivedContext<S extends StateSpecs> implements UpdateContext<S> {
  #grads: NamedValues<Tensor> | undefined;
  /** Scalars asked for so far: one that is asked for again must reach the outer context as the same function. */
  readonly #scalars = new Map<string, { readonly value: unknown; readonly at: (step: number) => number }>();

  constructor(
    readonly outer: UpdateContext,
    readonly changes: ContextChanges<S>,
  ) {}

  get params(): NamedValues<Tensor> {
    return this.changes.params ?? this.outer.params;
  }
  get proposed(): NamedValues<Tensor> {
    return this.changes.proposed ?? this.params;
  }
  get specs(): NamedValues<ParameterSpec> {
    const { params } = this;
    return Object.fromEntries(Object.entries(this.outer.specs).filter(([name]) => params[name] !== undefined));
  }
  get grads(): NamedValues<Tensor> {
    this.#grads ??= this.changes.grads?.() ?? pick(this.outer.grads, this.params);
    return this.#grads;
  }
  get state(): SymbolicState<S> {
    return this.changes.state;
  }
  get phase(): string {
    return this.changes.phase ?? this.outer.phase;
  }
  get step(): Tensor {
    return this.changes.innerStep === undefined ? this.outer.step : this.scalar('step', ownStep);
  }

  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor {
    const { prefix = '', innerStep } = this.changes;
    if (innerStep === undefined) return this.outer.scalar(prefix + name, value);
    const known = this.#scalars.get(name);
    if (known?.value === value) return this.outer.scalar(prefix + name, known.at);
    const inner = valueAt(value);
    const at = (step: number): number => inner(innerStep(step));
    this.#scalars.set(name, { value, at });
    return this.outer.scalar(prefix + name, at);
  }
  noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor {
    return this.outer.noise((this.changes.prefix ?? '') + name, shape, distribution);
  }
  loss(params?: NamedValues<Tensor>): Tensor {
    return params === undefined ? this.outer.loss() : this.outer.loss({ ...this.outer.params, ...params });
  }
  gradsAt(params: NamedValues<Tensor>): NamedValues<Tensor> {
    const names = Object.keys(params);
    const results = gradients(this.loss(params), Object.values(params));
    return Object.fromEntries(names.map((name, index) => [name, results[index] as Tensor]));
  }
  hvp(vector: NamedValues<Tensor>, params?: NamedValues<Tensor>): NamedValues<Tensor> {
    return pick(this.outer.hvp(this.#completed(vector), this.#all(params)), this.params);
  }
  sampledGrads(params?: NamedValues<Tensor>): SampledGradients {
    const { grads, predictions } = this.outer.sampledGrads(this.#all(params));
    return { grads: pick(grads, this.params), predictions };
  }
  perSampleGrads(): NamedValues<Tensor> {
    return pick(this.outer.perSampleGrads(), this.params);
  }
  tap(param: string): readonly Tap[] {
    return this.outer.tap(param);
  }
  /** Other values of some parameters, with those of the rest. */
  #all(params: NamedValues<Tensor> | undefined): NamedValues<Tensor> | undefined {
    return params === undefined ? undefined : { ...this.outer.params, ...params };
  }
  /** A direction in which the parameters that this rule does not see stay. */
  #completed(vector: NamedValues<Tensor>): NamedValues<Tensor> {
    return mapValues(this.outer.params, (param, name) => vector[name] ?? zerosLike(param));
  }
  metric(name: string, value: Tensor): void {
    this.outer.metric((this.changes.prefix ?? '') + name, value);
  }
}

/** The entries of `values` whose names `like` has. */
export const pick = <T>(values: NamedValues<T>, like: NamedValues<unknown>): Record<string, T> =>
  Object.fromEntries(
    Object.keys(like).flatMap((name) => (values[name] === undefined ? [] : [[name, values[name] as T]])),
  );

/** An init context over some of the parameters. */
export const initContextFor = (outer: InitContext, params: NamedValues<ParameterSpec>): InitContext => ({
  params,
  like: (spec, initial) => outer.like(spec, initial),
  likeParams: (initial) =>
    Object.fromEntries(Object.entries(params).map(([name, spec]) => [name, outer.like(spec, initial)])),
  state: (shape, options) => outer.state(shape, options),
  copyOf: (spec) => outer.copyOf(spec),
});
