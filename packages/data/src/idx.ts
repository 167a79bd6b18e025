import { arrayOf, type TensorData } from '@updraft/graph';
import { DataError } from './errors.js';

/** Contents of an IDX file, the format of MNIST. Unsigned bytes are a view of the file; other types are copies. */
export type IdxFile = TensorData<'uint8' | 'int8' | 'int16' | 'int32' | 'float32' | 'float64'>;

export interface IdxOptions {
  /** How messages call the file. */
  readonly what?: string;
  /** Most elements to accept; default 2^28. */
  readonly maxElements?: number;
}

const TYPES = {
  0x08: { dataType: 'uint8', bytes: 1 },
  0x09: { dataType: 'int8', bytes: 1 },
  0x0b: { dataType: 'int16', bytes: 2 },
  0x0c: { dataType: 'int32', bytes: 4 },
  0x0d: { dataType: 'float32', bytes: 4 },
  0x0e: { dataType: 'float64', bytes: 8 },
} as const;

const MAX_AXES = 8;
const DEFAULT_MAX_ELEMENTS = 2 ** 28;

/**
 * Read an IDX file (big endian; LeCun's format: two zero bytes, element type, number of axes, sizes, elements). Nothing
 * is allocated before the length of the file was found to be exactly what its header says.
 *
 * @throws DataError for anything that is not such a file, or is larger than the budget.
 */
export function parseIdx(bytes: Uint8Array, options: IdxOptions | string = {}): IdxFile {
  const { what = 'The IDX file', maxElements = DEFAULT_MAX_ELEMENTS } =
    typeof options === 'string' ? { what: options } : options;
  if (bytes.length < 4) throw new DataError(`${what} has ${bytes.length} bytes; its magic number alone takes 4.`);
  const [zero1, zero2, code, axes] = bytes as unknown as readonly [number, number, number, number];
  if (zero1 === 0x1f && zero2 === 0x8b)
    throw new DataError(`${what} is compressed with gzip.`, { hint: 'Unpack it first: await gunzip(bytes).' });
  if (zero1 !== 0 || zero2 !== 0)
    throw new DataError(`${what} does not start with two zero bytes: it is no IDX file.`, {
      hint: 'Unpack it first if it is compressed.',
    });
  const type = (TYPES as Readonly<Record<number, (typeof TYPES)[keyof typeof TYPES]>>)[code];
  if (type === undefined)
    throw new DataError(`${what} holds elements of the unknown type 0x${code.toString(16)}.`, {
      hint: 'Known are 0x8 (unsigned bytes), 0x9, 0xb, 0xc, 0xd and 0xe.',
    });
  if (axes < 1 || axes > MAX_AXES)
    throw new DataError(`${what} claims ${axes} axes; between 1 and ${MAX_AXES} are read.`);
  const header = 4 + 4 * axes;
  if (bytes.length < header)
    throw new DataError(`${what} ends inside its header: ${bytes.length} of ${header} bytes are there.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dims = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  const count = dims.reduce((a, b) => a * b, 1);
  if (count * type.bytes !== bytes.length - header)
    throw new DataError(
      `${what} claims [${dims.join(', ')}] = ${count} elements of ${type.bytes} bytes, but holds ${bytes.length - header} bytes.`,
      { hint: 'It is truncated or damaged: fetch it again.', details: { dims } },
    );
  if (count > maxElements)
    throw new DataError(`${what} holds ${count} elements; at most ${maxElements} are read.`, {
      hint: 'Raise maxElements if the file is meant to be that large.',
    });
  return { dataType: type.dataType, dims, data: elements(bytes, view, header, count, type) };
}

function elements(
  bytes: Uint8Array,
  view: DataView,
  header: number,
  count: number,
  { dataType, bytes: width }: (typeof TYPES)[keyof typeof TYPES],
): IdxFile['data'] {
  if (dataType === 'uint8') return bytes.subarray(header);
  const data = new (arrayOf(dataType))(count);
  const read = {
    int8: (at: number) => view.getInt8(at),
    int16: (at: number) => view.getInt16(at),
    int32: (at: number) => view.getInt32(at),
    float32: (at: number) => view.getFloat32(at),
    float64: (at: number) => view.getFloat64(at),
  }[dataType];
  for (let index = 0; index < count; index++) data[index] = read(header + index * width);
  return data;
}
