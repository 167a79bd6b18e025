import { add, concat, isStatic, type Tensor } from '@updraft/graph';

/** A part of a sum that is zero outside an interval of one axis: `value` padded with zeros on that axis. */
interface Tile {
  readonly value: Tensor;
  readonly axis: number;
  readonly begin: number;
  readonly end: number;
  readonly size: number;
}

/** How the gradient of a slice looks: zeros before and behind on one axis. */
function tileOf(part: Tensor): Tile | undefined {
  const node = part.producer;
  if (node?.key !== 'Pad' || node.string('mode') !== 'constant') return undefined;
  const [value, pads, constant, axes] = node.inputs;
  const amounts = pads?.elements;
  if (value === undefined || constant !== undefined || axes !== undefined || amounts?.every(isStatic) !== true)
    return undefined;
  const padded = Array.from({ length: part.rank }, (_, axis) => axis).filter(
    (axis) => amounts[axis] !== 0 || amounts[axis + part.rank] !== 0,
  );
  const [axis] = padded;
  if (axis === undefined || padded.length > 1) return undefined;
  const [size, own] = [part.shape[axis], value.shape[axis]];
  const begin = amounts[axis] as number;
  if (typeof size !== 'number' || typeof own !== 'number' || begin < 0 || begin + own > size) return undefined;
  return { value, axis, begin, end: begin + own, size };
}

/**
 * The sum of the parts of a gradient. Slices that share out an axis among themselves, such as the query, key and value of
 * one projection, become one concatenation instead of a sum of padded parts; its elements are the same.
 */
export function sumOfParts(parts: readonly Tensor[]): Tensor {
  const tiles = parts.length < 2 ? [] : parts.flatMap((part) => tileOf(part) ?? []);
  for (const axis of new Set(tiles.map((tile) => tile.axis))) {
    const sorted = tiles.filter((tile) => tile.axis === axis).sort((a, b) => a.begin - b.begin);
    const covers = sorted.every(({ begin }, index) => begin === (index === 0 ? 0 : sorted[index - 1]?.end));
    if (!covers || sorted[sorted.length - 1]?.end !== sorted[0]?.size) continue;
    const joined = concat(
      sorted.map(({ value }) => value),
      axis,
    );
    const used = new Set(sorted.map(({ value }) => value));
    const rest = parts.filter((part) => {
      const value = part.producer?.inputs[0];
      return tileOf(part)?.axis !== axis || value === undefined || !used.has(value);
    });
    return sumOfParts([joined, ...rest]);
  }
  return parts.reduce((sum, part) => add(sum, part));
}
