import { valueText } from '../options/options-error.js';

/** How far a number may be from the expected one: the sum of both allowances. */
export interface Tolerance {
  /** Default 1e-6. */
  readonly absolute?: number;
  /** Relative to the expected value. Default 1e-5. */
  readonly relative?: number;
}

/** How a result compares with what was expected. */
export interface Comparison {
  /** What does not fit, each with its path. */
  readonly problems: readonly string[];
  /** Largest difference of two finite numbers, and where it is. */
  readonly largestError: number;
  readonly at: string;
  /** Numbers that were compared. */
  readonly compared: number;
}

const SPECIAL: ReadonlySet<unknown> = new Set(['inf', '-inf', 'nan']);
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Compare a result with the part of it that is expected: objects may leave keys out, lists have equal lengths, numbers lie
 * within the tolerance, everything else is equal. A null in an expected list takes anything.
 */
export function compareResult(
  found: unknown,
  expected: unknown,
  { absolute = 1e-6, relative = 1e-5 }: Tolerance = {},
): Comparison {
  const problems: string[] = [];
  let [largestError, at, compared] = [0, '', 0];
  const visit = (one: unknown, wanted: unknown, path: string): void => {
    if (isObject(wanted)) {
      for (const [key, value] of Object.entries(wanted)) {
        const inside = path === '' ? key : `${path}.${key}`;
        if (!isObject(one) || !Object.hasOwn(one, key)) {
          const known = isObject(one) ? Object.keys(one).join(', ') || 'nothing' : valueText(one);
          problems.push(`${inside} is missing (there is: ${known})`);
        } else visit(one[key], value, inside);
      }
      return;
    }
    if (Array.isArray(wanted)) {
      if (!Array.isArray(one) || one.length !== wanted.length) {
        problems.push(
          `${path} has ${Array.isArray(one) ? `${one.length} elements` : `the value ${valueText(one)}`}, not ${wanted.length} elements`,
        );
        return;
      }
      wanted.forEach((value, index) => {
        if (value !== null) visit(one[index], value, `${path}.${index}`);
      });
      return;
    }
    if (typeof wanted === 'number') {
      compared++;
      const error = typeof one === 'number' ? Math.abs(one - wanted) : NaN;
      if (error > largestError) [largestError, at] = [error, path];
      if (!(error <= absolute + relative * Math.abs(wanted)))
        problems.push(
          `${path} is ${valueText(one)}, not ${wanted}${Number.isNaN(error) ? '' : ` (off by ${error.toPrecision(3)})`}`,
        );
      return;
    }
    if (SPECIAL.has(wanted)) compared++;
    if (one !== wanted) problems.push(`${path} is ${valueText(one)}, not ${valueText(wanted)}`);
  };
  visit(found, expected, '');
  return { problems, largestError, at, compared };
}
