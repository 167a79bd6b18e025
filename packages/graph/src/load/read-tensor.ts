import {
  arrayOf,
  byteLength,
  dataTypeFromCode,
  elementCount,
  DATA_TYPES,
  type DataType,
  type TensorData,
} from '../data-type.js';
import {
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as TypeCode,
  type TensorProto,
} from '../serialise/generated/onnx_pb.js';
import type { LoadBudgets } from './budgets.js';
import type { ExternalDataReader } from './external-data.js';
import { ModelBudgetError, ModelFormatError } from './format-error.js';

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Element type of a `TensorProto.DataType` number; refuses by name what Updraft does not carry. */
export function readDataType(code: number, where: string): DataType {
  const type = dataTypeFromCode(code);
  if (type !== undefined) return type;
  const name: string | undefined = TypeCode[code];
  throw new ModelFormatError(
    where,
    code === 0 ? 'It has no element type.' : `Its element type ${name ?? code} is not supported.`,
    {
      hint: `Supported are ${Object.keys(DATA_TYPES).join(', ')}.`,
      details: { dataType: name ?? code },
    },
  );
}

/** Sizes from a file, checked against the budgets for rank, dimension and elements. */
export function readDims(dims: readonly bigint[], budgets: LoadBudgets, where: string): number[] {
  if (dims.length > budgets.rank) throw new ModelBudgetError(where, 'rank', budgets.rank, dims.length);
  let elements = 1;
  return dims.map((dim) => {
    if (dim < 0n) throw new ModelFormatError(where, `It has the negative dimension ${dim}.`);
    if (dim > BigInt(budgets.dimension)) throw new ModelBudgetError(where, 'dimension', budgets.dimension, dim);
    elements *= Number(dim);
    if (elements > budgets.elements) throw new ModelBudgetError(where, 'elements', budgets.elements, elements);
    return Number(dim);
  });
}

function fromRaw(
  bytes: Uint8Array,
  dataType: Exclude<DataType, 'string'>,
  dims: readonly number[],
  where: string,
): TensorData {
  const size = byteLength(dataType, dims);
  if (bytes.length !== size)
    throw new ModelFormatError(
      where,
      `It holds ${bytes.length} bytes where ${dataType}[${dims.join(', ')}] needs ${size}.`,
      {
        details: { bytes: bytes.length, expected: size },
      },
    );
  if (dataType === 'bool' && bytes.some((byte) => byte > 1))
    throw new ModelFormatError(where, 'A bool is neither 0 nor 1.');
  const Storage = arrayOf(dataType);
  const width = Storage.BYTES_PER_ELEMENT;
  let source = bytes;
  if (!littleEndian && width > 1) {
    source = new Uint8Array(bytes.length);
    for (let at = 0; at < bytes.length; at += width)
      for (let byte = 0; byte < width; byte++) source[at + byte] = bytes[at + width - 1 - byte] as number;
  } else if (bytes.byteOffset % width !== 0) source = Uint8Array.from(bytes); // not slice(): Node's Buffer gives a view
  return {
    dataType,
    dims,
    data: new Storage(source.buffer as ArrayBuffer, source.byteOffset, source.byteLength / width),
  };
}

type ListName = 'floatData' | 'int32Data' | 'int64Data' | 'doubleData' | 'uint64Data' | 'stringData';
const LIST_NAMES: readonly ListName[] = [
  'floatData',
  'int32Data',
  'int64Data',
  'doubleData',
  'uint64Data',
  'stringData',
];

function listOf(dataType: DataType): ListName {
  switch (dataType) {
    case 'float32':
      return 'floatData';
    case 'float64':
      return 'doubleData';
    case 'int64':
      return 'int64Data';
    case 'uint32':
    case 'uint64':
      return 'uint64Data';
    case 'string':
      return 'stringData';
    default:
      return 'int32Data';
  }
}

