/** Mean of some values; NaN for none. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sample standard deviation (divisor n - 1); NaN for fewer than two values. */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN;
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1));
}

/** The most pairs for which all sign changes are counted. */
const mostPairs = 20;

/**
 * Two-sided p-value of the paired sign-flip (Fisher-Pitman) permutation test: the share of the 2^n ways to swap the
 * members of each pair whose mean difference is at least as large as the one observed. It assumes nothing of the
 * distribution; with n pairs it cannot be smaller than 2^(1 - n), which is 0.25 for three seeds.
 *
 * @returns undefined for no pairs, more than twenty, or differences that are not finite
 */
export function pairedPermutationTest(differences: readonly number[]): number | undefined {
  const count = differences.length;
  if (count === 0 || count > mostPairs || !differences.every(Number.isFinite)) return undefined;
  const observed = Math.abs(differences.reduce((sum, value) => sum + value, 0));
  // Rounding must not make a permutation that is equal in exact arithmetic look smaller.
  const threshold = observed - 1e-12 * differences.reduce((sum, value) => sum + Math.abs(value), 0);
  let extreme = 0;
  for (let signs = 0; signs < 2 ** count; signs += 1) {
    let sum = 0;
    for (let index = 0; index < count; index += 1) {
      const value = differences[index] ?? 0;
      sum += (signs >> index) & 1 ? -value : value;
    }
    if (Math.abs(sum) >= threshold) extreme += 1;
  }
  return extreme / 2 ** count;
}
