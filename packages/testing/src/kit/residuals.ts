/** What the differences between two runs look like together. */
export interface ResidualStatistics {
  readonly count: number;
  readonly mean: number;
  /** Standard deviation of the residuals around their mean. */
  readonly deviation: number;
  /** Standard errors between the mean and 0; infinite for equal residuals other than 0, 0 when all are 0. */
  readonly standardErrors: number;
}

/** Fewest residuals that say anything about their mean. */
const FEWEST = 12;
/** A mean of independent residuals lies further than this from 0 once in a billion runs. */
const LIMIT = 6;

/** @param residuals Differences between two runs in units in which rounding is alike everywhere. */
export function residualStatistics(residuals: readonly number[]): ResidualStatistics {
  const count = residuals.length;
  const mean = residuals.reduce((sum, value) => sum + value, 0) / Math.max(1, count);
  const variance = residuals.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, count - 1);
  const deviation = Math.sqrt(variance);
  const standardErrors =
    mean === 0 ? 0 : deviation === 0 ? Infinity * Math.sign(mean) : mean / (deviation / Math.sqrt(count));
  return { count, mean, deviation, standardErrors };
}

/**
 * Whether differences between two runs of the same mathematics point to one side. Rounding errors are as often positive
 * as negative, so their mean is 0 within a few standard errors (Student's t); a fault that adds the same small amount
 * every step, or scales every step by the same small factor, passes any tolerance wide enough for rounding but moves the
 * mean. Give increments of the difference from step to step: the difference itself remembers earlier steps, which the
 * standard error would not know.
 *
 * @returns The statistics where the mean is further than 6 standard errors from 0; undefined for fewer than 12 residuals
 *   and for residuals without drift.
 */
export function oneSidedDrift(residuals: readonly number[]): ResidualStatistics | undefined {
  const statistics = residualStatistics(residuals);
  return statistics.count >= FEWEST && Math.abs(statistics.standardErrors) > LIMIT ? statistics : undefined;
}
