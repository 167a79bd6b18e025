import type { Dim, Tensor } from '@updraft/graph';
import type { NoiseDistribution } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import type { NamedValues } from '../tree.js';
import type { JsonValue } from './sampler.js';

/** What an objective is built from. */
export interface ObjectiveContext {
  /** Columns of the batch. */
  readonly batch: NamedValues<Tensor>;
  /** Parameters at which the objective is evaluated. */
  readonly params: NamedValues<Tensor>;
  readonly training: boolean;
  /** Run the model on the batch (default), or on the inputs given. Named outputs. */
  forward(inputs?: NamedValues<Tensor>): NamedValues<Tensor>;
  /** A scalar that may change every step without recompiling. */
  scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor;
  noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor;
}

/** A loss whose targets are drawn from what the model predicts, instead of taken from the data. */
export interface SampledLoss {
  /** Scalar; the drawn targets are constants of it. Its mean gradient is 0, its gradients have the Fisher matrix as covariance. */
  readonly loss: Tensor;
  /** Scalar B: how many predictions, each drawn on its own, the loss is the mean of (examples, or tokens of all examples). */
  readonly predictions: Tensor;
}

export interface Objective {
  /** Scalar to minimise. */
  readonly loss: Tensor;
  /** Named scalars to report. */
  readonly metrics?: NamedValues<Tensor>;
  /** Named values with a leading batch axis (losses, predictions), for samplers and evaluation. */
  readonly perExample?: NamedValues<Tensor>;
  /** Named tensors of any shape to look at, which are no part of the loss: a correlation matrix, a confusion. */
  readonly outputs?: NamedValues<Tensor>;
  /** The same loss with targets drawn from the predictions, for rules that estimate curvature; built when it is asked for. */
  readonly sampled?: () => SampledLoss;
}

/** **What is good.** Any of the three may be absent. */
export interface Reward<Item = unknown> {
  /** Build a loss and metrics into the graph. */
  objective?(context: ObjectiveContext): Objective;
  /** Judge items on the host: one number for each. */
  score?(items: readonly Item[]): readonly number[] | Promise<readonly number[]>;
  /**
   * Turn scores into training signal, on the host.
   *
   * @param groups Group of each score; default: all belong to one.
   * @param items What was scored, for signal that depends on more than the score.
   */
  advantages?(scores: readonly number[], groups?: readonly number[], items?: readonly Item[]): readonly number[];
  /** What judging has taught it (estimated error rates, running moments) as JSON. Who calls `score` keeps it with its own state. */
  state?(): JsonValue;
  restore?(state: JsonValue): void;
}
