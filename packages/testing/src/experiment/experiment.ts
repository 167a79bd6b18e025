import type { Backend } from '@updraft/backend';
import type { JsonValue } from '@updraft/core';
import { ContractError } from '../errors.js';
import type { Results } from './results.js';

/** One choice of everything that is tuned: which rule, its options. Plain JSON, since runs are remembered by it. */
export type Setting = Readonly<Record<string, JsonValue>>;

/** Sizes of an experiment: examples, steps, batch size. Plain JSON. */
export type Workload = Readonly<Record<string, JsonValue>>;

/** What a run is given besides its setting. */
export interface RunContext<W extends Workload = Workload> {
  /** 0, 1, 2, …; data, parameters and order follow from it, and arms with one seed are paired. */
  readonly seed: number;
  readonly workload: W;
  readonly backend: Backend;
  readonly signal: AbortSignal | undefined;
  /** Tell how much of the run is done, from 0 to 1. */
  progress(fraction: number): void;
}

/** A figure that moved during a run. */
export interface Curve {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

/** What a run found. */
export interface RunOutcome {
  /** Figures at the end, by name: `testLoss`, `testAccuracy`, `stateBytes`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Figures along the way, for the plot. */
  readonly curves?: Readonly<Record<string, Curve>>;
}

/** One of the things that are compared. */
export interface Arm {
  /** Unique in its experiment. */
  readonly name: string;
  readonly role: 'method' | 'baseline' | 'ablation';
  /** What is tried; the best on the mean over the seeds is taken. */
  readonly settings: readonly Setting[];
  /** Why this arm is not tuned like the others; then the number of its settings is free. */
  readonly fixed?: string;
}

/** One condition of a claim, and whether it held. */
export interface Criterion {
  /** The condition with the figures that were found. */
  readonly text: string;
  readonly holds: boolean;
}

/** Something that the paper says and that the experiment can show or not. */
export interface Claim {
  /** Kebab-case, unique in its experiment. */
  readonly id: string;
  /** At the scale of this experiment, as a sentence. */
  readonly statement: string;
  /** Where the paper says it. */
  readonly source: string;
  /** Names of the arms that it is about; only these are run for it. */
  readonly arms: readonly string[];
  /** Conditions, set before the experiment is run: the claim is shown where all hold, partly where some do. */
  readonly judge: (results: Results) => readonly Criterion[];
}

/** An experiment: arms that run on one workload, and the claims that their figures decide. */
export interface Experiment<W extends Workload = Workload> {
  /** Kebab-case, unique in its package. */
  readonly id: string;
  readonly title: string;
  /** Data, model and protocol in a sentence or two. */
  readonly protocol: string;
  readonly workload: W;
  /** What `--quick` changes of the workload: a look whether everything works, which says nothing of the claims. */
  readonly quick: Partial<W>;
  /** How many seeds; default 3, and not fewer. */
  readonly seeds?: number;
  /** By which figure the setting of each arm is chosen. */
  readonly tune: { readonly metric: string; readonly goal: 'least' | 'most' };
  /** Figures of the comparison table, in order; default: all. */
  readonly columns?: readonly string[];
  /** The curve that is plotted; default: the first one. */
  readonly plot?: string;
  readonly arms: readonly Arm[];
  readonly claims: readonly Claim[];
  run(setting: Setting, context: RunContext<W>): Promise<RunOutcome>;
}

const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/**
 * Check an experiment: names are unique, claims are about arms that exist, and arms that are tuned have the same number of
 * settings each.
 *
 * @throws ContractError
 */
export function defineExperiment<W extends Workload>(experiment: Experiment<W>): Experiment<W> {
  const { id, arms, claims, seeds = 3 } = experiment;
  const refuse = (what: string, hint: string): never => {
    throw new ContractError(`The experiment "${id}" ${what}.`, { hint });
  };
  for (const name of [id, ...claims.map((claim) => claim.id)])
    if (!KEBAB_CASE.test(name)) refuse(`has the name "${name}"`, 'Names are kebab-case: "equal-decay".');
  for (const [what, names] of [
    ['arm', arms.map(({ name }) => name)],
    ['claim', claims.map((claim) => claim.id)],
  ] as const) {
    if (names.length === 0) refuse(`has no ${what}`, `Give at least one ${what}.`);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined) refuse(`has the ${what} "${twice}" twice`, `Give every ${what} a name of its own.`);
  }
  if (!Number.isSafeInteger(seeds) || seeds < 3) refuse(`has ${seeds} seeds`, 'Use at least 3.');
  for (const claim of claims) {
    const unknown = claim.arms.find((name) => !arms.some((arm) => arm.name === name));
    if (unknown !== undefined || claim.arms.length === 0)
      refuse(
        `has the claim "${claim.id}" about ${unknown === undefined ? 'nothing' : `an arm "${unknown}"`}`,
        `Its arms are: ${arms.map(({ name }) => name).join(', ')}.`,
      );
  }
  const empty = arms.find(({ settings }) => settings.length === 0);
  if (empty !== undefined) refuse(`has no setting for "${empty.name}"`, 'Give at least one.');
  const tuned = arms.filter(({ fixed }) => fixed === undefined);
  const counts = new Set(tuned.map(({ settings }) => settings.length));
  if (counts.size > 1)
    refuse(
      `tunes its arms unequally: ${tuned.map(({ name, settings }) => `${name} ${settings.length}`).join(', ')}`,
      'Try the same number of settings for each, or say in `fixed` why an arm is not tuned.',
    );
  return experiment;
}
