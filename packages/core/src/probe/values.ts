import {
  arrayOf,
  elementCount,
  emptyTensor,
  isFloat,
  isInteger,
  readElement,
  writeElement,
  type DataType,
  type TensorData,
} from '@updraft/graph';
import type { JsonValue } from '../contracts/sampler.js';
import { CoreError } from '../errors.js';
import { valueText } from '../options/options-error.js';
import { mapValues, type NamedValues } from '../tree.js';

/** Element types that JSON can hold. */
export const JSON_DATA_TYPES = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint64',
  'uint32',
  'uint16',
  'uint8',
  'bool',
] as const;
type JsonDataType = (typeof JSON_DATA_TYPES)[number];

/** A tensor that was read, and what its JSON said about its element type. */
export interface ReadTensor {
  readonly value: TensorData;
  /** Whether the element type was written down; else it is float32, or bool for true and false. */
  readonly typed: boolean;
}

/** How strictly numbers are read. */
export interface ReadOptions {
  /** Element type of what does not say its own. */
  readonly dataType?: DataType;
  /** Take NaN and infinities; else they are refused, since they are mistakes far more often than meant. */
  readonly allowNonFinite?: boolean;
}

const SPECIAL: ReadonlyMap<unknown, number> = new Map([
  ['inf', Infinity],
  ['-inf', -Infinity],
  ['nan', NaN],
]);

const refuse = (path: string, expected: string, got: string, hint?: string): never => {
  throw new CoreError('probe', `"${path}" expected ${expected}, got ${got}.`, hint === undefined ? {} : { hint });
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sizes of nested lists, and their leaves in order. */
function unnest(value: unknown, path: string): { shape: number[]; leaves: unknown[] } {
  if (!Array.isArray(value)) return { shape: [], leaves: [value] };
  const rows = (value as unknown[]).map((row, index) => unnest(row, `${path}.${index}`));
  const [first] = rows;
  if (first === undefined) return { shape: [0], leaves: [] };
  const uneven = rows.findIndex(({ shape }) => shape.join() !== first.shape.join());
  if (uneven > 0)
    refuse(
      `${path}.${uneven}`,
      `the shape [${first.shape.join(', ')}] of the first row`,
      `[${rows[uneven]?.shape.join(', ') ?? ''}]`,
      'Give every row the same number of elements.',
    );
  return { shape: [rows.length, ...first.shape], leaves: rows.flatMap(({ leaves }) => leaves) };
}

/** Position of a leaf as the path in the nested lists. */
function leafPath(path: string, shape: readonly number[], index: number): string {
  const steps: number[] = [];
  let rest = index;
  for (const size of [...shape].reverse()) {
    steps.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return [path, ...steps].join('.');
}

/** A number of JSON: a finite one, or `"inf"`, `"-inf"`, `"nan"`. @throws CoreError */
export function readNumber(leaf: unknown, path: string, { allowNonFinite = false }: ReadOptions = {}): number {
  const value = typeof leaf === 'number' ? leaf : SPECIAL.get(leaf);
  if (value === undefined) return refuse(path, 'a number, "inf", "-inf" or "nan"', valueText(leaf));
  if (!allowNonFinite && !Number.isFinite(value))
    return refuse(
      path,
      'a finite number',
      valueText(leaf),
      'Set "allowNonFinite": true to see what becomes of NaN and infinities.',
    );
  return value;
}

function readLeaf(leaf: unknown, dataType: DataType, path: string, options: ReadOptions): number {
  if (dataType === 'bool' || typeof leaf === 'boolean') {
    const value = typeof leaf === 'boolean' ? Number(leaf) : leaf;
    if (dataType !== 'bool' || (value !== 0 && value !== 1))
      return refuse(path, dataType === 'bool' ? 'true or false' : `a number (${dataType})`, valueText(leaf));
    return value;
  }
  const value = readNumber(leaf, path, options);
  if (isInteger(dataType)) {
    const probe = emptyTensor(dataType, [1]);
    if (Number.isSafeInteger(value)) writeElement(probe, 0, value);
    if (!Number.isSafeInteger(value) || readElement(probe, 0) !== value)
      return refuse(path, `a whole number that ${dataType} holds`, valueText(leaf));
  }
  if (isFloat(dataType) && Number.isFinite(value)) {
    const probe = emptyTensor(dataType, [1]);
    writeElement(probe, 0, value);
    if (!Number.isFinite(readElement(probe, 0)))
      return refuse(
        path,
        `a number in the range of ${dataType}`,
        valueText(leaf),
        'Give {"dtype": "float64", "data": …}.',
      );
  }
  return value;
}

/**
 * A tensor of JSON: nested lists (the nesting is the shape; a bare number is a scalar), or `{ dtype, data, shape? }`.
 *
 * @param path Where in the input it stands, for messages.
 * @throws CoreError naming the path and what is expected there.
 */
export function readTensor(json: unknown, path: string, options: ReadOptions = {}): ReadTensor {
  let [given, dataType, shape, typed]: [unknown, DataType | undefined, readonly number[] | undefined, boolean] = [
    json,
    options.dataType,
    undefined,
    false,
  ];
  if (isObject(json)) {
    const extra = Object.keys(json).find((key) => !['dtype', 'data', 'shape'].includes(key));
    if (extra !== undefined || !('data' in json))
      refuse(path, 'nested lists of numbers, or { "dtype", "data", "shape" }', valueText(json));
    given = json['data'];
    if (json['dtype'] !== undefined) {
      if (!(JSON_DATA_TYPES as readonly unknown[]).includes(json['dtype']))
        refuse(`${path}.dtype`, `one of ${JSON_DATA_TYPES.join(', ')}`, valueText(json['dtype']));
      dataType = json['dtype'] as JsonDataType;
      typed = true;
    }
    const declared = json['shape'];
    if (declared !== undefined) {
      if (!Array.isArray(declared) || !declared.every((size) => Number.isSafeInteger(size) && (size as number) >= 0))
        refuse(`${path}.shape`, 'a list of sizes from 0', valueText(declared));
      shape = declared as number[];
    }
  }
  const { shape: nested, leaves } = unnest(given, path);
  const dims = shape ?? nested;
  if (elementCount(dims) !== leaves.length)
    refuse(path, `${elementCount(dims)} elements for the shape [${dims.join(', ')}]`, String(leaves.length));
  const booleans = leaves.length > 0 && leaves.every((leaf) => typeof leaf === 'boolean');
  const type = dataType ?? (booleans ? 'bool' : 'float32');
  const value = emptyTensor(type, dims);
  leaves.forEach((leaf, index) => {
    writeElement(value, index, readLeaf(leaf, type, leafPath(path, nested, index), options));
  });
  return { value, typed: typed || booleans };
}

/** Named tensors of JSON. @throws CoreError */
export const readTensors = (
  json: NamedValues<unknown>,
  path: string,
  options: ReadOptions = {},
): Record<string, TensorData> => mapValues(json, (value, name) => readTensor(value, `${path}.${name}`, options).value);

/** The shortest decimal that reads back as the same float32. */
function shortestFloat32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(9));
}

