import { elementCount, emptyTensor, type DataType, type TensorData } from '@updraft/graph';
import {
  headerLength,
  LENGTH_BYTES,
  METADATA_KEY,
  parseSafetensorsHeader,
  SAFETENSORS_TYPES,
  SafetensorsError,
  type SafetensorsEntry,
  type SafetensorsType,
  type StoredType,
} from './safetensors-header.js';

const TYPE_NAMES = new Map<DataType, SafetensorsType>(
  (Object.keys(SAFETENSORS_TYPES) as SafetensorsType[]).flatMap((name) => {
    const type: StoredType = SAFETENSORS_TYPES[name];
    return type.dataType === undefined ? [] : [[type.dataType, name] as const];
  }),
);

/** A tensor as the file holds it: for element types that host tensors lack (8-bit floats). */
export interface RawTensor {
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
  /** Little-endian elements, row-major. */
  readonly bytes: Uint8Array;
}

/** Contents of a safetensors file. */
export interface SafetensorsFile {
  readonly tensors: Readonly<Record<string, TensorData>>;
  readonly metadata: Readonly<Record<string, string>>;
}

const bytesOf = (tensor: TensorData): Uint8Array => {
  const view = tensor.data as Uint8Array;
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
};

function rawOf(name: string, value: TensorData | RawTensor): RawTensor {
  if ('dtype' in value) return value;
  const dtype = TYPE_NAMES.get(value.dataType);
  if (dtype === undefined)
    throw new SafetensorsError(`The tensor "${name}" of type ${value.dataType} cannot be stored as safetensors.`, {
      details: { field: name, value: value.dataType },
    });
  return { dtype, shape: value.dims, bytes: bytesOf(value) };
}

/** A safetensors file in pieces: the header, then views of the tensors' own memory, which must not change until written. */
export function safetensorsParts(
  tensors: Readonly<Record<string, TensorData | RawTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  // Without a prototype, a tensor may have any name, "__proto__" too.
  const header = Object.create(null) as Record<string, unknown>;
  if (Object.keys(metadata).length > 0) header[METADATA_KEY] = metadata;
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, value] of Object.entries(tensors)) {
    if (name === METADATA_KEY)
      throw new SafetensorsError(`A tensor cannot be named "${METADATA_KEY}".`, { details: { field: name } });
    const { dtype, shape, bytes } = rawOf(name, value);
    if (bytes.length !== elementCount(shape) * SAFETENSORS_TYPES[dtype].bytes)
      throw new SafetensorsError(`The tensor "${name}" ${dtype}[${shape.join(', ')}] holds ${bytes.length} bytes.`, {
        details: { field: name, value: bytes.length, limit: elementCount(shape) * SAFETENSORS_TYPES[dtype].bytes },
      });
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    parts.push(bytes);
    offset += bytes.length;
  }
  const encoder = new TextEncoder();
  const text = encoder.encode(JSON.stringify(header));
  // Spaces up to a multiple of 8 bytes: the data that follows is aligned.
  const head = new Uint8Array(LENGTH_BYTES + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - LENGTH_BYTES), true);
  head.set(text, LENGTH_BYTES);
  return [head, ...parts];
}

/** Write named tensors as safetensors, in the order given; offsets are contiguous, the header is padded to 8 bytes. */
export function encodeSafetensors(
  tensors: Readonly<Record<string, TensorData | RawTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const parts = safetensorsParts(tensors, metadata);
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/**
 * The tensors of a file as raw bytes (views of `file`), checked as {@link parseSafetensorsHeader} says.
 *
 * @throws SafetensorsError
 */
export function readRawSafetensors(file: Uint8Array): {
  readonly tensors: ReadonlyMap<string, RawTensor>;
  readonly metadata: Readonly<Record<string, string>>;
} {
  const start = LENGTH_BYTES + headerLength(file.subarray(0, LENGTH_BYTES), file.length);
  const { entries, metadata } = parseSafetensorsHeader(file.subarray(LENGTH_BYTES, start), file.length - start);
  const raw = ({ name, dtype, shape, begin, end }: SafetensorsEntry): [string, RawTensor] => [
    name,
    { dtype, shape, bytes: file.subarray(start + begin, start + end) },
  ];
  return { tensors: new Map(entries.map(raw)), metadata };
}

/**
 * The host tensor of an entry, its elements brought by `fill`.
 *
 * @throws SafetensorsError for 8-bit floats, and for booleans other than 0 and 1.
 */
export function tensorOfEntry(
  name: string,
  dtype: SafetensorsType,
  shape: readonly number[],
): { tensor: TensorData; bytes: Uint8Array } {
  const type: StoredType = SAFETENSORS_TYPES[dtype];
  if (type.dataType === undefined)
    throw new SafetensorsError(`The tensor "${name}" has the type ${dtype}, which host tensors lack.`, {
      hint: 'Read the file with readRawSafetensors.',
      details: { field: `${name}.dtype`, value: dtype },
    });
  const tensor = emptyTensor(type.dataType, shape);
  return { tensor, bytes: bytesOf(tensor) };
}

/** Booleans are 0 or 1: native code may do anything with other bytes. */
export function checkElements(name: string, { dataType, data }: TensorData): void {
  if (dataType !== 'bool') return;
  const at = (data as Uint8Array).findIndex((value) => value > 1);
  if (at >= 0)
    throw new SafetensorsError(`The boolean tensor "${name}" holds ${(data as Uint8Array)[at]} at element ${at}.`, {
      details: { field: name, value: (data as Uint8Array)[at], limit: 1 },
    });
}

/**
 * Read safetensors strictly: the header starts with `{`, is UTF-8 JSON without repeated keys and within its budget (1 MiB
 * and 1 KiB per tensor); offsets are contiguous, in order, and cover the file exactly; sizes equal shape × type; booleans
 * are 0 or 1. Tensors are copies.
 *
 * @throws SafetensorsError
 */
export function decodeSafetensors(file: Uint8Array): SafetensorsFile {
  const { tensors, metadata } = readRawSafetensors(file);
  return {
    tensors: Object.fromEntries(
      Array.from(tensors, ([name, { dtype, shape, bytes }]) => {
        const made = tensorOfEntry(name, dtype, shape);
        made.bytes.set(bytes);
        checkElements(name, made.tensor);
        return [name, made.tensor];
      }),
    ),
    metadata,
  };
}
