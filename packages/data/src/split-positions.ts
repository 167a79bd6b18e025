import { RandomStream } from '@updraft/core';
import { DataError } from './errors.js';

/** Ends of the parts of `count` things: nested, so that rounding never loses one. */
const cuts = (fractions: readonly number[], count: number): number[] => {
  let total = 0;
  return fractions.map((fraction, part) => {
    total += fraction;
    return part === fractions.length - 1 ? count : Math.floor(total * count + 1e-9);
  });
};

/**
 * Positions 0 to `length - 1` in parts of the given fractions: shuffled first when there is a seed, and each group of
 * equal keys cut by itself when there are keys.
 *
 * @throws DataError for fractions that do not add up to 1.
 */
export function splitPositions(
  length: number,
  fractions: readonly number[],
  seed: number | undefined,
  keys: ArrayLike<number | string> | undefined,
): number[][] {
  if (fractions.some((fraction) => !(fraction >= 0)) || Math.abs(fractions.reduce((a, b) => a + b, 0) - 1) > 1e-6)
    throw new DataError(`The fractions [${fractions.join(', ')}] do not add up to 1.`, {
      hint: 'Give a share of at least 0 for each part, as in [0.8, 0.2].',
    });
  const order =
    seed === undefined
      ? Uint32Array.from({ length }, (_, index) => index)
      : RandomStream.fromSeed(seed).split('split').permutation(length);
  const groups = new Map<number | string, number[]>();
  order.forEach((position, rank) => {
    const key = keys?.[position] ?? 0;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [rank]);
    else group.push(rank);
  });
  const parts = fractions.map((): number[] => []);
  for (const group of groups.values()) {
    let at = 0;
    cuts(fractions, group.length).forEach((end, part) => {
      for (; at < end; at++) parts[part]?.push(group[at] as number);
    });
  }
  return parts.map((ranks) => ranks.sort((a, b) => a - b).map((rank) => order[rank] as number));
}
