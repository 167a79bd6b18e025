import { elementCount, UpdraftError, type DataType, type UpdraftErrorOptions } from '@updraft/graph';

/** Bytes that are not a well-formed safetensors file. The message names the field, the value and the limit. */
export class SafetensorsError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('safetensors', message, options);
  }
}

/** How the format stores an element. */
export interface StoredType {
  readonly bytes: number;
  /** Element type of host tensors; the 8-bit floats have none and are read as raw bytes. */
  readonly dataType?: Exclude<DataType, 'string' | 'int4' | 'uint4'>;
}

/** Element types of the format. */
export const SAFETENSORS_TYPES = {
  F64: { bytes: 8, dataType: 'float64' },
  F32: { bytes: 4, dataType: 'float32' },
  F16: { bytes: 2, dataType: 'float16' },
  BF16: { bytes: 2, dataType: 'bfloat16' },
  F8_E4M3: { bytes: 1 },
  F8_E5M2: { bytes: 1 },
  F8_E8M0: { bytes: 1 },
  I64: { bytes: 8, dataType: 'int64' },
  I32: { bytes: 4, dataType: 'int32' },
  I16: { bytes: 2, dataType: 'int16' },
  I8: { bytes: 1, dataType: 'int8' },
  U64: { bytes: 8, dataType: 'uint64' },
  U32: { bytes: 4, dataType: 'uint32' },
  U16: { bytes: 2, dataType: 'uint16' },
  U8: { bytes: 1, dataType: 'uint8' },
  BOOL: { bytes: 1, dataType: 'bool' },
} as const satisfies Readonly<Record<string, StoredType>>;
export type SafetensorsType = keyof typeof SAFETENSORS_TYPES;

export const METADATA_KEY = '__metadata__';

/** Bytes of the header's length, before the header. */
export const LENGTH_BYTES = 8;
const HEADER_BASE_BYTES = 1 << 20;
const HEADER_BYTES_PER_TENSOR = 1 << 10;
const MAX_RANK = 64;

/** Where a tensor lies in the data that follows the header. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** What the header of a file says, checked. */
export interface SafetensorsHeader {
  /** In the order of the header. */
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Length of the header, from the first 8 bytes.
 *
 * @param fileBytes Size of the whole file.
 * @throws SafetensorsError when the file cannot hold such a header.
 */
export function headerLength(start: Uint8Array, fileBytes: number): number {
  if (start.length < LENGTH_BYTES)
    throw new SafetensorsError(`The file has ${start.length} bytes; the header length alone takes 8.`);
  const declared = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(fileBytes - LENGTH_BYTES))
    throw new SafetensorsError(
      `The header claims ${declared} bytes; the file has ${fileBytes - LENGTH_BYTES} after its length field.`,
      {
        details: { field: 'header length', value: declared, limit: fileBytes - LENGTH_BYTES },
      },
    );
  return Number(declared);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `"data_offsets"`, which every entry of a tensor contains. */
const OFFSETS_KEY = new TextEncoder().encode('"data_offsets"');

/** Upper bound for the number of tensors, found without parsing, so that an oversized header is refused before it costs memory. */
function countOffsets(head: Uint8Array): number {
  let count = 0;
  for (let at = head.indexOf(0x22); at >= 0; at = head.indexOf(0x22, at + 1)) {
    let same = 1;
    while (same < OFFSETS_KEY.length && head[at + same] === OFFSETS_KEY[same]) same++;
    if (same === OFFSETS_KEY.length) count++;
  }
  return count;
}

function checkBudget(length: number, tensors: number): void {
  const limit = HEADER_BASE_BYTES + HEADER_BYTES_PER_TENSOR * tensors;
  if (length > limit)
    throw new SafetensorsError(
      `The header has ${length} bytes for ${tensors} tensors; the limit is ${limit} (1 MiB + 1 KiB for each).`,
      {
        details: { field: 'header length', value: length, limit },
      },
    );
}

/**
 * Read a header strictly: it starts with `{`, is UTF-8 JSON without repeated keys and within its budget; offsets are
 * contiguous, in order, and cover the data exactly; sizes equal shape × type; metadata are strings.
 *
 * @param head The header without its length field.
 * @param dataBytes Size of what follows it.
 * @throws SafetensorsError
 */
export function parseSafetensorsHeader(head: Uint8Array, dataBytes: number): SafetensorsHeader {
  if (head[0] !== 0x7b) throw new SafetensorsError('The header does not start with "{".');
  if (head.length > HEADER_BASE_BYTES) checkBudget(head.length, countOffsets(head));
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(head);
    header = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError('The header is not UTF-8 JSON.', { cause: error });
  }
  if (!isRecord(header)) throw new SafetensorsError('The header is not an object.');
  refuseDuplicateKeys(text);
  const { [METADATA_KEY]: metadata = {}, ...rest } = header;
  const entries = Object.entries(rest).map(([name, value]) => parseEntry(name, value));
  checkBudget(head.length, entries.length);
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string'))
    throw new SafetensorsError('The metadata of the header is not a map of strings.');
  checkLayout(entries, dataBytes);
  return { entries, metadata: metadata as Record<string, string> };
}

