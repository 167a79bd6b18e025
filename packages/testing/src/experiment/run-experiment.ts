import type { Backend } from '@updraft/backend';
import { NonFiniteError, type JsonValue } from '@updraft/core';
import { mean, standardDeviation } from '@updraft/report';
import { z } from 'zod';
import { ContractError } from '../errors.js';
import type { Claim, Experiment, Setting, Workload } from './experiment.js';
import { recordNumber, type ArmRecord, type ClaimRecord, type ExperimentRecord } from './record.js';
import { bestOf, Results, SettingResult, type ArmResult, type SeedResult } from './results.js';

/** A run that is done. */
const storedRun = z.object({
  metrics: z.record(z.string(), z.number()),
  curves: z.record(z.string(), z.object({ steps: z.array(z.number()), values: z.array(z.number()) })).optional(),
  diverged: z.string().optional(),
  milliseconds: z.number(),
});
export type StoredRun = z.output<typeof storedRun>;

/** Keeps runs that are done, so that an interrupted experiment goes on where it was. */
export interface RunStore {
  get(key: string): Promise<unknown>;
  set(key: string, run: StoredRun): Promise<void>;
}

/** Where the figures come from. */
export interface Surroundings {
  /** The machine in one line, without its name. */
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Largest resident memory of the process so far, in bytes. */
  peakMemoryBytes?(): number;
}

export type ExperimentProgress =
  | { readonly type: 'begin'; readonly runs: number }
  | {
      readonly type: 'run-start';
      readonly index: number;
      readonly arm: string;
      readonly setting: Setting;
      readonly seed: number;
    }
  | { readonly type: 'run-progress'; readonly index: number; readonly fraction: number }
  | { readonly type: 'run-end'; readonly index: number; readonly run: StoredRun; readonly remembered: boolean };

export interface ExperimentOptions {
  readonly backend: Backend;
  readonly store: RunStore;
  readonly surroundings: Surroundings;
  /** Default: as many as the experiment says. */
  readonly seeds?: number;
  readonly quick?: boolean;
  /** Ids of the claims to decide; default: all. Arms that none of them is about are not run. */
  readonly claims?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ExperimentProgress) => void;
}

export interface ExperimentRun {
  readonly record: ExperimentRecord;
  readonly results: Results;
}

/**
 * Run an experiment: every setting of every arm with every seed, then the best setting of each arm by the mean over the
 * seeds, then the claims. Runs that the store has are not repeated.
 *
 * @throws ContractError for an unknown claim; the reason of the signal where it is aborted, and what a run throws, except
 *   that a loss which is not finite counts as a result of that run.
 */
export async function runExperiment<W extends Workload>(
  experiment: Experiment<W>,
  options: ExperimentOptions,
): Promise<ExperimentRun> {
  const { backend, store, surroundings, signal, onProgress, quick = false } = options;
  const claims = chosenClaims(experiment.claims, options.claims);
  const arms = experiment.arms.filter(({ name }) => claims.some((claim) => claim.arms.includes(name)));
  const workload: W = quick ? { ...experiment.workload, ...experiment.quick } : experiment.workload;
  const seeds = Array.from({ length: options.seeds ?? (quick ? 1 : (experiment.seeds ?? 3)) }, (_, seed) => seed);
  if (seeds.length === 0) throw new ContractError('There is no seed to run with.', { hint: 'Give at least 1.' });

  // Seeds outermost, so that what there is after an interruption is whole comparisons.
  const plan = seeds.flatMap((seed) =>
    arms.flatMap(({ name, settings }) => settings.map((setting) => ({ seed, arm: name, setting }))),
  );
  onProgress?.({ type: 'begin', runs: plan.length });
  const runs = new Map<string, StoredRun>();
  for (const [index, { seed, arm, setting }] of plan.entries()) {
    signal?.throwIfAborted();
    onProgress?.({ type: 'run-start', index, arm, setting, seed });
    const key = await runKey({ experiment: experiment.id, workload, setting, seed, device: backend.device });
    const known = runs.get(key) ?? storedRun.safeParse(await store.get(key)).data;
    const run = known ?? (await runOnce(experiment, setting, { seed, workload, index }, options));
    if (known === undefined) await store.set(key, run);
    runs.set(key, run);
    onProgress?.({ type: 'run-end', index, run, remembered: known !== undefined });
  }

  const resultOf = async (arm: string, setting: Setting): Promise<SettingResult> =>
    new SettingResult(
      arm,
      setting,
      await Promise.all(
        seeds.map(async (seed) => {
          const key = await runKey({ experiment: experiment.id, workload, setting, seed, device: backend.device });
          return { seed, ...(runs.get(key) as StoredRun) } as SeedResult;
        }),
      ),
    );
  const armResults: ArmResult[] = [];
  for (const arm of arms) {
    const tried: SettingResult[] = [];
    for (const setting of arm.settings) tried.push(await resultOf(arm.name, setting));
    armResults.push({ ...arm, tried, chosen: bestOf(tried, experiment.tune) });
  }
  const results = new Results(armResults, experiment.tune);
  const peak = surroundings.peakMemoryBytes?.();
  const record: ExperimentRecord = {
    id: experiment.id,
    title: experiment.title,
    protocol: experiment.protocol,
    quick,
    workload: { ...workload },
    seeds,
    tune: { ...experiment.tune },
    columns: [...(experiment.columns ?? Object.keys(armResults[0]?.chosen.runs[0]?.metrics ?? {}))],
    arms: armResults.map((arm) => armRecord(arm, experiment.tune.metric)),
    claims: claims.map((claim) => decide(claim, armResults, experiment.tune, quick)),
    configHash: await sha256(
      canonical({ workload, seeds, arms: arms.map(({ name, settings }) => ({ name, settings })) } as JsonValue),
    ),
    finishedAt: new Date().toISOString(),
    milliseconds: Math.round([...runs.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0)),
    ...(peak === undefined ? {} : { peakMemoryBytes: peak }),
    machine: surroundings.machine,
    device: backend.description,
    versions: { ...surroundings.versions },
  };
  return { record, results };
}

