import { describe, expect, test } from '@jest/globals';
import { toNumbers } from '@updraft/graph';
import fc from 'fast-check';
import { CoreError } from '../errors.js';
import { readTensor, tensorJson } from './values.js';

describe('readTensor', () => {
  test('nesting is the shape', () => {
    const read = (json: unknown) => readTensor(json, 'x').value;
    expect(
      read([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ).toMatchObject({ dataType: 'float32', dims: [2, 3] });
    expect(read(7)).toMatchObject({ dataType: 'float32', dims: [] });
    expect(read([])).toMatchObject({ dims: [0] });
    expect(read([[], []])).toMatchObject({ dims: [2, 0] });
    expect(read([true, false])).toMatchObject({ dataType: 'bool', dims: [2] });
    expect(read({ dtype: 'int64', data: [1, 2], shape: [2, 1] })).toEqual({
      dataType: 'int64',
      dims: [2, 1],
      data: BigInt64Array.of(1n, 2n),
    });
    expect(read({ data: [], shape: [0, 3] })).toMatchObject({ dims: [0, 3] });
    expect(toNumbers(readTensor(['inf', '-inf', 'nan', 1], 'x', { allowNonFinite: true }).value)).toEqual([
      Infinity,
      -Infinity,
      NaN,
      1,
    ]);
  });

  test.each<[unknown, RegExp]>([
    [[1, 'nan'], /"x\.1" expected a finite number, got "nan"\. Set "allowNonFinite"/],
    [[[1, 2], [3]], /"x\.1" expected the shape \[2\] of the first row, got \[1\]/],
    [[1, null], /"x\.1" expected a number, "inf", "-inf" or "nan", got null/],
    [[1e40], /"x\.0" expected a number in the range of float32, got 1e\+40/],
    [{ dtype: 'int64', data: [1.5] }, /"x\.0" expected a whole number that int64 holds, got 1\.5/],
    [{ dtype: 'uint8', data: [[3, 256]] }, /"x\.0\.1" expected a whole number that uint8 holds, got 256/],
    [{ dtype: 'int64', data: [2 ** 60] }, /whole number that int64 holds/],
    [{ dtype: 'float', data: [1] }, /"x\.dtype" expected one of float32, float64/],
    [{ data: [1, 2, 3], shape: [2] }, /expected 2 elements for the shape \[2\], got 3/],
    [{ data: [1], shape: [-1] }, /"x\.shape" expected a list of sizes/],
    [{ data: [1], dims: [1] }, /expected nested lists of numbers, or \{ "dtype"/],
    [[1, true], /"x\.1" expected a number \(float32\), got true/],
    [{ dtype: 'bool', data: [2] }, /expected true or false, got 2/],
  ])('%j is refused with its path', (json, message) => {
    expect(() => readTensor(json, 'x')).toThrow(message);
    expect(() => readTensor(json, 'x')).toThrow(CoreError);
  });
});

describe('tensorJson', () => {
  test('every float32 and float64 reads back as the same bits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true }), { minLength: 1 }),
        fc.array(fc.double({ noNaN: true }), { minLength: 1 }),
        (singles, doubles) => {
          const back = (dtype: string, data: unknown): unknown =>
            readTensor(
              JSON.parse(JSON.stringify({ dtype, data: tensorJson(readTensor({ dtype, data }, 'x', all).value) })),
              'x',
              all,
            ).value.data;
          // JSON has no negative zero.
          const plain = (values: number[]) => values.map((value) => numberText(value === 0 ? 0 : value));
          expect(back('float32', plain(singles))).toEqual(
            Float32Array.from(singles, (value) => (value === 0 ? 0 : value)),
          );
          expect(back('float64', plain(doubles))).toEqual(
            Float64Array.from(doubles, (value) => (value === 0 ? 0 : value)),
          );
        },
      ),
    );
  });

  test('float32 is written as short as a person would', () => {
    expect(
      tensorJson(
        readTensor(
          [
            [0.1, 1e-8],
            [123456.7, 1 / 3],
          ],
          'x',
        ).value,
      ),
    ).toEqual([
      [0.1, 1e-8],
      [123456.7, 0.33333334],
    ]);
    expect(tensorJson({ dataType: 'int64', dims: [2], data: BigInt64Array.of(5n, 2n ** 60n) })).toEqual([
      5,
      '1152921504606846976',
    ]);
    expect(tensorJson({ dataType: 'float16', dims: [], data: Uint16Array.of(0x3555) })).toBe(0.33325195);
    expect(tensorJson({ dataType: 'bool', dims: [2], data: Uint8Array.of(1, 0) })).toEqual([true, false]);
  });
});

const all = { allowNonFinite: true };
const numberText = (value: number): number | string =>
  value === Infinity ? 'inf' : value === -Infinity ? '-inf' : value;