function checkLayout(entries: readonly SafetensorsEntry[], dataBytes: number): void {
  let expected = 0;
  for (const { name, dtype, shape, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== expected)
      throw new SafetensorsError(
        `The tensor "${name}" begins at byte ${begin}, not ${expected}: tensors must follow each other without gaps.`,
        {
          details: { field: `${name}.data_offsets`, value: begin, limit: expected },
        },
      );
    if (end > dataBytes)
      throw new SafetensorsError(`The tensor "${name}" ends at byte ${end}; the file has ${dataBytes} bytes of data.`, {
        details: { field: `${name}.data_offsets`, value: end, limit: dataBytes },
      });
    const needed = elementCount(shape) * SAFETENSORS_TYPES[dtype].bytes;
    if (end - begin !== needed)
      throw new SafetensorsError(
        `The tensor "${name}" ${dtype}[${shape.join(', ')}] takes ${needed} bytes; its offsets span ${end - begin}.`,
        {
          details: { field: `${name}.data_offsets`, value: end - begin, limit: needed },
        },
      );
    expected = end;
  }
  if (expected !== dataBytes)
    throw new SafetensorsError(
      `The tensors end at byte ${expected}, the data at ${dataBytes}: bytes beyond the tensors are refused.`,
      {
        details: { field: 'data', value: dataBytes, limit: expected },
      },
    );
}

function parseEntry(name: string, value: unknown): SafetensorsEntry {
  const refuse = (field: string, what: string, found?: unknown): never => {
    throw new SafetensorsError(`The tensor "${name}": ${what}.`, {
      details: { field: `${name}.${field}`, value: found },
    });
  };
  if (!isRecord(value)) return refuse('entry', 'its entry is not an object', value);
  for (const key of Object.keys(value))
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets')
      refuse(key, `its entry has an unknown field "${key}"`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(SAFETENSORS_TYPES, dtype))
    return refuse(
      'dtype',
      `dtype ${JSON.stringify(dtype)} is not supported; known are ${Object.keys(SAFETENSORS_TYPES).join(', ')}`,
      dtype,
    );
  const naturals = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((item) => typeof item === 'number' && Number.isSafeInteger(item) && item >= 0);
  if (!naturals(shape) || shape.length > MAX_RANK)
    return refuse('shape', `its shape is not a list of at most ${MAX_RANK} sizes`, shape);
  if (!naturals(offsets) || offsets.length !== 2 || (offsets[0] as number) > (offsets[1] as number))
    return refuse('data_offsets', 'its data_offsets are not [begin, end]', offsets);
  // A zero among the sizes must not hide an overflow of the others.
  if (
    !Number.isSafeInteger(
      shape.reduce((product, size) => product * Math.max(1, size), SAFETENSORS_TYPES[dtype as SafetensorsType].bytes),
    )
  )
    refuse('shape', `its shape [${shape.join(', ')}] overflows`, shape);
  return { name, dtype: dtype as SafetensorsType, shape, begin: offsets[0] as number, end: offsets[1] as number };
}

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
        if (scope?.has(key) === true)
          throw new SafetensorsError(`The header names "${key}" twice.`, { details: { field: key } });
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