const INTEGER_RANGES: Partial<Record<DataType, readonly [number, number]>> = {
  int8: [-128, 127],
  int16: [-32768, 32767],
  uint8: [0, 255],
  uint16: [0, 65535],
  float16: [0, 65535],
  bfloat16: [0, 65535],
  bool: [0, 1],
  int4: [0, 255],
  uint4: [0, 255],
  uint32: [0, 2 ** 32 - 1],
};

function fromList(proto: TensorProto, dataType: DataType, dims: readonly number[], where: string): TensorData {
  const name = listOf(dataType);
  const list: readonly (number | bigint | Uint8Array)[] = proto[name];
  const count = DATA_TYPES[dataType].bits === 4 ? Math.ceil(elementCount(dims) / 2) : elementCount(dims);
  if (list.length !== count)
    throw new ModelFormatError(
      where,
      `It holds ${list.length} values where ${dataType}[${dims.join(', ')}] needs ${count}.`,
      {
        details: { values: list.length, expected: count },
      },
    );
  if (dataType === 'string')
    return {
      dataType,
      dims,
      data: proto.stringData.map((bytes, index) => decodeText(bytes, `${where}.string_data[${index}]`)),
    };
  const range = INTEGER_RANGES[dataType];
  if (range !== undefined)
    for (const value of list)
      if (Number(value) < range[0] || Number(value) > range[1])
        throw new ModelFormatError(where, `Its value ${String(value)} does not fit ${dataType}.`);
  const data: ArrayLike<number> | ArrayLike<bigint> =
    dataType === 'uint32' ? Uint32Array.from(proto.uint64Data, Number) : (proto[name] as number[] | bigint[]);
  const Storage = arrayOf(dataType) as unknown as { from(values: ArrayLike<number> | ArrayLike<bigint>): Float32Array };
  return { dataType, dims, data: Storage.from(data) };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
export function decodeText(bytes: Uint8Array, where: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new ModelFormatError(where, 'A text is not valid UTF-8; Updraft does not carry binary strings.');
  }
}

/** How a tensor was stored, to store it in the same way again. */
export type TensorStorage = 'raw' | 'list' | 'external';

/** Contents of a tensor; views the bytes of the file where alignment allows. */
export function readTensor(
  proto: TensorProto,
  budgets: LoadBudgets,
  external: ExternalDataReader,
  where: string,
): { value: TensorData; storage: TensorStorage } {
  const dataType = readDataType(proto.dataType, where);
  const dims = readDims(proto.dims, budgets, where);
  if (proto.segment !== undefined)
    throw new ModelFormatError(where, 'It is stored in segments, which are not supported.');
  const hasRaw = Object.hasOwn(proto, 'rawData');
  const lists = LIST_NAMES.filter((name) => proto[name].length > 0);
  const stores = lists.length + (hasRaw && (proto.rawData.length > 0 || lists.length === 0) ? 1 : 0);
  if (proto.dataLocation === DataLocation.EXTERNAL) {
    if (stores > 0) throw new ModelFormatError(where, 'It has data of its own and external data.');
    if (dataType === 'string') throw new ModelFormatError(where, 'Strings cannot be external data.');
    const bytes = external.read(proto.externalData, byteLength(dataType, dims), where);
    return { value: fromRaw(bytes, dataType, dims, where), storage: 'external' };
  }
  if (proto.externalData.length > 0)
    throw new ModelFormatError(where, 'It names external data but is not marked as external.');
  if (stores > 1) throw new ModelFormatError(where, 'It holds its contents more than once.');
  if (hasRaw && lists.length === 0) {
    if (dataType === 'string') throw new ModelFormatError(where, 'Strings cannot be raw data.');
    return { value: fromRaw(proto.rawData, dataType, dims, where), storage: 'raw' };
  }
  const wrong = lists.find((name) => name !== listOf(dataType));
  if (wrong !== undefined) throw new ModelFormatError(where, `A ${dataType} tensor cannot be stored in ${wrong}.`);
  return { value: fromList(proto, dataType, dims, where), storage: 'list' };
}
