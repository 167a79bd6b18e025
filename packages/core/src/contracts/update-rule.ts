import type { Dim, Tensor, TensorData } from '@updraft/graph';
import type { NoiseDistribution } from '../module/scope.js';
import type { ParameterSpec } from '../module/parameter.js';
import type { ScalarValue } from '../options/schedule.js';
import type { LinearAlgebra } from '../linear-algebra/index.js';
import type { RandomStream } from '../random/index.js';
import type { MapLeaves, NamedValues, TreeBranch } from '../tree.js';

/** One state tensor of a rule: shape, element type and first value (a number fills it; `parameter` copies one). */
export interface StateSpec {
  readonly kind: 'state';
  readonly shape: readonly number[];
  readonly dataType: TensorData['dataType'];
  readonly initial: number | TensorData | { readonly parameter: string };
}

/** Declared state: nested records of {@link StateSpec}. */
export type StateSpecs = TreeBranch<StateSpec>;
/** The same tree with symbolic tensors, as `update` sees and returns it. */
export type SymbolicState<S> = MapLeaves<S, StateSpec, Tensor>;

/** What `init` sees: the parameters as declared, and makers of state. */
export interface InitContext {
  readonly params: NamedValues<ParameterSpec>;
  /** State with the shape of a parameter, zero-filled by default. */
  like(spec: ParameterSpec, initial?: number): StateSpec;
  /** One such state tensor for each parameter. */
  likeParams(initial?: number): Record<string, StateSpec>;
  /** Any other state tensor; float32 and zero by default. */
  state(
    shape: readonly number[],
    options?: { initial?: number | TensorData; dataType?: StateSpec['dataType'] },
  ): StateSpec;
  /** State that starts as a copy of the parameter (averages, anchors, targets). */
  copyOf(spec: ParameterSpec): StateSpec;
}

/** Input and output gradient of a layer that uses a parameter. */
export interface Tap {
  /** Operator that uses the parameter: `MatMul`, `Gemm`, `Conv`, `Gather`, … */
  readonly operator: string;
  /** The other operand: what the layer saw. */
  readonly input: Tensor;
  /** The parameter as the layer uses it: itself, or its transpose. */
  readonly weight: Tensor;
  readonly output: Tensor;
  /** Gradient of the loss with respect to the output of the layer (before the bias where that is a node of its own). */
  readonly outputGradient: Tensor;
}

/** Gradients with respect to a loss whose targets are drawn from the model. */
export interface SampledGradients {
  readonly grads: NamedValues<Tensor>;
  /** Scalar B: how many predictions, each drawn on its own, the loss is the mean of. */
  readonly predictions: Tensor;
}

/**
 * What `update` sees. Everything is symbolic and lazy: gradients that a rule never reads are never built, so that a
 * zeroth-order rule has no backward graph at all.
 */
export interface UpdateContext<S extends StateSpecs = StateSpecs> {
  /** Parameters before this step. */
  readonly params: NamedValues<Tensor>;
  /** Parameters as proposed by earlier links of a `chain`; equal to `params` in a rule of its own. */
  readonly proposed: NamedValues<Tensor>;
  readonly specs: NamedValues<ParameterSpec>;
  /** Gradients of the loss at `params` (as changed by earlier links of a `chain`), computed on first use. */
  readonly grads: NamedValues<Tensor>;
  readonly state: SymbolicState<S>;
  /** Number of this step from 1, as a float32 scalar input. */
  readonly step: Tensor;
  /** Name of the variant being built. */
  readonly phase: string;
  /**
   * A float32 scalar that may change every step without recompiling: a number, a schedule, or a function of the step
   * (from 1), evaluated by the host in float64.
   */
  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor;
  /** Fresh noise every step, from the seeded stream of this name. */
  noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor;
  /** The loss of this batch, at other parameters when given. */
  loss(params?: NamedValues<Tensor>): Tensor;
  /** Gradients of the loss of this batch at other parameters. */
  gradsAt(params: NamedValues<Tensor>): NamedValues<Tensor>;
  /** Hessian-vector product of the loss of this batch at `params`, or at other parameters. */
  hvp(vector: NamedValues<Tensor>, params?: NamedValues<Tensor>): NamedValues<Tensor>;
  /**
   * Gradients of the loss of this batch with targets drawn from the model's own predictions, at `params` or at other
   * parameters. @throws CoreError where the reward does not say how targets are drawn.
   */
  sampledGrads(params?: NamedValues<Tensor>): SampledGradients;
  /** Gradients per example: the shape of each parameter with a leading batch axis. */
  perSampleGrads(): NamedValues<Tensor>;
  /** Layers that use this parameter in the forward pass. */
  tap(param: string): readonly Tap[];
  /** Report a scalar under this name with the metrics of the step. */
  metric(name: string, value: Tensor): void;
}

/** What a rule changes; what it leaves out stays. */
export interface Update<S extends StateSpecs = StateSpecs> {
  readonly params?: NamedValues<Tensor>;
  /** Changed gradients for later links of a `chain` (clipping, accumulation). */
  readonly grads?: NamedValues<Tensor>;
  readonly state?: SymbolicState<S>;
}

/** Host work between steps: exact linear algebra, controllers. Tensors are copies; written ones replace the originals. */
export interface HostContext {
  /** The step just finished, from 1. */
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly linearAlgebra: LinearAlgebra;
  readonly random: RandomStream;
  readState(path: string): Promise<TensorData>;
  writeState(path: string, value: TensorData): Promise<void>;
  readParam(name: string): Promise<TensorData>;
  writeParam(name: string, value: TensorData): Promise<void>;
}

/** **How parameters change.** Maths only: symbolic tensors in, symbolic tensors out. */
export interface UpdateRule<S extends StateSpecs = StateSpecs> {
  /** Declare state; called once per parameter set. */
  init(context: InitContext): S;
  update(context: UpdateContext<S>): Update<S>;
  /** Variant to run at a step (from 1); each variant is compiled once. Default: `step`. */
  phase?(step: number): string;
  /** Whether `host` runs after this step. */
  needsHost?(step: number): boolean;
  host?(context: HostContext): Promise<void>;
}
