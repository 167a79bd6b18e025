import type { TensorData } from '@updraft/graph';
import type { NamedValues } from '../tree.js';

/** Names of residents that begin with a prefix, without it. */
export const under = (values: Readonly<Record<string, TensorData>>, prefix: string): Record<string, TensorData> =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );

/** Named values with a prefix before their names. */
export const withPrefix = <T>(values: NamedValues<T>, prefix: string): Record<string, T> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));

/** A tensor with a buffer of its own. */
export const copyTensor = (value: TensorData): TensorData => ({ ...value, data: value.data.slice() }) as TensorData;
