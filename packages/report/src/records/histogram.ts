import type { HistogramRecord } from './metric-record.js';

/**
 * Counts values in bins of equal width between the least and the greatest finite value; NaN and infinities are left
 * out. All values in one place give one bin around it.
 */
export function histogramOf(values: Iterable<number>, bins = 40): Pick<HistogramRecord, 'edges' | 'counts'> {
  const finite = [...values].filter(Number.isFinite);
  let low = finite[0] ?? 0;
  let high = low;
  for (const value of finite) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low === high) return { edges: [low - 0.5, low + 0.5], counts: [finite.length] };
  const counts = Array.from({ length: bins }, () => 0);
  for (const value of finite) {
    const bin = Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { edges: Array.from({ length: bins + 1 }, (_value, index) => low + ((high - low) * index) / bins), counts };
}
