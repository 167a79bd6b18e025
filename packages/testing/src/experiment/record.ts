import type { JsonValue } from '@updraft/core';
import { z } from 'zod';
import { ContractError } from '../errors.js';

/** JSON has no literal for these. */
const number = z.union([z.number(), z.enum(['nan', 'inf', '-inf'])]);
const json: z.ZodType<JsonValue> = z.json();
const setting = z.record(z.string(), json);
const figures = z.record(z.string(), number);

const armSchema = z.strictObject({
  name: z.string(),
  role: z.enum(['method', 'baseline', 'ablation']),
  /** Why it was not tuned. */
  fixed: z.string().optional(),
  /** Mean over the seeds of the figure that settings are chosen by. */
  tried: z.array(z.strictObject({ setting, mean: number })),
  chosen: setting,
  runs: z.array(
    z.strictObject({
      seed: z.number(),
      metrics: figures,
      diverged: z.string().optional(),
      /** Of the run alone, on the machine of the record. */
      milliseconds: z.number(),
    }),
  ),
  mean: figures,
  deviation: figures,
});

const claimSchema = z.strictObject({
  id: z.string(),
  statement: z.string(),
  source: z.string(),
  arms: z.array(z.string()),
  criteria: z.array(z.strictObject({ text: z.string(), holds: z.boolean() })),
  comparisons: z.array(
    z.strictObject({
      left: z.string(),
      right: z.string(),
      metric: z.string(),
      differences: z.array(number),
      mean: number,
      deviation: number,
      p: z.number().optional(),
    }),
  ),
  verdict: z.enum(['shown', 'partly', 'not shown']),
  reason: z.string(),
});

const experimentSchema = z.strictObject({
  id: z.string(),
  title: z.string(),
  protocol: z.string(),
  /** A quick run has a smaller workload: it says nothing of the claims. */
  quick: z.boolean(),
  workload: z.record(z.string(), json),
  seeds: z.array(z.number()),
  tune: z.strictObject({ metric: z.string(), goal: z.enum(['least', 'most']) }),
  columns: z.array(z.string()),
  arms: z.array(armSchema),
  claims: z.array(claimSchema),
  /** SHA-256 of workload, seeds, arms and their settings. */
  configHash: z.string(),
  /** ISO 8601, UTC, of the last run. */
  finishedAt: z.string(),
  /** Sum over all runs, tuning included. */
  milliseconds: z.number(),
  /** Largest resident memory of the process so far. */
  peakMemoryBytes: z.number().optional(),
  machine: z.string(),
  device: z.string(),
  versions: z.record(z.string(), z.string()),
});

const recordSchema = z.strictObject({
  format: z.literal('updraft-record'),
  version: z.literal(1),
  method: z.string(),
  package: z.strictObject({ name: z.string(), version: z.string() }),
  experiments: z.array(experimentSchema),
});

export type ArmRecord = z.output<typeof armSchema>;
export type ClaimRecord = z.output<typeof claimSchema>;
/** One experiment as it was run. */
export type ExperimentRecord = z.output<typeof experimentSchema>;
/** All experiments of a package as they were run. */
export type MethodRecord = z.output<typeof recordSchema>;
export type Verdict = ClaimRecord['verdict'];

/** @throws ContractError for what is no record. */
export function parseRecord(value: unknown): MethodRecord {
  const parsed = recordSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ContractError(
    `That is no record of experiments: "${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}.`,
    {
      hint: 'Make it anew with "updraft reproduce".',
    },
  );
}

/** What JSON cannot hold is written out. */
export const recordNumber = (value: number): z.output<typeof number> =>
  Number.isFinite(value) ? value : Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';

/** The number that a record means. */
export const numberOfRecord = (value: z.output<typeof number>): number =>
  value === 'nan' ? Number.NaN : value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value;

/** Experiments of a record, with one replaced (by its id) or added. */
export const withExperiment = (record: MethodRecord, experiment: ExperimentRecord): MethodRecord => {
  const at = record.experiments.findIndex(({ id }) => id === experiment.id);
  return {
    ...record,
    experiments: at < 0 ? [...record.experiments, experiment] : record.experiments.with(at, experiment),
  };
};
