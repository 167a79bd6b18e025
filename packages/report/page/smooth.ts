/**
 * Exponential moving average with bias correction, as TensorBoard smooths curves: weight 0 leaves the values as they
 * are, weight near 1 averages over about 1 / (1 - weight) points. Gaps stay gaps.
 */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) return [...values];
  let average = 0;
  let correction = 1;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return value;
    average = average * weight + (1 - weight) * value;
    correction *= weight;
    return average / (1 - correction);
  });
}
