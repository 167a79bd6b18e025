import { DataError } from './errors.js';

/** Contents of an IDX file of unsigned bytes, the format of MNIST. */
export interface IdxFile {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

const UNSIGNED_BYTES = 0x08;
const MAX_AXES = 8;

/** Read an IDX file of unsigned bytes; its length must be exactly what its header says. @throws DataError */
export function parseIdx(bytes: Uint8Array, what = 'The IDX file'): IdxFile {
  if (bytes.length < 4) throw new DataError(`${what} has ${bytes.length} bytes; its magic number alone takes 4.`);
  const [zero1, zero2, type, axes] = bytes as unknown as readonly [number, number, number, number];
  if (zero1 !== 0 || zero2 !== 0) throw new DataError(`${what} does not start with two zero bytes: it is no IDX file.`, { hint: 'Unpack it first if it is compressed.' });
  if (type !== UNSIGNED_BYTES) throw new DataError(`${what} holds elements of type 0x${type.toString(16)}; only unsigned bytes (0x8) are read.`);
  if (axes < 1 || axes > MAX_AXES) throw new DataError(`${what} claims ${axes} axes; between 1 and ${MAX_AXES} are read.`);
  const header = 4 + 4 * axes;
  if (bytes.length < header) throw new DataError(`${what} ends inside its header.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const dims = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  const count = dims.reduce((a, b) => a * b, 1);
  if (count !== bytes.length - header)
    throw new DataError(`${what} claims [${dims.join(', ')}] = ${count} elements but holds ${bytes.length - header}.`, { hint: 'It is truncated or damaged: fetch it again.' });
  return { dims, data: bytes.subarray(header) };
}
