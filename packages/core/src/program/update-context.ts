import { gradients, hessianVectorProduct, perSampleGradients } from '@updraft/autodiff';
import type { Dim, Tensor } from '@updraft/graph';
import type { Objective } from '../contracts/reward.js';
import type { SampledGradients, StateSpecs, SymbolicState, Tap, UpdateContext } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { NoiseDistribution } from '../module/scope.js';
import type { ParameterSpec } from '../module/parameter.js';
import type { ScalarValue } from '../options/schedule.js';
import type { NamedValues } from '../tree.js';
import { layerTaps } from './taps.js';
import type { Tracer } from './tracer.js';

export interface UpdateContextSource {
  readonly tracer: Tracer;
  readonly specs: NamedValues<ParameterSpec>;
  readonly state: SymbolicState<StateSpecs>;
  readonly phase: string;
  /** The objective at the traced parameters, or at others. */
  readonly objective: (params?: NamedValues<Tensor>) => Objective;
  readonly metric: (name: string, value: Tensor) => void;
}

/** The lazy context of `UpdateRule.update` for one step program. */
export class StepContext implements UpdateContext {
  readonly #source: UpdateContextSource;
  #main: Objective | undefined;
  #grads: NamedValues<Tensor> | undefined;
  #perSample: NamedValues<Tensor> | undefined;

  constructor(source: UpdateContextSource) {
    this.#source = source;
  }

  get params(): NamedValues<Tensor> {
    return this.#source.tracer.parameters();
  }
  get proposed(): NamedValues<Tensor> {
    return this.params;
  }
  get specs(): NamedValues<ParameterSpec> {
    return this.#source.specs;
  }
  get state(): SymbolicState<StateSpecs> {
    return this.#source.state;
  }
  get phase(): string {
    return this.#source.phase;
  }
  get step(): Tensor {
    return this.scalar('step', stepNumber);
  }

  /** The objective at the parameters of this step, built on first use. */
  get objective(): Objective {
    return (this.#main ??= this.#source.objective());
  }
  get grads(): NamedValues<Tensor> {
    return (this.#grads ??= namedGradients(this.objective.loss, this.params));
  }
  /** Whether a backward pass at the parameters of this step exists. */
  get differentiated(): boolean {
    return this.#grads !== undefined;
  }

  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor {
    return this.#source.tracer.scalar(name, value);
  }
  noise(name: string, shape: readonly Dim[], distribution: NoiseDistribution = 'normal'): Tensor {
    return this.#source.tracer.noise(name, shape, distribution);
  }
  loss(params?: NamedValues<Tensor>): Tensor {
    return params === undefined ? this.objective.loss : this.#source.objective(params).loss;
  }
  gradsAt(params: NamedValues<Tensor>): NamedValues<Tensor> {
    return namedGradients(this.loss(params), params);
  }
  hvp(vector: NamedValues<Tensor>, params?: NamedValues<Tensor>): NamedValues<Tensor> {
    const at = params ?? this.params;
    const names = Object.keys(at);
    const vectors = names.map((name) => required(vector, name, 'vector'));
    const products = hessianVectorProduct(
      this.loss(params),
      names.map((name) => at[name] as Tensor),
      vectors,
    );
    return Object.fromEntries(names.map((name, index) => [name, products[index] as Tensor]));
  }
  sampledGrads(params?: NamedValues<Tensor>): SampledGradients {
    const { sampled } = params === undefined ? this.objective : this.#source.objective(params);
    if (sampled === undefined)
      throw new CoreError(
        'reward',
        'The reward does not say how targets are drawn from the predictions of the model.',
        {
          hint: 'Use a reward that does, such as crossEntropy(), or let its objective return `sampled`.',
        },
      );
    const { loss, predictions } = sampled();
    const at = params ?? this.params;
    const names = Object.keys(at);
    // What no prediction depends on has no curvature: zeros.
    const results = gradients(loss, Object.values(at), { independent: true });
    return { grads: Object.fromEntries(names.map((name, index) => [name, results[index] as Tensor])), predictions };
  }
  perSampleGrads(): NamedValues<Tensor> {
    if (this.#perSample === undefined) {
      const losses = this.objective.perExample?.['loss'];
      if (losses === undefined)
        throw new CoreError('reward', 'Per-sample gradients need the loss of every example.', {
          hint: 'Let the objective of the reward return perExample: { loss } with a leading batch axis.',
        });
      const names = Object.keys(this.params);
      const batch = [
        ...this.#source.tracer.batch.values(),
        ...[...this.#source.tracer.noises.values()].map((noise) => noise.tensor),
      ];
      const results = perSampleGradients(
        losses,
        names.map((name) => this.params[name] as Tensor),
        { batch },
      );
      this.#perSample = Object.fromEntries(names.map((name, index) => [name, results[index] as Tensor]));
    }
    return this.#perSample;
  }
  tap(param: string): readonly Tap[] {
    return layerTaps(this.objective.loss, required(this.params, param, 'parameters'));
  }
  metric(name: string, value: Tensor): void {
    this.#source.metric(name, value);
  }
}

const stepNumber = (step: number): number => step;

function required(values: NamedValues<Tensor>, name: string, what: string): Tensor {
  const value = values[name];
  if (value === undefined)
    throw new CoreError('parameter', `The ${what} have no value named "${name}".`, {
      hint: `They have: ${Object.keys(values).join(', ')}.`,
    });
  return value;
}

/** Gradients of a loss with respect to named values; every value must be reachable. */
export function namedGradients(loss: Tensor, params: NamedValues<Tensor>): Record<string, Tensor> {
  const names = Object.keys(params);
  const results = gradients(loss, Object.values(params), { unconnected: 'error' });
  return Object.fromEntries(names.map((name, index) => [name, results[index] as Tensor]));
}
