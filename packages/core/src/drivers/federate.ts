import type { Backend } from '@updraft/backend';
import type { TensorData } from '@updraft/graph';
import type { CheckpointStore } from '../checkpoint/index.js';
import type { Aggregator, SourcePolicy } from '../contracts/aggregator.js';
import type { ClientRule } from '../contracts/client-rule.js';
import type { Reward } from '../contracts/reward.js';
import type { JsonValue, Sampler } from '../contracts/sampler.js';
import type { UpdateRule } from '../contracts/update-rule.js';
import type { FederateEvent } from '../events/index.js';
import type { Model } from '../module/module.js';
import type { RandomStream } from '../random/index.js';
import type { NamedValues } from '../tree.js';
import type { EvaluationOptions, EvaluationResult } from './evaluate.js';
import { EventRun } from './event-run.js';
import type { ClientUpload } from './federate-sources.js';
import { runFederation } from './federation.js';

/** What a transform of uploads sees besides the upload. */
export interface TransformContext {
  readonly round: number;
  /** The model that the client received. */
  readonly received: NamedValues<TensorData>;
  /** What the clients without a transform send in this round: all that an omniscient attacker may know. */
  readonly honest: readonly ClientUpload[];
  /** Stream of this client and round. */
  readonly random: RandomStream;
}

/** One of those who train together. */
export interface FederatedClient {
  readonly id: string;
  /** Its data. Without a sampler it does no local work and would send the model as received: an attacker that trains nothing. */
  readonly sampler?: Sampler;
  /** Weight of what it sends, from 0: the number of its examples, say. Default 1. */
  readonly weight?: number;
  /** Default: the rule of all clients. */
  readonly updateRule?: ClientRule;
  /** Default: the reward of all clients. */
  readonly reward?: Reward;
  /**
   * Changes what it sends: attacks, compression, a network that loses (undefined), repeats (several) or delays (one of an
   * earlier round) messages. Runs when all clients of the round have trained.
   */
  readonly transform?: (
    upload: ClientUpload,
    context: TransformContext,
  ) => ClientUpload | readonly ClientUpload[] | undefined;
}

/** What a peer may receive in a decentralised round. */
export interface ReceiveContext {
  readonly peer: string;
  readonly round: number;
  /** What the other participants sent. */
  readonly uploads: readonly ClientUpload[];
  /** Stream of this peer and round. */
  readonly random: RandomStream;
}

/** Federated training and how long to run it. */
export interface FederateOptions {
  readonly model: Model;
  /** What all clients minimise, where they do not say otherwise. */
  readonly reward: Reward;
  readonly clients: readonly FederatedClient[];
  /** How clients train. One rule serves all of them: its state is kept per client. */
  readonly updateRule: ClientRule;
  readonly aggregator: Aggregator;
  readonly backend: Backend;
  /** Rounds in total. A resumed run continues up to this number. */
  readonly rounds: number;
  /** Local steps of every participant in a round; else `localEpochs`. Default 1. */
  readonly localSteps?: number;
  /** Passes over the data of the client; needs samplers that know how many batches one has. */
  readonly localEpochs?: number;
  /** Who takes part in a round, drawn without replacement with equal chances; default: everybody. */
  readonly participation?: ({ readonly fraction: number } | { readonly count: number }) & {
    /** Default: the seed of the run. */
    readonly seed?: number;
  };
  /**
   * `server` (default): one model, the aggregator runs at the server. `peers`: every client has a model of its own, trains
   * it, and aggregates what it receives with its own model as source 0 and `context.own`.
   */
  readonly topology?: 'server' | 'peers';
  /** With `peers`: which uploads of the others reach a peer, in which order; default: all. */
  readonly receive?: (context: ReceiveContext) => readonly ClientUpload[];
  /**
   * What is sent: parameters (default), or their change since they were received (with one step of plain gradient descent
   * of learning rate 1, minus the gradient). Peers send weights.
   */
  readonly exchange?: 'weights' | 'deltas';
  /** Whether the state of the client rule starts anew in every round or is kept by the client. Default: what the rule wants, else `reset`. */
  readonly clientState?: 'reset' | 'keep';
  /**
   * What client rules count as their step, for schedules and bias corrections: from 1 in every round (default with
   * `reset`), steps of the client over all rounds (default with `keep`), or (round − 1) · localSteps + the step in the round.
   */
  readonly countSteps?: 'round' | 'client' | 'global';
  /** Variables (running statistics): weighted mean of the accepted sources (default), or each client keeps its own. */
  readonly variables?: 'mean' | 'local';
  /** Treats (model − aggregate) as a gradient: adaptive and momentum servers. Default: the aggregate is the new model. */
  readonly serverRule?: UpdateRule;
  /** Overrides the policy of the aggregator. */
  readonly policy?: Partial<SourcePolicy>;
  /** Seeds parameters, sampling, noise and participation. Default 0. */
  readonly seed?: number;
  /** Start from these parameters or variables instead of drawing them. */
  readonly initial?: NamedValues<TensorData>;
  readonly evaluation?: EvaluationOptions & {
    /** Rounds between evaluations; default: only at the end. */
    readonly every?: number;
    /** With `peers`: whose models; default: of all peers without a transform. */
    readonly peers?: readonly string[];
  };
  readonly checkpoints?: {
    readonly store: CheckpointStore;
    /** Rounds between checkpoints. */
    readonly every: number;
    /** Continue from the newest valid checkpoint of the store, where there is one. Default true. */
    readonly resume?: boolean;
  };
  /** Kept in checkpoints and events: what the run was configured with. */
  readonly config?: JsonValue;
  /** Ends the run; a round that has begun is undone. */
  readonly signal?: AbortSignal;
}

/** What a client has at the end. */
export interface ClientResult {
  /** Its own model, with `peers`. */
  readonly params: Readonly<Record<string, TensorData>>;
  readonly variables: Readonly<Record<string, TensorData>>;
  /** State of its rule by path, with `clientState: 'keep'`. */
  readonly state: Readonly<Record<string, TensorData>>;
  /** Local steps over all rounds. */
  readonly steps: number;
}

/** What federated training leaves behind. */
export interface FederateResult {
  readonly rounds: number;
  /** The model of the server; empty with `peers`. */
  readonly params: Readonly<Record<string, TensorData>>;
  readonly variables: Readonly<Record<string, TensorData>>;
  /** State of the server by path: `aggregator/…`, `server/…`. */
  readonly state: Readonly<Record<string, TensorData>>;
  readonly clients: Readonly<Record<string, ClientResult>>;
  /** With `peers`: the mean over those evaluated. */
  readonly evaluation: EvaluationResult | undefined;
  readonly reason: 'steps' | 'aborted';
}

/** Federated training in progress: iterate it for its events, or await `result()`. */
export type FederateRun = EventRun<FederateEvent, FederateResult>;

/**
 * Train one model together in this process: in every round clients are drawn, train from the current model with their own
 * data, and send what they have; an aggregator makes the next model of it. Deterministic for a seed; a resumed run ends
 * with the same bits, as far as transforms keep nothing between rounds.
 *
 * @throws CoreError for options that do not fit together, SourceError where the policy refuses a source.
 */
export const federate = (options: FederateOptions): FederateRun => new EventRun(runFederation(options));
