import { UpdraftError } from './errors.js';

/** Element types of ONNX tensors that Updraft carries (ONNX `TensorProto.DataType`, spelled out). */
export type DataType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'int4'
  | 'uint4'
  | 'bool'
  | 'string';

/** Storage of a host tensor: raw bits for float16/bfloat16, packed nibbles (low first) for int4/uint4. */
export interface DataTypeStorage {
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  readonly float16: Uint16Array;
  readonly bfloat16: Uint16Array;
  readonly int8: Int8Array;
  readonly int16: Int16Array;
  readonly int32: Int32Array;
  readonly int64: BigInt64Array;
  readonly uint8: Uint8Array;
  readonly uint16: Uint16Array;
  readonly uint32: Uint32Array;
  readonly uint64: BigUint64Array;
  readonly int4: Uint8Array;
  readonly uint4: Uint8Array;
  readonly bool: Uint8Array;
  readonly string: readonly string[];
}

/** A concrete tensor in host memory, row-major. */
export interface TensorData<T extends DataType = DataType> {
  readonly dataType: T;
  readonly dims: readonly number[];
  readonly data: DataTypeStorage[T];
}

interface DataTypeFacts {
  /** `TensorProto.DataType` number. */
  readonly code: number;
  readonly bits: number;
  readonly float: boolean;
  readonly integer: boolean;
  readonly signed: boolean;
}

const facts = (code: number, bits: number, kind: 'float' | 'signed' | 'unsigned' | 'other'): DataTypeFacts => ({
  code,
  bits,
  float: kind === 'float',
  integer: kind === 'signed' || kind === 'unsigned',
  signed: kind === 'float' || kind === 'signed',
});

/** Facts per element type. `bits` is 0 for strings. */
export const DATA_TYPES: Readonly<Record<DataType, DataTypeFacts>> = {
  float32: facts(1, 32, 'float'),
  uint8: facts(2, 8, 'unsigned'),
  int8: facts(3, 8, 'signed'),
  uint16: facts(4, 16, 'unsigned'),
  int16: facts(5, 16, 'signed'),
  int32: facts(6, 32, 'signed'),
  int64: facts(7, 64, 'signed'),
  string: facts(8, 0, 'other'),
  bool: facts(9, 8, 'other'),
  float16: facts(10, 16, 'float'),
  float64: facts(11, 64, 'float'),
  uint32: facts(12, 32, 'unsigned'),
  uint64: facts(13, 64, 'unsigned'),
  bfloat16: facts(16, 16, 'float'),
  uint4: facts(21, 4, 'unsigned'),
  int4: facts(22, 4, 'signed'),
};

export const isFloat = (type: DataType): boolean => DATA_TYPES[type].float;
export const isInteger = (type: DataType): boolean => DATA_TYPES[type].integer;

const CODES = new Map<number, DataType>(
  (Object.keys(DATA_TYPES) as DataType[]).map((type) => [DATA_TYPES[type].code, type]),
);

/** The element type with this `TensorProto.DataType` number, or undefined when Updraft does not carry it. */
export const dataTypeFromCode = (code: number): DataType | undefined => CODES.get(code);

/** Number of elements of a shape. Throws when it is not a safe integer. */
export function elementCount(dims: readonly number[]): number {
  let count = 1;
  for (const dim of dims) count *= dim;
  if (!Number.isSafeInteger(count) || count < 0)
    throw new UpdraftError('shape', `A tensor of shape [${dims.join(', ')}] has no valid number of elements.`);
  return count;
}

/** Bytes that the elements of a tensor occupy (packed for 4-bit types; 0 for strings). */
export const byteLength = (type: DataType, dims: readonly number[]): number =>
  Math.ceil((elementCount(dims) * DATA_TYPES[type].bits) / 8);

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int4: Uint8Array,
  uint4: Uint8Array,
  bool: Uint8Array,
} as const;

/** Typed-array class that stores a numeric element type. */
export const arrayOf = <T extends Exclude<DataType, 'string'>>(type: T): (typeof ARRAYS)[T] => ARRAYS[type];

/** A zero-filled (empty strings for `string`) tensor. */
export function emptyTensor<T extends DataType>(dataType: T, dims: readonly number[]): TensorData<T> {
  const count = elementCount(dims);
  const data: unknown =
    dataType === 'string'
      ? new Array<string>(count).fill('')
      : new ARRAYS[dataType as Exclude<DataType, 'string'>](
          DATA_TYPES[dataType].bits === 4 ? Math.ceil(count / 2) : count,
        );
  return { dataType, dims: [...dims], data: data as DataTypeStorage[T] };
}