/** A number as JSON: those that JSON lacks are written out. */
export const numberJson = (value: number): JsonValue =>
  Number.isNaN(value) ? 'nan' : value === Infinity ? 'inf' : value === -Infinity ? '-inf' : value;

function elementJson(source: TensorData, index: number): JsonValue {
  if (source.dataType === 'string') return (source.data as readonly string[])[index] ?? '';
  const value = readElement(source, index);
  if (source.dataType === 'bool') return value !== 0;
  if (!isFloat(source.dataType))
    // Beyond 2^53 a number would name another integer.
    return Number.isSafeInteger(value) ? value : String((source.data as BigInt64Array)[index]);
  return numberJson(source.dataType !== 'float64' && Number.isFinite(value) ? shortestFloat32(value) : value);
}

/** A tensor as nested lists; a scalar as a number. Floats are written with as many digits as tell them apart. */
export function tensorJson(source: TensorData): JsonValue {
  const build = (axis: number, from: number): JsonValue => {
    if (axis === source.dims.length) return elementJson(source, from);
    const stride = elementCount(source.dims.slice(axis + 1));
    return Array.from({ length: source.dims[axis] as number }, (_, index) => build(axis + 1, from + index * stride));
  };
  return build(0, 0);
}

/** Named tensors as JSON. */
export const tensorsJson = (values: NamedValues<TensorData>): Record<string, JsonValue> =>
  mapValues(values, (value) => tensorJson(value));

/** A number that a float32 tensor held, such as a loss, as short as that tells it apart. */
export const singleJson = (value: number): JsonValue =>
  numberJson(Number.isFinite(value) && Math.fround(value) === value ? shortestFloat32(value) : value);

/** Named numbers as JSON. */
export const numbersJson = (values: NamedValues<number>): Record<string, JsonValue> =>
  mapValues(values, (value) => singleJson(value));

/** Whether a tensor could as well be one of integers: all elements are whole numbers. */
export const isWhole = (value: TensorData): boolean =>
  value.dataType === 'float32' && (value.data as Float32Array).every((element) => Number.isSafeInteger(element));

/** The same numbers with another element type. */
export function withType(value: TensorData, dataType: Exclude<DataType, 'string' | 'int4' | 'uint4'>): TensorData {
  if (value.dataType === dataType) return value;
  const result = { dataType, dims: value.dims, data: new (arrayOf(dataType))(elementCount(value.dims)) } as TensorData;
  for (let index = 0; index < result.data.length; index++) writeElement(result, index, readElement(value, index));
  return result;
}

/** A tensor with a buffer of its own. */
export const ownCopy = (value: TensorData): TensorData => ({ ...value, data: value.data.slice() }) as TensorData;
