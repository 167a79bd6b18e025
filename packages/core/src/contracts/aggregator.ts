import type { Dim, Tensor } from '@updraft/graph';
import type { NoiseDistribution } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import type { NamedValues } from '../tree.js';
import type { StateSpec, StateSpecs, SymbolicState } from './update-rule.js';

/** One of the things to combine: a client update, a model, logits, a task gradient, an expert. */
export interface Source {
  /**
   * The role of this source where roles are fixed (`large`, `expert`, the name of a checkpoint); else its position (`0`,
   * `1`, …), since one program serves whichever clients take part in a round.
   */
  readonly id: string;
  readonly values: NamedValues<Tensor>;
  /** Non-negative weight as a float32 scalar; sums to anything. */
  readonly weight: Tensor;
  /** What it sent beside its values, by name: see `ClientRule.roundEnd`. The same names for every source. */
  readonly extras?: NamedValues<Tensor>;
}

/** What `combine` sees besides the sources. */
export interface CombineContext<S extends StateSpecs = StateSpecs> {
  readonly state: SymbolicState<S>;
  /** Round number from 1 as a float32 scalar. */
  readonly round: Tensor;
  /**
   * The source of the one who combines, which is also among the sources: its own model in decentralised rounds, where
   * every peer has a result of its own. Undefined on a server.
   */
  readonly own?: Source | undefined;
  /** The values that the result replaces: the model of the round before, the base of a merge. Undefined where there are none. */
  readonly current?: NamedValues<Tensor> | undefined;
  /** How many sources there are in all, present or not, as a float32 scalar; the number of sources where only they exist. */
  readonly population: Tensor;
  /** A float32 scalar that may change every round without recompiling. */
  scalar(name: string, value: ScalarValue | ((round: number) => number)): Tensor;
  /** Fresh noise every round, from the seeded stream of this name. */
  noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor;
  /** Report a scalar under this name. */
  metric(name: string, value: Tensor): void;
}

/** What `combine` returns. */
export interface Combined<S extends StateSpecs = StateSpecs> {
  /** The result, under the names and with the shapes and element types of the values of a source. */
  readonly values: NamedValues<Tensor>;
  readonly state?: SymbolicState<S>;
  /** Named tensors to look at that are not part of the result: coefficients, distances, which sources were kept. */
  readonly outputs?: NamedValues<Tensor>;
}

/** What is done with a source that is late, missing, sent twice, or malformed (names, shapes, non-finite numbers). */
export interface SourcePolicy {
  /** An update of an earlier round. Default `drop`. */
  readonly late: 'include' | 'drop' | 'refuse';
  /** Several updates of one source in one round. Default `first`. */
  readonly duplicated: 'first' | 'last' | 'refuse';
  /** What does not fit, or holds NaN or infinity, never enters. Default `drop`. */
  readonly malformed: 'drop' | 'refuse';
  /** Fewest sources that make a round; with fewer nothing changes. Default 1. */
  readonly minimum: number;
}

/** What `init` sees. */
export interface AggregatorInitContext {
  /** Shapes of the values of a source; they may have symbolic sizes inside a graph (logits of a batch). */
  readonly shapes: NamedValues<readonly Dim[]>;
  /** A float32 state tensor; zero-filled by default. */
  state(shape: readonly number[], initial?: number): StateSpec;
  /** One state tensor with the shape and element type of each value. @throws CoreError where a size is symbolic. */
  likeValues(initial?: number): Record<string, StateSpec>;
}

/**
 * **How several sources become one.** Runs inside a graph (`aggregate`), on a server or at every peer (`federate`), or
 * offline (`merge`). It is built once for each number of sources. State is shared by all rounds; what belongs to one
 * source is kept by that source and sent along (`Source.extras`).
 */
export interface Aggregator<S extends StateSpecs = StateSpecs> {
  init?(context: AggregatorInitContext): S;
  combine(context: CombineContext<S>, sources: readonly Source[]): Combined<S>;
  readonly policy?: Partial<SourcePolicy>;
}