async function runOnce<W extends Workload>(
  experiment: Experiment<W>,
  setting: Setting,
  { seed, workload, index }: { readonly seed: number; readonly workload: W; readonly index: number },
  { backend, signal, onProgress }: ExperimentOptions,
): Promise<StoredRun> {
  const start = performance.now();
  const milliseconds = (): number => Math.round(performance.now() - start);
  try {
    const progress = (fraction: number): void => onProgress?.({ type: 'run-progress', index, fraction });
    const { metrics, curves } = await experiment.run(setting, { seed, workload, backend, signal, progress });
    const broken = Object.entries(metrics).find(([, value]) => !Number.isFinite(value));
    if (broken !== undefined)
      return { metrics: {}, diverged: `${broken[0]} is ${broken[1]}`, milliseconds: milliseconds() };
    return {
      metrics: { ...metrics },
      ...(curves === undefined
        ? {}
        : {
            curves: Object.fromEntries(
              Object.entries(curves).map(([name, { steps, values }]) => [
                name,
                { steps: [...steps], values: [...values] },
              ]),
            ),
          }),
      milliseconds: milliseconds(),
    };
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    return { metrics: {}, diverged: error.message, milliseconds: milliseconds() };
  }
}

function chosenClaims(claims: readonly Claim[], ids: readonly string[] | undefined): readonly Claim[] {
  const unknown = ids?.find((id) => !claims.some((claim) => claim.id === id));
  if (unknown !== undefined)
    throw new ContractError(`There is no claim "${unknown}".`, {
      hint: `There are: ${claims.map(({ id }) => id).join(', ')}.`,
    });
  return ids === undefined ? claims : claims.filter(({ id }) => ids.includes(id));
}

function armRecord({ name, role, fixed, tried, chosen }: ArmResult, tuned: string): ArmRecord {
  const metrics = Object.keys(chosen.runs.find(({ diverged }) => diverged === undefined)?.metrics ?? {});
  const each = (value: (metric: string) => number): ArmRecord['mean'] =>
    Object.fromEntries(metrics.map((metric) => [metric, recordNumber(value(metric))]));
  return {
    name,
    role,
    ...(fixed === undefined ? {} : { fixed }),
    tried: tried.map((result) => ({ setting: { ...result.setting }, mean: recordNumber(result.mean(tuned)) })),
    chosen: { ...chosen.setting },
    runs: (chosen.runs as readonly (SeedResult & StoredRun)[]).map(
      ({ seed, metrics: figures, diverged, milliseconds }) => ({
        seed,
        metrics: { ...figures },
        ...(diverged === undefined ? {} : { diverged }),
        milliseconds,
      }),
    ),
    mean: each((metric) => mean(chosen.values(metric))),
    deviation: each((metric) => standardDeviation(chosen.values(metric))),
  };
}

/** Shown where every condition holds, partly where some do. */
function decide(claim: Claim, arms: readonly ArmResult[], tune: Experiment['tune'], quick: boolean): ClaimRecord {
  const results = new Results(
    arms.filter(({ name }) => claim.arms.includes(name)),
    tune,
  );
  const criteria = claim.judge(results);
  if (criteria.length === 0) throw new ContractError(`The claim "${claim.id}" has no condition.`);
  const failed = criteria.filter(({ holds }) => !holds);
  const verdict = failed.length === 0 ? 'shown' : failed.length < criteria.length ? 'partly' : 'not shown';
  const reason =
    failed.length === 0
      ? `All ${criteria.length === 1 ? 'that it needs' : `${criteria.length} conditions`} hold: ${criteria.map(({ text }) => text).join('; ')}.`
      : `${failed.length} of ${criteria.length} conditions ${failed.length === 1 ? 'does' : 'do'} not hold: ${failed.map(({ text }) => text).join('; ')}.`;
  return {
    id: claim.id,
    statement: claim.statement,
    source: claim.source,
    arms: [...claim.arms],
    criteria: criteria.map(({ text, holds }) => ({ text, holds })),
    comparisons: results.comparisons.map(({ p, differences, mean: average, deviation, ...rest }) => ({
      ...rest,
      differences: differences.map(recordNumber),
      mean: recordNumber(average),
      deviation: recordNumber(deviation),
      ...(p === undefined ? {} : { p }),
    })),
    verdict,
    reason: quick ? `A quick run, which says nothing of the claim. ${reason}` : reason,
  };
}

/** JSON with sorted keys: equal for equal values. */
function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${(value as readonly JsonValue[]).map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value as Readonly<Record<string, JsonValue>>).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join()}}`;
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** By what a run is remembered. Arms with equal settings share their runs. */
const runKey = async (facts: { readonly [fact: string]: JsonValue }): Promise<string> =>
  (await sha256(canonical(facts))).slice(0, 24);

/** A store that lasts as long as the process. */
export class MemoryRunStore implements RunStore {
  readonly #runs = new Map<string, StoredRun>();
  get(key: string): Promise<unknown> {
    return Promise.resolve(this.#runs.get(key));
  }
  set(key: string, run: StoredRun): Promise<void> {
    this.#runs.set(key, run);
    return Promise.resolve();
  }
}
