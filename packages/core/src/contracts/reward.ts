import type { Dim, Tensor } from '@updraft/graph';
import type { NoiseDistribution } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import type { NamedValues } from '../tree.js';

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

export interface Objective {
  /** Scalar to minimise. */
  readonly loss: Tensor;
  /** Named scalars to report. */
  readonly metrics?: NamedValues<Tensor>;
  /** Named values with a leading batch axis (losses, predictions), for samplers and evaluation. */
  readonly perExample?: NamedValues<Tensor>;
}

/** **What is good.** Any of the three may be absent. */
export interface Reward<Item = unknown> {
  /** Build a loss and metrics into the graph. */
  objective?(context: ObjectiveContext): Objective;
  /** Judge items on the host: one number for each. */
  score?(items: readonly Item[]): readonly number[] | Promise<readonly number[]>;
  /** Turn scores into training signal, on the host. */
  advantages?(scores: readonly number[], groups?: readonly number[]): readonly number[];
}
