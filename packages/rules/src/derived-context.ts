import { gradients } from '@updraft/autodiff';
import type {
  InitContext,
  NamedValues,
  NoiseDistribution,
  ParameterSpec,
  ScalarValue,
  StateSpecs,
  SymbolicState,
  Tap,
  UpdateContext,
} from '@updraft/core';
import type { Dim, Tensor } from '@updraft/graph';

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

const valueAt = (value: ScalarValue | ((step: number) => number)): ((step: number) => number) =>
  typeof value === 'number' ? () => value : typeof value === 'function' ? value : (step) => value.at(step);

/** An update context seen through a wrapper: other state, gradients, parameters, or step count. */
export class DerivedContext<S extends StateSpecs> implements UpdateContext<S> {
  #grads: NamedValues<Tensor> | undefined;

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
    return this.changes.innerStep === undefined ? this.outer.step : this.scalar('step', (step) => step);
  }

  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor {
    const { prefix = '', innerStep } = this.changes;
    if (innerStep === undefined) return this.outer.scalar(prefix + name, value);
    const at = valueAt(value);
    return this.outer.scalar(prefix + name, (step) => at(innerStep(step)));
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
  hvp(vector: NamedValues<Tensor>): NamedValues<Tensor> {
    return pick(this.outer.hvp(vector), this.params);
  }
  perSampleGrads(): NamedValues<Tensor> {
    return pick(this.outer.perSampleGrads(), this.params);
  }
  tap(param: string): readonly Tap[] {
    return this.outer.tap(param);
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
