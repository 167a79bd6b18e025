import { byteLength, elementCount, emptyTensor, UpdraftError, type DataType, type TensorData, type UpdraftErrorOptions } from '@updraft/graph';

/** Bytes that are not a well-formed safetensors file. The message names the field, the value and the limit. */
export class SafetensorsError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('safetensors', message, options);
  }
}

const TYPES = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int8: 'I8',
  int16: 'I16',
  int32: 'I32',
  int64: 'I64',
  uint8: 'U8',
  uint16: 'U16',
  uint32: 'U32',
  uint64: 'U64',
  bool: 'BOOL',
} as const satisfies Partial<Record<DataType, string>>;
type Stored = keyof typeof TYPES;
const BY_NAME = new Map<string, Stored>((Object.keys(TYPES) as Stored[]).map((type) => [TYPES[type], type]));

const HEADER_BASE_BYTES = 1 << 20;
const HEADER_BYTES_PER_TENSOR = 1 << 10;
/** The header's share of the file is bounded by this many tensors. */
const MAX_TENSORS = 100_000;
const METADATA = '__metadata__';

/** Contents of a safetensors file. */
export interface SafetensorsFile {
  readonly tensors: Readonly<Record<string, TensorData>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Write named tensors as safetensors, in the order given; offsets are contiguous, the header is padded to 8 bytes. */
export function encodeSafetensors(
  tensors: Readonly<Record<string, TensorData>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header[METADATA] = metadata;
  let offset = 0;
  const parts: { at: number; bytes: Uint8Array }[] = [];
  for (const [name, value] of Object.entries(tensors)) {
    const type = TYPES[value.dataType as Stored] as string | undefined;
    if (type === undefined || name === METADATA)
      throw new SafetensorsError(`The tensor "${name}" of type ${value.dataType} cannot be stored as safetensors.`);
    const view = value.data as Uint8Array;
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    if (bytes.length !== byteLength(value.dataType, value.dims))
      throw new SafetensorsError(`The tensor "${name}" of shape [${value.dims.join(', ')}] holds ${bytes.length} bytes.`);
    header[name] = { dtype: type, shape: value.dims, data_offsets: [offset, offset + bytes.length] };
    parts.push({ at: offset, bytes });
    offset += bytes.length;
  }
  let text = JSON.stringify(header);
  const encoder = new TextEncoder();
  text = text.padEnd(text.length + ((8 - (encoder.encode(text).length % 8)) % 8));
  const head = encoder.encode(text);
  const file = new Uint8Array(8 + head.length + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(head.length), true);
  file.set(head, 8);
  for (const { at, bytes } of parts) file.set(bytes, 8 + head.length + at);
  return file;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON.parse keeps the last of two equal keys; this finds the repetition at the top level and inside entries. */
function refuseDuplicateKeys(text: string): void {
  const scopes: (Set<string> | undefined)[] = [];
  let index = 0;
  let expectKey = false;
  while (index < text.length) {
    const character = text[index];
    if (character === '"') {
      const end = endOfString(text, index);
      if (expectKey) {
        const key = JSON.parse(text.slice(index, end)) as string;
        const scope = scopes[scopes.length - 1];
        if (scope?.has(key) === true) throw new SafetensorsError(`The header names "${key}" twice.`);
        scope?.add(key);
        expectKey = false;
      }
      index = end;
      continue;
    }
    if (character === '{') {
      scopes.push(new Set());
      expectKey = true;
    } else if (character === '[') scopes.push(undefined);
    else if (character === '}' || character === ']') {
      scopes.pop();
      expectKey = false;
    } else if (character === ',') expectKey = scopes[scopes.length - 1] !== undefined;
    index++;
  }
}

function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (index < text.length && text[index] !== '"') index += text[index] === '\\' ? 2 : 1;
  return index + 1;
}

/**
 * Read safetensors strictly: the header starts with `{`, is UTF-8 JSON without repeated keys and within its budget;
 * offsets are contiguous, in order, and cover the file exactly; sizes equal shape × type. Tensors are copies.
 *
 * @throws SafetensorsError
 */
export function decodeSafetensors(file: Uint8Array): SafetensorsFile {
  if (file.length < 8) throw new SafetensorsError(`The file has ${file.length} bytes; the header length alone takes 8.`);
  const declared = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(file.length - 8))
    throw new SafetensorsError(`The header claims ${declared} bytes; the file has ${file.length - 8} after its length field.`);
  const length = Number(declared);
  if (length > HEADER_BASE_BYTES + HEADER_BYTES_PER_TENSOR * MAX_TENSORS)
    throw new SafetensorsError(`The header has ${length} bytes, more than any file of ${MAX_TENSORS} tensors needs.`);
  const headBytes = file.subarray(8, 8 + length);
  if (headBytes[0] !== 0x7b) throw new SafetensorsError('The header does not start with "{".');
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(headBytes);
    header = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError('The header is not UTF-8 JSON.', { cause: error });
  }
  if (!isRecord(header)) throw new SafetensorsError('The header is not an object.');
  refuseDuplicateKeys(text);
  const { [METADATA]: metadata = {}, ...entries } = header;
  const names = Object.keys(entries);
  if (length > HEADER_BASE_BYTES + HEADER_BYTES_PER_TENSOR * names.length)
    throw new SafetensorsError(`The header has ${length} bytes for ${names.length} tensors; the limit is 1 MiB + 1 KiB for each.`);
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string'))
    throw new SafetensorsError('The metadata of the header is not a map of strings.');
  const body = file.subarray(8 + length);
  let expected = 0;
  const sorted = names
    .map((name) => parseEntry(name, entries[name]))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors: Record<string, TensorData> = {};
  for (const { name, dataType, dims, begin, end } of sorted) {
    if (begin !== expected)
      throw new SafetensorsError(`The tensor "${name}" begins at byte ${begin}, not ${expected}: tensors must follow each other without gaps.`);
    if (end > body.length)
      throw new SafetensorsError(`The tensor "${name}" ends at byte ${end}; the file has ${body.length} bytes of data.`);
    const needed = byteLength(dataType, dims);
    if (end - begin !== needed)
      throw new SafetensorsError(`The tensor "${name}" ${dataType}[${dims.join(', ')}] takes ${needed} bytes; its offsets span ${end - begin}.`);
    const value = emptyTensor(dataType, dims);
    const target = value.data as Uint8Array;
    new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(body.subarray(begin, end));
    tensors[name] = value;
    expected = end;
  }
  if (expected !== body.length)
    throw new SafetensorsError(`The tensors end at byte ${expected}, the data at ${body.length}: bytes beyond the tensors are refused.`);
  return { tensors: Object.fromEntries(names.map((name) => [name, tensors[name] as TensorData])), metadata: metadata as Record<string, string> };
}

interface Entry {
  readonly name: string;
  readonly dataType: Stored;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function parseEntry(name: string, value: unknown): Entry {
  const refuse = (what: string): never => {
    throw new SafetensorsError(`The tensor "${name}": ${what}.`);
  };
  if (!isRecord(value)) return refuse('its entry is not an object');
  for (const key of Object.keys(value))
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') refuse(`its entry has an unknown field "${key}"`);
  const { dtype, shape, data_offsets: offsets } = value;
  const dataType = BY_NAME.get(String(dtype)) ?? refuse(`dtype "${String(dtype)}" is not supported`);
  const naturals = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((item) => typeof item === 'number' && Number.isSafeInteger(item) && item >= 0);
  if (!naturals(shape) || shape.length > 64) return refuse('its shape is not a list of at most 64 sizes');
  if (!naturals(offsets) || offsets.length !== 2 || (offsets[0] as number) > (offsets[1] as number))
    return refuse('its data_offsets are not [begin, end]');
  try {
    elementCount(shape);
  } catch {
    refuse(`its shape [${shape.join(', ')}] overflows`);
  }
  return { name, dataType, dims: shape, begin: offsets[0] as number, end: offsets[1] as number };
}
