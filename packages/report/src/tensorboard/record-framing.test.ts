import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { frameRecord, maskedChecksum, readFramedRecords } from './record-framing.js';

/** CRC-32C test vectors of RFC 3720, appendix B.4. */
const vectors: [string, Uint8Array, number][] = [
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 times 0xff', new Uint8Array(32).fill(255), 0x62a8ab43],
  ['ascending', Uint8Array.from({ length: 32 }, (_value, index) => index), 0x46dd794e],
  ['descending', Uint8Array.from({ length: 32 }, (_value, index) => 31 - index), 0x113fdb5c],
];

test.each(vectors)('checksum of %s', (_name, bytes, crc) => {
  // The mask is undone as the format's own definition says: subtract the constant, rotate back.
  const rotated = (maskedChecksum(bytes) - 0xa282ead8) >>> 0;
  expect(((rotated >>> 17) | (rotated << 15)) >>> 0).toBe(crc);
});

describe('reading', () => {
  const recordsArbitrary = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 6 });

  test('gives back what was framed', () => {
    fc.assert(
      fc.property(recordsArbitrary, (records) => {
        const bytes = Buffer.concat(records.map(frameRecord));
        const read = readFramedRecords(bytes);
        expect(read.records.map((record) => [...record])).toEqual(records.map((record) => [...record]));
        expect(read.end).toBe(bytes.length);
      }),
    );
  });

  test('stops at a torn end, whatever the place of the cut', () => {
    fc.assert(
      fc.property(recordsArbitrary, fc.nat(), (records, cut) => {
        const frames = records.map(frameRecord);
        const bytes = Buffer.concat(frames);
        const length = bytes.length === 0 ? 0 : cut % bytes.length;
        let whole = 0;
        let end = 0;
        while (whole < frames.length && end + (frames[whole]?.length ?? 0) <= length) {
          end += frames[whole]?.length ?? 0;
          whole += 1;
        }
        const read = readFramedRecords(bytes.subarray(0, length));
        expect(read.records).toHaveLength(whole);
        expect(read.end).toBe(end);
      }),
    );
  });

  test('a flipped bit ends the reading before the damaged record', () => {
    const first = frameRecord(new Uint8Array([1, 2, 3]));
    const bytes = Buffer.concat([first, frameRecord(new Uint8Array([4, 5, 6]))]);
    for (let index = first.length; index < bytes.length; index += 1) {
      const damaged = Buffer.from(bytes);
      damaged[index] = (damaged[index] ?? 0) ^ 4;
      expect(readFramedRecords(damaged)).toEqual({ records: [Buffer.from([1, 2, 3])], end: first.length });
    }
  });
});
