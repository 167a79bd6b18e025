import type { NamedValues } from '@updraft/core';
import { arrayOf, type TensorData } from '@updraft/graph';

/** Models as vectors of one length on the host. */
export type Vectors = readonly ArrayLike<number>[];

/** The mean of vectors. */
export function meanVector(vectors: Vectors): Float64Array {
  const mean = new Float64Array(vectors[0]?.length ?? 0);
  for (const vector of vectors)
    for (let at = 0; at < mean.length; at++) mean[at] = (mean[at] as number) + (vector[at] as number) / vectors.length;
  return mean;
}

/** The standard deviation of every coordinate, with n − 1; 0 for one vector. */
export function deviationVector(vectors: Vectors): Float64Array {
  const mean = meanVector(vectors);
  const squares = new Float64Array(mean.length);
  for (const vector of vectors)
    for (let at = 0; at < mean.length; at++)
      squares[at] = (squares[at] as number) + ((vector[at] as number) - (mean[at] as number)) ** 2;
  return squares.map((sum) => Math.sqrt(sum / Math.max(1, vectors.length - 1)));
}

/** ‖a − b‖². */
export function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += ((a[at] as number) - (b[at] as number)) ** 2;
  return sum;
}

/** a + factor · b. */
export const moved = (a: ArrayLike<number>, b: ArrayLike<number>, factor: number): Float64Array =>
  Float64Array.from(a, (value, at) => value + factor * (b[at] as number));

/** All tensors one behind the other, in the order of `names`. */
export function flat(values: NamedValues<TensorData>, names: readonly string[] = Object.keys(values)): Float64Array {
  const parts = names.map((name) => (values[name] as TensorData).data as ArrayLike<number>);
  const vector = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    vector.set(part, at);
    at += part.length;
  }
  return vector;
}

/** The inverse of {@link flat}, with the shapes and element types of `like`. */
export function unflat(vector: Float64Array, like: NamedValues<TensorData>): Record<string, TensorData> {
  let at = 0;
  return Object.fromEntries(
    Object.entries(like).map(([name, { dataType, dims, data }]) => {
      const part = arrayOf(dataType as 'float32').from(vector.subarray(at, at + data.length));
      at += data.length;
      return [name, { dataType, dims, data: part } as TensorData];
    }),
  );
}
