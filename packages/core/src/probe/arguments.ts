import { arrayOf, emptyTensor, type DataType, type TensorData } from '@updraft/graph';
import type { JsonValue } from '../contracts/sampler.js';
import { valueText } from '../options/options-error.js';
import { probeError } from './context.js';
import { JSON_DATA_TYPES, numberJson, readTensor, tensorJson, type ReadOptions, type ReadTensor } from './values.js';

/** What arguments may refer to. */
export interface ArgumentScope extends ReadOptions {
  /** Another export of the package. */
  readonly lookup?: ((name: string) => unknown) | undefined;
  /** A tensor of the graph under construction; undefined where there is no graph. */
  readonly tensor?: (path: string, given: ReadTensor) => unknown;
}

const SPECIAL: Readonly<Record<string, number>> = { inf: Infinity, '-inf': -Infinity, nan: NaN };

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function typedArray(given: Readonly<Record<string, unknown>>, path: string, scope: ArgumentScope): unknown {
  const dataType = given['dtype'] ?? 'float64';
  if (!(JSON_DATA_TYPES as readonly unknown[]).includes(dataType))
    throw probeError(`"${path}.dtype" expected one of ${JSON_DATA_TYPES.join(', ')}, got ${valueText(dataType)}.`);
  const { data } = readTensor(given['array'], `${path}.array`, { ...scope, dataType: dataType as DataType }).value;
  return new (arrayOf(dataType as 'float64'))(data as Float64Array);
}

/** An argument of a function, as its JSON means it. @throws CoreError naming the path of what is wrong. */
export function readArgument(json: unknown, path: string, scope: ArgumentScope): unknown {
  if (typeof json === 'string') return Object.hasOwn(SPECIAL, json) ? SPECIAL[json] : json;
  if (Array.isArray(json))
    return (json as unknown[]).map((item, index) => readArgument(item, `${path}.${index}`, scope));
  if (!isObject(json)) return json;
  if ('tensor' in json) {
    if (scope.tensor === undefined) throw probeError(`"${path}" is a tensor of a graph, which nothing builds here.`);
    return scope.tensor(path, readTensor(json['tensor'], `${path}.tensor`, scope));
  }
  if ('host' in json) return readTensor(json['host'], `${path}.host`, scope).value;
  if ('array' in json) return typedArray(json, path, scope);
  if ('export' in json) {
    const found = scope.lookup?.(String(json['export']));
    if (found === undefined) throw probeError(`"${path}": there is no export ${valueText(json['export'])}.`);
    if (json['arguments'] === undefined) return found;
    if (typeof found !== 'function' || !Array.isArray(json['arguments']))
      throw probeError(`"${path}": ${valueText(json['export'])} is no function, or its arguments are no list.`);
    return (found as (...items: unknown[]) => unknown)(
      ...(json['arguments'] as unknown[]).map((item, index) => readArgument(item, `${path}.arguments.${index}`, scope)),
    );
  }
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => [name, readArgument(value, `${path}.${name}`, scope)]),
  );
}

/** Whether an argument has a tensor of a graph somewhere in it. */
export const hasTensor = (json: unknown): boolean =>
  Array.isArray(json)
    ? json.some(hasTensor)
    : isObject(json) && ('tensor' in json || Object.values(json).some(hasTensor));

const isTensorData = (value: object): value is TensorData =>
  'dataType' in value && 'dims' in value && 'data' in value && Array.isArray(value.dims);

/** Deeper results than this are taken to contain themselves. */
const DEEPEST = 50;

/** A result as JSON: typed arrays and tensors as nested lists, maps as objects. */
export function resultJson(value: unknown, depth = 0): JsonValue {
  if (depth > DEEPEST) throw probeError('The result is nested too deeply, or contains itself.');
  switch (typeof value) {
    case 'undefined':
      return null;
    case 'number':
      return numberJson(value);
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case 'string':
    case 'boolean':
      return value;
    case 'symbol':
    case 'function':
      return `(${typeof value})`;
    default:
  }
  if (value === null) return null;
  if (ArrayBuffer.isView(value)) {
    if (value instanceof DataView) return '(bytes)';
    // Float32 values are written as short as tensors are.
    if (value instanceof Float32Array) {
      const whole = { ...emptyTensor('float32', [value.length]), data: value };
      return tensorJson(whole);
    }
    return Array.from(value as unknown as ArrayLike<number | bigint>, (item) => resultJson(item, depth + 1));
  }
  if (Array.isArray(value) || value instanceof Set)
    return [...(value as Iterable<unknown>)].map((item) => resultJson(item, depth + 1));
  if (isTensorData(value as object)) return tensorJson(value as TensorData);
  const entries = value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value as object);
  return Object.fromEntries(entries.map(([key, item]) => [String(key), resultJson(item, depth + 1)]));
}
