import { CoreError } from '@updraft/core';

/** What a batch showed about wrongly rejected answers. */
export interface AppealCounts {
  /** Answers that the verifier accepted, n_pos. */
  readonly nPos: number;
  /** Answers that it rejected, n_neg. */
  readonly nNeg: number;
  /** How many of the rejected ones a second verifier looked at; default: all. */
  readonly appealed?: number;
  /** How many of those it accepted, a. */
  readonly a: number;
}

export interface FalseNegativeEstimate {
  /** Estimated number of right answers that were rejected, M. */
  readonly missed: number;
  /** M / (M + n_pos), the rate of this batch. */
  readonly batchRate: number;
  /** The moving average, in [0, 0.45]. */
  readonly rate: number;
}

/** The rate must stay below one half, or both error rates could add up to 1. */
const LARGEST_RATE = 0.45;

/**
 * Step 5: the rate at which right answers are rejected, from the appeals of a batch. Accepted answers count as right.
 *
 * @param previous The average before this batch; without it, the average is the rate of this batch.
 * @param mu Share μ of the average that stays, in [0, 1]. @throws CoreError for counts that do not fit together.
 */
export function estimateFalseNegativeRate(
  { nPos, nNeg, appealed = nNeg, a }: AppealCounts,
  previous?: number,
  mu = 0.9,
): FalseNegativeEstimate {
  const ordered = [0, a, appealed, nNeg].every((value, at, all) => value >= (all[at - 1] ?? 0));
  if (!ordered || !(nPos >= 0) || !(mu >= 0 && mu <= 1))
    throw new CoreError(
      'reward',
      `Of ${nNeg} rejected answers ${appealed} were appealed and ${a} accepted then, with ${nPos} accepted at first and μ = ${mu}.`,
      { hint: 'Counts are at least 0, a ≤ appealed ≤ n_neg, and μ lies in [0, 1].' },
    );
  const missed = appealed === 0 ? 0 : (nNeg * a) / appealed;
  const batchRate = missed === 0 ? 0 : missed / (missed + nPos);
  const average = previous === undefined ? batchRate : mu * previous + (1 - mu) * batchRate;
  return { missed, batchRate, rate: Math.min(LARGEST_RATE, Math.max(0, average)) };
}
