import { DATA_TYPES, elementCount, readElement, type TensorData } from '@updraft/graph';
import { ContractError } from '../errors.js';
import { oneSidedDrift } from './residuals.js';

/** Host tensors by name. */
export type Named = Readonly<Record<string, TensorData>>;

/** Elements as numbers. */
export const elementsOf = (value: TensorData): number[] =>
  Array.from({ length: elementCount(value.dims) }, (_, index) => readElement(value, index));

const shapeOf = ({ dataType, dims }: TensorData): string => `${dataType}[${dims.join(', ')}]`;

/** An independent copy, for tensors whose buffers are used again. */
export const copyOf = (value: TensorData): TensorData =>
  ({ ...value, dims: [...value.dims], data: value.data.slice() }) as TensorData;

export const copyAll = (values: Named): Record<string, TensorData> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, copyOf(value)]));

/** @throws ContractError where names, shapes or types differ. */
export function assertSameShapes(actual: Named, expected: Named, what: string): void {
  const names = (values: Named): string => Object.keys(values).sort().join(', ') || 'nothing';
  if (names(actual) !== names(expected))
    throw new ContractError(`${what}: there is ${names(actual)} where ${names(expected)} is expected.`);
  for (const [name, value] of Object.entries(expected)) {
    const found = actual[name] as TensorData;
    if (shapeOf(found) !== shapeOf(value))
      throw new ContractError(`${what}: "${name}" is ${shapeOf(found)}, not ${shapeOf(value)}.`);
  }
}

/** Whether two tensors have the same bits (all NaNs count as equal). */
export const sameBits = (left: TensorData, right: TensorData): boolean => {
  if (shapeOf(left) !== shapeOf(right) || left.data.length !== right.data.length) return false;
  const [a, b] = [left.data as Float32Array, right.data as Float32Array];
  return a.every((value, index) => Object.is(value, b[index]));
};

/** Whether all tensors of one record have the same bits as those of the other. */
export const allSameBits = (left: Named, right: Named): boolean =>
  Object.keys(left).length === Object.keys(right).length &&
  Object.entries(left).every(([name, value]) => right[name] !== undefined && sameBits(value, right[name]));

/** @throws ContractError where any bit differs. */
export function assertSameBits(actual: Named, expected: Named, what: string, hint?: string): void {
  assertSameShapes(actual, expected, what);
  for (const [name, value] of Object.entries(expected))
    if (!sameBits(actual[name] as TensorData, value)) {
      const [found, wanted] = [elementsOf(actual[name] as TensorData), elementsOf(value)];
      const at = found.findIndex((one, index) => !Object.is(one, wanted[index]));
      throw new ContractError(
        `${what}: element ${at} of "${name}" is ${found[at]}, not ${wanted[at]}.`,
        hint === undefined ? {} : { hint },
      );
    }
}

/** @throws ContractError naming the first element that is NaN or infinite. */
export function assertFinite(values: Named, what: string, { infinite = false } = {}): void {
  for (const [name, value] of Object.entries(values)) {
    if (!DATA_TYPES[value.dataType].float) continue;
    const elements = elementsOf(value);
    const at = elements.findIndex((one) => (infinite ? Number.isNaN(one) : !Number.isFinite(one)));
    if (at >= 0) throw new ContractError(`${what}: element ${at} of "${name}" is ${elements[at]}.`);
  }
}

/** Largest absolute value, at least the smallest normal number so that ratios are defined. */
const scaleOf = (values: readonly number[]): number =>
  values.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 1e-37);

/**
 * @param tolerance Largest difference relative to the largest expected value of the tensor.
 * @returns The largest such difference.
 * @throws ContractError
 */
export function assertClose(actual: Named, expected: Named, tolerance: number, what: string): number {
  assertSameShapes(actual, expected, what);
  let largest = 0;
  for (const [name, value] of Object.entries(expected)) {
    const [found, wanted] = [elementsOf(actual[name] as TensorData), elementsOf(value)];
    const scale = scaleOf(wanted);
    wanted.forEach((one, index) => {
      const other = found[index] as number;
      const error = Object.is(one, other) ? 0 : Math.abs(other - one) / scale;
      // NaN is never within the tolerance.
      if (!(error <= tolerance))
        throw new ContractError(`${what}: element ${index} of "${name}" is ${other}, not ${one}.`, {
          hint: `They may differ by ${tolerance} of ${scale}.`,
        });
      largest = Math.max(largest, error);
    });
  }
  return largest;
}

/**
 * Two runs of the same mathematics: close at every point of the trajectory, and without a drift to one side, neither
 * towards larger or smaller values nor towards longer or shorter steps (see {@link oneSidedDrift}).
 *
 * @param start Values before the first point.
 * @throws ContractError
 */
export function assertOneTrajectory(
  actual: readonly Named[],
  expected: readonly Named[],
  start: Named,
  tolerance: number,
  what: string,
): void {
  if (actual.length !== expected.length)
    throw new ContractError(`${what}: there are ${actual.length} steps where ${expected.length} are expected.`);
  expected.forEach((values, index) => {
    assertClose(actual[index] as Named, values, tolerance, `${what}, after step ${index + 1}`);
  });
  for (const drift of [
    oneSidedDrift(increments(actual, expected, start, () => 1)),
    oneSidedDrift(increments(actual, expected, start, Math.sign)),
  ])
    if (drift !== undefined)
      throw new ContractError(
        `${what}: the differences drift to one side; their mean is ${drift.mean.toExponential(2)} of the largest value per step, ${Math.abs(drift.standardErrors).toFixed(1)} standard errors from 0 over ${drift.count} residuals.`,
        { hint: 'Rounding errors have no preferred sign: look for something added or scaled every step.' },
      );
}

/** Growth of the difference per step and element, relative to the scale of its tensor, times `side` of the movement. */
function increments(
  actual: readonly Named[],
  expected: readonly Named[],
  start: Named,
  side: (movement: number) => number,
): number[] {
  return Object.keys(start).flatMap((name) => {
    const path = (values: readonly Named[]): number[][] =>
      [start, ...values].map((point) => elementsOf(point[name] as TensorData));
    const [found, wanted] = [path(actual), path(expected)];
    const scale = scaleOf(wanted.flat());
    return wanted.slice(1).flatMap((point, step) =>
      point.flatMap((value, index) => {
        const before = wanted[step]?.[index] as number;
        const now = (found[step + 1]?.[index] as number) - value;
        const earlier = (found[step]?.[index] as number) - before;
        const sign = side(value - before);
        return sign === 0 || !Number.isFinite(now) || !Number.isFinite(earlier)
          ? []
          : [(sign * (now - earlier)) / scale];
      }),
    );
  });
}
