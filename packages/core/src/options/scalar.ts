import { z } from 'zod';
import { isSchedule, type ScalarValue } from './schedule.js';

/** Limits of a number. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  /** Larger than this. */
  readonly above?: number;
  /** Smaller than this. */
  readonly below?: number;
}

const META = 'updraftScalar';

/**
 * A number with bounds, or a schedule of such numbers. In configurations a schedule is an object with its `type`, such as
 * `{ "type": "cosine", "from": 0.001, "steps": 1000 }`; `parseOptions` makes the schedule of it.
 */
export const scalar = (bounds: Bounds = {}) =>
  z
    .custom<ScalarValue>(
      (value) => isSchedule(value) || (typeof value === 'number' && Number.isFinite(value) && isWithin(value, bounds)),
      `expected ${boundsText(bounds)} or a schedule`,
    )
    .meta({ [META]: bounds });

/** Bounds of a schema made by {@link scalar}; undefined for others. */
export const scalarBounds = (schema: z.ZodType): Bounds | undefined => schema.meta()?.[META] as Bounds | undefined;

const isWithin = (
  value: number,
  { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity }: Bounds,
): boolean => value >= min && value <= max && value > above && value < below;

function boundsText(bounds: Bounds): string {
  const range = rangeText(bounds);
  return range === '' ? 'a finite number' : `a number ${range}`;
}

/** `at least 0 and below 1`; empty for no bounds. */
export function rangeText({ min, max, above, below }: Bounds): string {
  return [
    above === undefined ? (min === undefined ? undefined : `at least ${min}`) : `above ${above}`,
    below === undefined ? (max === undefined ? undefined : `at most ${max}`) : `below ${below}`,
  ]
    .filter((part) => part !== undefined)
    .join(' and ');
}
