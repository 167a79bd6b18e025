import { stack, topK, type Tensor } from '@updraft/graph';

/** Values of all sources sorted coordinate by coordinate along a new first axis, smallest first: [sources, …shape]. */
export function sortedAcross(values: readonly Tensor[]): Tensor {
  const all = stack(values, 0);
  return topK(all, values.length, { axis: 0, largest: false, sorted: true }).values;
}

/** The mean of positions `from` to `to` (exclusive) of the sorted sources. */
export const meanOfRange = (sorted: Tensor, from: number, to: number): Tensor =>
  sorted.slice([from], [to], [0]).mean([0]);