/** Nested arrays of numbers, for literals in code and tests. */
export type NestedNumbers = number | readonly NestedNumbers[];

/** Shape of a nested literal. Throws when rows differ in length. */
function nestedShape(values: NestedNumbers): number[] {
  if (typeof values === 'number') return [];
  const first = values[0];
  if (first === undefined) return [0];
  const inner = nestedShape(first);
  for (const row of values)
    if (nestedShape(row).join() !== inner.join())
      throw new UpdraftError('shape', 'Rows of a nested literal differ in shape.', {
        hint: 'Give every row the same number of elements.',
      });
  return [values.length, ...inner];
}

const flatten = (values: NestedNumbers): number[] => (typeof values === 'number' ? [values] : values.flatMap(flatten));

/**
 * A host tensor from a literal: `tensor([[1, 2], [3, 4]])`, `tensor([1, 2], 'int64')`, or from flat data with dims.
 * float16 and bfloat16 are rounded to nearest even.
 */
export function tensor<T extends Exclude<DataType, 'string' | 'int4' | 'uint4'> = 'float32'>(
  values: NestedNumbers,
  dataType?: T,
  dims?: readonly number[],
): TensorData<T> {
  const type = dataType ?? ('float32' as T);
  const shape = dims ?? nestedShape(values);
  const flat = flatten(values);
  if (elementCount(shape) !== flat.length)
    throw new UpdraftError('shape', `${flat.length} values do not fill the shape [${shape.join(', ')}].`);
  const result = emptyTensor<DataType>(type, shape);
  flat.forEach((value, index) => {
    writeElement(result, index, value);
  });
  return result as TensorData<T>;
}

const scratch32 = new Float32Array(1);
const scratchBits = new Uint32Array(scratch32.buffer);

/** Bits of the bfloat16 nearest to `value` (ties to even). */
export function toBfloat16Bits(value: number): number {
  scratch32[0] = value;
  const bits = scratchBits[0] as number;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromBfloat16Bits(bits: number): number {
  scratchBits[0] = bits << 16;
  return scratch32[0] as number;
}

/** Bits of the float16 nearest to `value` (ties to even, overflow to infinity). */
export function toFloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  const mantissa = roundEven((magnitude / 2 ** exponent - 1) * 1024);
  return sign | (((exponent + 15) << 10) + mantissa);
}

export function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1;
  return floor;
}

/** Read one element as a JavaScript number (64-bit integers beyond 2^53 lose precision). */
export function readElement(source: TensorData, index: number): number {
  const { dataType, data } = source;
  switch (dataType) {
    case 'string':
      throw new UpdraftError('data-type', 'A string tensor has no numeric elements.');
    case 'int4':
    case 'uint4': {
      const byte = (data as Uint8Array)[index >> 1] ?? 0;
      const nibble = index & 1 ? byte >> 4 : byte & 15;
      return dataType === 'int4' && nibble > 7 ? nibble - 16 : nibble;
    }
    case 'float16':
      return fromFloat16Bits((data as Uint16Array)[index] as number);
    case 'bfloat16':
      return fromBfloat16Bits((data as Uint16Array)[index] as number);
    default:
      return Number((data as Float32Array | BigInt64Array)[index]);
  }
}

/** Write one element from a JavaScript number, rounding as the element type demands. */
export function writeElement(target: TensorData, index: number, value: number): void {
  const { dataType, data } = target;
  switch (dataType) {
    case 'string':
      throw new UpdraftError('data-type', 'A string tensor has no numeric elements.');
    case 'int4':
    case 'uint4': {
      const bytes = data as Uint8Array;
      const old = bytes[index >> 1] ?? 0;
      bytes[index >> 1] = index & 1 ? (old & 0x0f) | ((value & 15) << 4) : (old & 0xf0) | (value & 15);
      return;
    }
    case 'float16':
      (data as Uint16Array)[index] = toFloat16Bits(value);
      return;
    case 'bfloat16':
      (data as Uint16Array)[index] = toBfloat16Bits(value);
      return;
    case 'bool':
      (data as Uint8Array)[index] = value ? 1 : 0;
      return;
    case 'int64':
      (data as BigInt64Array)[index] = BigInt(Math.trunc(value));
      return;
    case 'uint64':
      (data as BigUint64Array)[index] = BigInt(Math.trunc(value));
      return;
    default:
      (data as Float32Array)[index] = value;
  }
}

/** All elements as JavaScript numbers, row-major. */
export const toNumbers = (source: TensorData): number[] =>
  Array.from({ length: elementCount(source.dims) }, (_, index) => readElement(source, index));
