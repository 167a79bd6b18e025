import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DataError } from './errors.js';
import { gunzip, isGzip } from './gzip.js';
import { parseIdx } from './idx.js';
import { mnistFromIdx } from './mnist.js';
import { gather } from './dataset.js';

/** An IDX file written by hand: the format as LeCun describes it. */
function idx(code: number, dims: readonly number[], body: readonly number[]): Uint8Array {
  const sizes = dims.flatMap((dim) => [(dim >>> 24) & 255, (dim >>> 16) & 255, (dim >>> 8) & 255, dim & 255]);
  return Uint8Array.from([0, 0, code, dims.length, ...sizes, ...body]);
}

describe('parseIdx', () => {
  test('reads unsigned bytes without a copy', () => {
    const file = idx(0x08, [2, 3], [1, 2, 3, 4, 5, 255]);
    const parsed = parseIdx(file);
    expect(parsed.dims).toEqual([2, 3]);
    expect(Array.from(parsed.data as Uint8Array)).toEqual([1, 2, 3, 4, 5, 255]);
    expect(parsed.data.buffer).toBe(file.buffer);
  });
  test('reads the other types as big endian', () => {
    expect(parseIdx(idx(0x09, [2], [0xff, 1]))).toMatchObject({ dataType: 'int8', data: Int8Array.of(-1, 1) });
    expect(parseIdx(idx(0x0b, [2], [0x01, 0x02, 0xff, 0xfe])).data).toEqual(Int16Array.of(258, -2));
    expect(parseIdx(idx(0x0c, [1], [0, 1, 0, 0])).data).toEqual(Int32Array.of(65536));
    expect(parseIdx(idx(0x0d, [1], [0x3f, 0x80, 0, 0])).data).toEqual(Float32Array.of(1));
    expect(parseIdx(idx(0x0e, [1], [0xc0, 0x04, 0, 0, 0, 0, 0, 0])).data).toEqual(Float64Array.of(-2.5));
  });
  test.each([
    ['nothing', Uint8Array.of()],
    ['half a magic number', Uint8Array.of(0, 0)],
    ['another magic number', Uint8Array.of(1, 0, 8, 1, 0, 0, 0, 0)],
    ['an unknown type', idx(0x0a, [1], [0])],
    ['no axes', idx(0x08, [], [])],
    ['too many axes', idx(0x08, new Array<number>(9).fill(1), [0])],
    ['half a header', idx(0x08, [1, 1], []).subarray(0, 9)],
    ['too few elements', idx(0x08, [3], [1, 2])],
    ['too many elements', idx(0x08, [1], [1, 2])],
    ['a size that would fill the memory', idx(0x08, [0xffffffff, 0xffffffff, 0xffffffff], [1])],
    ['a huge float file', idx(0x0e, [0x7fffffff], [])],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0)],
  ])('refuses %s', (_, bytes) => {
    expect(() => parseIdx(bytes)).toThrow(DataError);
  });
  test('keeps to its budget', () => {
    expect(() => parseIdx(idx(0x08, [3], [1, 2, 3]), { maxElements: 2 })).toThrow(/at most 2/);
  });
  test('any bytes give a file that fits them, or a typed error', () => {
    const header = fc.tuple(fc.constantFrom(8, 9, 11, 12, 13, 14, 0, 255), fc.array(fc.nat(4), { maxLength: 4 }));
    const near = fc
      .tuple(header, fc.uint8Array({ maxLength: 300 }))
      .map(([[code, dims], body]) => idx(code, dims, [...body]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), near), (bytes) => {
        try {
          const { dims, data } = parseIdx(bytes);
          expect(dims.reduce((a, b) => a * b, 1)).toBe(data.length);
          expect(data.byteLength).toBe(bytes.length - 4 - 4 * dims.length);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('mnistFromIdx', () => {
  const images = idx(0x08, [2, 2, 3], [0, 51, 255, 0, 0, 0, 10, 20, 30, 40, 50, 60]);
  test('normalises pixels as they are read', () => {
    const dataset = mnistFromIdx(images, idx(0x08, [2], [3, 9]), { mean: 0.5, deviation: 0.25 });
    expect(dataset.columns['image']?.shape).toEqual([1, 2, 3]);
    const { image, label } = gather(dataset, [1, 0]);
    expect(Array.from(label?.data as BigInt64Array)).toEqual([9n, 3n]);
    // (51 / 255 - 0.5) / 0.25 = -1.2, black is -2 and white 2.
    const expected = [-2, -1.2, 2, -2, -2, -2];
    expected.forEach((value, at) => {
      expect((image?.data as Float32Array)[6 + at]).toBeCloseTo(value, 6);
    });
  });
  test.each([
    ['labels of another number', images, idx(0x08, [3], [1, 2, 3])],
    ['labels of two axes', images, idx(0x08, [2, 1], [1, 2])],
    ['a label beyond the classes', images, idx(0x08, [2], [1, 10])],
    ['images of one axis', idx(0x08, [2], [1, 2]), idx(0x08, [2], [1, 2])],
    ['labels of another type', images, idx(0x09, [2], [1, 2])],
  ])('refuses %s', (_, pictures, labels) => {
    expect(() => mnistFromIdx(pictures, labels)).toThrow(DataError);
  });
});

describe('gunzip', () => {
  const pack = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
    new Uint8Array(
      await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer(),
    );
  test('unpacks what gzip packed', async () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => (index * index) & 255);
    const packed = await pack(bytes);
    expect(isGzip(packed)).toBe(true);
    expect(await gunzip(packed)).toEqual(bytes);
  });
  test('stops at its budget and refuses damage', async () => {
    const packed = await pack(new Uint8Array(5_000_000));
    expect(packed.length).toBeLessThan(10_000);
    await expect(gunzip(packed, 1000)).rejects.toThrow(DataError);
    await expect(gunzip(packed.subarray(0, 2000))).rejects.toThrow(DataError);
    await expect(gunzip(Uint8Array.of(1, 2, 3))).rejects.toThrow(DataError);
  });
});
