/**
 * Indices of the points that keep the shape of a line: largest triangle three buckets (Steinarsson 2013,
 * "Downsampling Time Series for Visual Representation", section 4.2). The first and last points always stay.
 *
 * Points whose y is not finite are never chosen; callers count and report them.
 *
 * @param x ascending positions
 * @param y values, as many as positions
 * @param target the most points to keep, at least 2
 */
export function largestTriangleThreeBuckets(x: readonly number[], y: readonly number[], target: number): number[] {
  const finite: number[] = [];
  for (let index = 0; index < x.length; index += 1) if (Number.isFinite(y[index])) finite.push(index);
  const count = finite.length;
  const wanted = Math.max(2, Math.floor(target));
  if (count <= wanted) return finite;

  const xAt = (position: number) => x[finite[position] ?? 0] ?? 0;
  const yAt = (position: number) => y[finite[position] ?? 0] ?? 0;
  const kept = [0];
  // The inner points are spread over target - 2 buckets; each bucket gives the point that spans the
  // largest triangle with the point kept before it and the mean of the bucket after it.
  const bucketSize = (count - 2) / (wanted - 2);
  let previous = 0;
  for (let bucket = 0; bucket < wanted - 2; bucket += 1) {
    const start = Math.floor(bucket * bucketSize) + 1;
    const end = Math.floor((bucket + 1) * bucketSize) + 1;
    const nextEnd = Math.min(Math.floor((bucket + 2) * bucketSize) + 1, count);
    let meanX = 0;
    let meanY = 0;
    for (let position = end; position < nextEnd; position += 1) {
      meanX += xAt(position) / (nextEnd - end);
      meanY += yAt(position) / (nextEnd - end);
    }
    let largest = -1;
    let chosen = start;
    for (let position = start; position < end; position += 1) {
      const area = Math.abs(
        (xAt(previous) - meanX) * (yAt(position) - yAt(previous)) -
          (xAt(previous) - xAt(position)) * (meanY - yAt(previous)),
      );
      if (area > largest) {
        largest = area;
        chosen = position;
      }
    }
    kept.push(chosen);
    previous = chosen;
  }
  kept.push(count - 1);
  return kept.map((position) => finite[position] ?? 0);
}
