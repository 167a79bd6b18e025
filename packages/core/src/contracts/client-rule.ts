import type { Dim, Tensor } from '@updraft/graph';
import type { NoiseDistribution } from '../module/scope.js';
import type { ScalarValue } from '../options/schedule.js';
import type { NamedValues } from '../tree.js';
import type { ParameterSpec } from '../module/parameter.js';
import type { StateSpecs, SymbolicState, UpdateRule } from './update-rule.js';

/** What `roundStart` and `roundEnd` see: symbolic tensors, as in `update`. */
export interface RoundContext<S extends StateSpecs = StateSpecs> {
  /** Parameters of the client now: the received ones at the start, the trained ones at the end. */
  readonly params: NamedValues<Tensor>;
  /** The model as it was received in this round. */
  readonly received: NamedValues<Tensor>;
  readonly specs: NamedValues<ParameterSpec>;
  readonly state: SymbolicState<S>;
  /** Round number from 1 as a float32 scalar. */
  readonly round: Tensor;
  /** A float32 scalar that may change every round without recompiling. */
  scalar(name: string, value: ScalarValue | ((round: number) => number)): Tensor;
  /** Fresh noise every round and client, from the seeded stream of this name. */
  noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor;
}

/** What changes at a boundary of a round; what is left out stays. */
export interface RoundChange<S extends StateSpecs = StateSpecs> {
  readonly params?: NamedValues<Tensor>;
  readonly state?: SymbolicState<S>;
  /** At the end of a round: tensors to send beside the model, which the aggregator finds in `Source.extras`. */
  readonly upload?: NamedValues<Tensor>;
}

/**
 * An update rule that knows when a round of federated training begins and ends at its client: for anchors, corrections
 * and messages that go with them. Any update rule serves as a client rule; both methods may be absent. With
 * `clientState: 'keep'` its state survives rounds in which the client does not take part.
 */
export interface ClientRule<S extends StateSpecs = StateSpecs> extends UpdateRule<S> {
  /** What `federate` does with the state between rounds where its options do not say. Default `reset`. */
  readonly clientState?: 'reset' | 'keep';
  roundStart?(context: RoundContext<S>): RoundChange<S>;
  roundEnd?(context: RoundContext<S>): RoundChange<S>;
}
