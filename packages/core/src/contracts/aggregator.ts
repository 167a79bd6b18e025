import type { Tensor } from '@updraft/graph';
import type { ScalarValue } from '../options/schedule.js';
import type { NamedValues } from '../tree.js';
import type { StateSpec, StateSpecs, SymbolicState } from './update-rule.js';

/** One of the things to combine: a client update, a model, logits, a task gradient, an expert. */
export interface Source {
  readonly id: string;
  readonly values: NamedValues<Tensor>;
  /** Non-negative weight as a scalar; sums to anything. */
  readonly weight: Tensor;
}

export interface CombineContext<S extends StateSpecs = StateSpecs> {
  readonly state: SymbolicState<S>;
  /** Round number from 1 as a float32 scalar. */
  readonly round: Tensor;
  scalar(name: string, value: ScalarValue | ((round: number) => number)): Tensor;
  metric(name: string, value: Tensor): void;
}

export interface Combined<S extends StateSpecs = StateSpecs> {
  readonly values: NamedValues<Tensor>;
  readonly state?: SymbolicState<S>;
}

/** What is done with a source that is late, missing, sent twice, or malformed (names, shapes, non-finite numbers). */
export interface SourcePolicy {
  readonly late: 'include' | 'drop' | 'refuse';
  readonly duplicated: 'first' | 'last' | 'refuse';
  readonly malformed: 'drop' | 'refuse';
  /** Fewest sources that make a round. */
  readonly minimum: number;
}

export interface AggregatorInitContext {
  /** Shapes of the values of a source. */
  readonly shapes: NamedValues<readonly number[]>;
  state(shape: readonly number[], initial?: number): StateSpec;
  likeValues(initial?: number): Record<string, StateSpec>;
}

/** **How several sources become one.** Runs inside a graph, on a server, or offline. */
export interface Aggregator<S extends StateSpecs = StateSpecs> {
  init?(context: AggregatorInitContext): S;
  combine(context: CombineContext<S>, sources: readonly Source[]): Combined<S>;
  readonly policy?: Partial<SourcePolicy>;
}
