import { ShapeError, UpdraftError, type TensorData } from '@updraft/graph';
import { mapValues, type NamedValues } from '../tree.js';
import { isWhole, withType, type ReadTensor } from './values.js';

/** Columns whose element type is looked for; each doubles the number of attempts. */
const MOST_OPEN = 6;

/**
 * JSON does not tell class numbers from measurements: `[0, 2]` may be labels (int64) or targets (float32). Whole numbers
 * without an element type are float32 where everything can be built so, else int64 for as few inputs as it takes.
 *
 * @param attempt Builds with these tensors; what it throws says that they do not fit.
 * @throws What `attempt` throws where no choice fits.
 */
export function settleTypes<T>(
  given: NamedValues<ReadTensor>,
  attempt: (values: Record<string, TensorData>) => T,
): { readonly values: Record<string, TensorData>; readonly built: T } {
  const open = Object.entries(given)
    .filter(([, { typed, value }]) => !typed && value.data.length > 0 && isWhole(value))
    .map(([name]) => name)
    .slice(0, MOST_OPEN);
  const choices = Array.from({ length: 2 ** open.length }, (_, bits) =>
    open.filter((__, position) => (bits >> position) & 1),
  ).sort((a, b) => a.length - b.length);
  const failures: UpdraftError[] = [];
  for (const integers of choices) {
    const values = mapValues(given, ({ value }, name) => (integers.includes(name) ? withType(value, 'int64') : value));
    try {
      return { values, built: attempt(values) };
    } catch (error) {
      if (!(error instanceof UpdraftError)) throw error;
      failures.push(error);
    }
  }
  // Where the element types fit and the shapes do not, the shapes are the news.
  throw failures.find((error) => error instanceof ShapeError) ?? (failures[0] as UpdraftError);
}
