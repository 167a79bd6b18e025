/** Lowest and highest coefficient. */
export type Range = readonly [low: number, high: number];

/** Points of a search in two stages over one or more coefficients, all from the smallest to the largest. */
export interface Grid {
  /** Points of the first stage: [points, coefficients]. */
  readonly coarse: readonly (readonly number[])[];
  /** Points of the second stage around each of the first: [points, points around it, coefficients]. */
  readonly fine: readonly (readonly (readonly number[])[])[];
}

/** Numbers that should be equal may differ by this much after a division. */
const SLACK = 1e-9;

/** i·step as a quotient of integers where 1/step is one: 3/10, where adding up 0.1 gives 0.30000000000000004. */
function multiple(i: number, step: number): number {
  const inverse = Math.round(1 / step);
  return Math.abs(inverse * step - 1) < SLACK ? i / inverse : i * step;
}

/** How many steps fit into a length. */
export const stepsIn = (length: number, step: number): number => Math.floor(length / step + SLACK);

const coarsePoints = ([low, high]: Range, step: number): number[] =>
  Array.from({ length: stepsIn(high - low, step) + 1 }, (_, i) => low + multiple(i, step));

/** Around every point equally many, so that a table holds them: one outside of the range repeats the last one inside. */
function finePoints(center: number, [low, high]: Range, coarse: number, fine: number): number[] {
  const reach = stepsIn(coarse, fine);
  const points = Array.from({ length: 2 * reach + 1 }, (_, i) => center + multiple(i - reach, fine));
  const inside = points.filter((point) => point >= low - SLACK && point <= high + SLACK);
  const [first, last] = [inside[0] as number, inside.at(-1) as number];
  return points.map((point) => Math.min(Math.max(point, first), last));
}

/** All combinations of one element of each list, the first list slowest. */
const product = <T>(lists: readonly (readonly T[])[]): T[][] =>
  lists.reduce<T[][]>((combinations, list) => combinations.flatMap((left) => list.map((one) => [...left, one])), [[]]);

/** The search over the product of ranges: steps of `coarse`, then of `fine` within ±`coarse` of a point. */
export function searchGrid(ranges: readonly Range[], coarse: number, fine: number): Grid {
  const points = product(ranges.map((range) => coarsePoints(range, coarse)));
  return {
    coarse: points,
    fine: points.map((point) =>
      product(point.map((center, at) => finePoints(center, ranges[at] as Range, coarse, fine))),
    ),
  };
}
