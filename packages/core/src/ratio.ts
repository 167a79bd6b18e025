import { CoreError } from './errors.js';

/** Rounding of decimal ratios may fall just below a whole number: 0.29 · 100 is 28.999999999999996. */
const SLACK = 1e-9;

/**
 * How many of `total` a ratio means: floor(ratio · total + 1e-9). The one way in which counts come from ratios.
 *
 * @param ratio From 0 to 1.
 * @param total A whole number from 0.
 * @throws CoreError for anything else.
 */
export function countFromRatio(ratio: number, total: number): number {
  if (!(ratio >= 0 && ratio <= 1))
    throw new CoreError('options', `The ratio is ${ratio}.`, { hint: 'Give a number from 0 to 1.' });
  if (!Number.isSafeInteger(total) || total < 0)
    throw new CoreError('options', `A ratio of ${total} things was asked for.`, {
      hint: 'Give a whole number from 0.',
    });
  return Math.min(total, Math.floor(ratio * total + SLACK));
}
