/** Value of a line at a position between its points; undefined outside of it. Positions ascend. */
export function interpolate(x: readonly number[], y: readonly (number | null)[], at: number): number | undefined {
  const last = x.length - 1;
  const first = x[0];
  if (first === undefined || at < first || at > (x[last] ?? first)) return undefined;
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) <= at) low = middle;
    else high = middle;
  }
  if (x[high] === at) low = high;
  const lowX = x[low] ?? 0;
  const lowY = y[low] ?? undefined;
  if (lowX === at) return lowY;
  const highX = x[high] ?? lowX;
  const highY = y[high] ?? undefined;
  if (lowY === undefined || highY === undefined) return undefined;
  return lowY + ((highY - lowY) * (at - lowX)) / (highX - lowX);
}

/** Index of the position that is nearest to a point; positions ascend. -1 for none. */
export function nearestIndex(x: readonly number[], at: number): number {
  let nearest = -1;
  let distance = Number.POSITIVE_INFINITY;
  x.forEach((value, index) => {
    const candidate = Math.abs(value - at);
    if (candidate < distance) {
      distance = candidate;
      nearest = index;
    }
  });
  return nearest;
}
