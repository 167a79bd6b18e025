import type { Dim, Tensor, TensorData } from '@updraft/graph';
import type { NoiseDistribution } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import type { RandomStream } from '../random/index.js';
import type { NamedValues } from '../tree.js';
import type { Sampler } from './sampler.js';
import type { StateSpec, StateSpecs, SymbolicState } from './update-rule.js';

/** What `init` sees: the request, and makers of state. */
export interface GenerationInitContext {
  /** Conditioning of this request by name: labels, prompts, an image. */
  readonly inputs: NamedValues<TensorData>;
  /** A state tensor; float32 and zero by default. */
  state(
    shape: readonly number[],
    options?: { initial?: number | TensorData; dataType?: StateSpec['dataType'] },
  ): StateSpec;
  /** Random numbers to start from: those that the request gives under this name, else drawn from the seeded stream of it. */
  noise(name: string, shape: readonly number[], distribution?: NoiseDistribution): TensorData<'float32'>;
}

/** What `step` sees. Everything is symbolic; shapes are those of the request. */
export interface GenerationContext<S extends StateSpecs = StateSpecs> {
  readonly state: SymbolicState<S>;
  readonly inputs: NamedValues<Tensor>;
  /** Number of this step from 1, as a float32 scalar input. */
  readonly step: Tensor;
  /** Name of the variant being built. */
  readonly phase: string;
  /**
   * Named outputs of a model in inference form. The name of the model may be left out where there is only one. Several
   * models run in lockstep by being called in one step.
   */
  forward(inputs: NamedValues<Tensor>, model?: string): NamedValues<Tensor>;
  /** A float32 scalar of the step (noise level, temperature) that never recompiles. */
  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor;
  /** Fresh noise every step: what the request gives under this name, else drawn from the seeded stream of it. */
  noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor;
}

/** What a step changes and shows. */
export interface GenerationStep<S extends StateSpecs = StateSpecs> {
  readonly state: SymbolicState<S>;
  /** Named tensors of this step for events and trajectories: tokens, log-probabilities, predictions, coefficients. */
  readonly outputs?: NamedValues<Tensor>;
  /** Bool tensor of any shape: generation ends once all of it is true. */
  readonly finished?: Tensor;
}

/** Host work after a step: accept or reject, go back, stop. Tensors are copies; written ones replace the originals. */
export interface GenerationHostContext {
  /** The step just finished, from 1. */
  readonly step: number;
  readonly outputs: NamedValues<TensorData>;
  readonly random: RandomStream;
  readState(path: string): Promise<TensorData>;
  writeState(path: string, value: TensorData): Promise<void>;
  /** End after this step. */
  stop(): void;
}

/**
 * A sampler that runs a network step by step: diffusion, flows, decoding, group rollouts. It declares state, builds one
 * step as graph (state, inputs, scalars, noise → state, outputs), and the driver `generate` compiles it once and loops.
 * State begins anew for every request.
 */
export interface GenerationSampler<S extends StateSpecs = StateSpecs> {
  init(context: GenerationInitContext): S;
  /** Most steps that a request takes. */
  steps(inputs: NamedValues<TensorData>): number;
  step(context: GenerationContext<S>): GenerationStep<S>;
  /** Variant to run at a step (from 1); each is compiled once. Default: `step`. */
  phase?(step: number): string;
  host?(context: GenerationHostContext): void | Promise<void>;
}

/** Tells the two kinds of samplers apart: those that run a network step by step, and those that draw batches. */
export const isGenerationSampler = (sampler: Sampler | GenerationSampler): sampler is GenerationSampler =>
  typeof (sampler as Partial<GenerationSampler>).step === 'function';
