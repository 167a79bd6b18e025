import { Buffer } from 'node:buffer';
import { inflateSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { ReportError } from '../errors.js';
import { encodeImage } from './encode-image.js';

/** The bytes of a PNG's rows, each behind its filter type, read with Node's own zlib. */
function pixelRows(base64: string): { header: number[]; rows: number[] } {
  const file = Buffer.from(base64, 'base64');
  const data: Buffer[] = [];
  let header: number[] = [];
  for (let offset = 8; offset < file.length;) {
    const length = file.readUInt32BE(offset);
    const type = file.toString('latin1', offset + 4, offset + 8);
    const content = file.subarray(offset + 8, offset + 8 + length);
    if (type === 'IHDR') header = [content.readUInt32BE(0), content.readUInt32BE(4), content[8] ?? 0, content[9] ?? 0];
    if (type === 'IDAT') data.push(content);
    offset += length + 12;
  }
  return { header, rows: [...inflateSync(Buffer.concat(data))] };
}

test('grey values are scaled from their range and clamped', () => {
  const { png } = encodeImage({ data: new Float32Array([-1, 0, 0.5, 3]), width: 2, height: 2, range: [-1, 1] });
  // 8 bits, colour type 0; no filter: each row starts with 0. The middle of -1 … 1 is 127.5, rounded up.
  expect(pixelRows(png)).toEqual({ header: [2, 2, 8, 0], rows: [0, 0, 128, 0, 191, 255] });
});

test('planes of channels become pixels', () => {
  const planes = new Uint8Array([1, 2, 10, 20, 100, 200]);
  expect(pixelRows(encodeImage({ data: planes, width: 2, height: 1, channels: 3 }).png)).toEqual({
    header: [2, 1, 8, 2],
    rows: [0, 1, 10, 100, 2, 20, 200],
  });
  expect(pixelRows(encodeImage({ data: planes, width: 2, height: 1, channels: 3, layout: 'hwc' }).png).rows).toEqual([
    0, 1, 2, 10, 20, 100, 200,
  ]);
});

test('sizes that do not fit are named', () => {
  expect(() => encodeImage({ data: [1, 2, 3], width: 2, height: 2 })).toThrow(ReportError);
  expect(() => encodeImage({ data: [], width: 0, height: 2 })).toThrow(/0 × 2 pixels/u);
});
