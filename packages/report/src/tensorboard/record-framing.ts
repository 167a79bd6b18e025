import crc32c from 'crc-32/crc32c.js';

/** Bytes that framing adds to a record: length (8), its checksum (4) and the checksum of the data (4). */
export const framingBytes = 16;

/**
 * CRC-32C, rotated and offset as event files want it, so that a checksum of data that holds checksums stays useful
 * (tensorflow/core/lib/hash/crc32c.h, `Mask`).
 */
export function maskedChecksum(bytes: Uint8Array): number {
  const checksum = crc32c.buf(bytes) >>> 0;
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
}

/** Frames one record: little-endian length, its masked checksum, the data, the masked checksum of the data. */
export function frameRecord(data: Uint8Array): Uint8Array {
  const framed = new Uint8Array(data.length + framingBytes);
  const view = new DataView(framed.buffer);
  view.setUint32(0, data.length, true);
  view.setUint32(4, Math.floor(data.length / 2 ** 32), true);
  view.setUint32(8, maskedChecksum(framed.subarray(0, 8)), true);
  framed.set(data, 12);
  view.setUint32(12 + data.length, maskedChecksum(data), true);
  return framed;
}

/**
 * The records at the start of a file, up to the first one that is torn or damaged; `end` is the offset behind the
 * last good one.
 */
export function readFramedRecords(bytes: Uint8Array): {
  readonly records: readonly Uint8Array[];
  readonly end: number;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: Uint8Array[] = [];
  let offset = 0;
  while (offset + framingBytes <= bytes.length) {
    const length = view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
    if (view.getUint32(offset + 8, true) !== maskedChecksum(bytes.subarray(offset, offset + 8))) break;
    if (offset + framingBytes + length > bytes.length) break;
    const data = bytes.subarray(offset + 12, offset + 12 + length);
    if (view.getUint32(offset + 12 + length, true) !== maskedChecksum(data)) break;
    records.push(data);
    offset += framingBytes + length;
  }
  return { records, end: offset };
}
