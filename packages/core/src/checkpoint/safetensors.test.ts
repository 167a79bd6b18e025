import { describe, expect, test } from '@jest/globals';
import { emptyTensor, tensor, type DataType, type TensorData } from '@updraft/graph';
import fc from 'fast-check';
import { SafetensorsError } from './safetensors-header.js';
import { decodeSafetensors, encodeSafetensors, readRawSafetensors } from './safetensors.js';

const TYPES = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
] as const;

/** A file with the given header text and data. */
function file(header: string, data = new Uint8Array()): Uint8Array {
  const head = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + head.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
  bytes.set(head, 8);
  bytes.set(data, 8 + head.length);
  return bytes;
}

describe('safetensors', () => {
  test('a file from the specification reads', () => {
    const data = new Uint8Array(Float32Array.of(1, -2).buffer);
    const { tensors, metadata } = decodeSafetensors(
      file('{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', data),
    );
    expect(tensors['a']).toEqual(tensor([1, -2]));
    expect(metadata).toEqual({ format: 'pt' });
  });

  test('every type and shape comes back bit for bit', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            type: fc.constantFrom(...TYPES),
            dims: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
          }),
          { maxLength: 6 },
        ),
        fc.integer(),
        (specs, seed) => {
          const tensors: Record<string, TensorData> = {};
          specs.forEach(({ type, dims }, index) => {
            const value = emptyTensor<DataType>(type, dims);
            const view = value.data as Uint8Array;
            const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
            bytes.forEach((_, at) => {
              bytes[at] = type === 'bool' ? at % 2 : (seed * 31 + at * 7 + index) & 255;
            });
            tensors[`t${index}`] = value;
          });
          const back = decodeSafetensors(encodeSafetensors(tensors)).tensors;
          expect(Object.keys(back)).toEqual(Object.keys(tensors));
          for (const [name, value] of Object.entries(tensors)) {
            expect(back[name]?.dims).toEqual(value.dims);
            const [a, b] = [value.data as Uint8Array, back[name]?.data as Uint8Array];
            expect(new Uint8Array(b.buffer, b.byteOffset, b.byteLength)).toEqual(
              new Uint8Array(a.buffer, a.byteOffset, a.byteLength),
            );
          }
        },
      ),
    );
  });

  test.each([
    ['too short', new Uint8Array(5), /header length/],
    ['header longer than the file', file('{}').subarray(0, 9), /claims 2 bytes/],
    ['no object', file('[]'), /does not start/],
    ['no JSON', file('{"a"'), /not UTF-8 JSON/],
    [
      'a name twice',
      file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
      /twice/,
    ],
    ['a hole', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', new Uint8Array(2)), /without gaps/],
    [
      'bytes left over',
      file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(2)),
      /beyond the tensors/,
    ],
    [
      'beyond the end',
      file('{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}', new Uint8Array(2)),
      /has 2 bytes of data/,
    ],
    [
      'a size that does not fit',
      file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', new Uint8Array(4)),
      /takes 8 bytes/,
    ],
    ['an unknown type', file('{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1)), /dtype "F7"/],
    ['a negative size', file('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}'), /shape/],
    [
      'an overflowing size',
      file('{"a":{"dtype":"U8","shape":[9007199254740991,9],"data_offsets":[0,0]}}'),
      /overflows/,
    ],
    ['metadata that is no text', file('{"__metadata__":{"a":1}}'), /map of strings/],
    [
      'an overflow behind a size of 0',
      file('{"a":{"dtype":"U8","shape":[0,9007199254740991,9],"data_offsets":[0,0]}}'),
      /overflows/,
    ],
    [
      'a boolean that is 2',
      file('{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}', Uint8Array.of(1, 2)),
      /holds 2 at element 1/,
    ],
    ['a byte order mark', file('\ufeff{}'), /does not start/],
    [
      'an object that inherits a type',
      file('{"a":{"dtype":"constructor","shape":[0],"data_offsets":[0,0]}}'),
      /not supported/,
    ],
    ['a header beyond its budget', file(`{${' '.repeat(2 ** 20)}}`), /limit is 1048576/],
    [
      'a huge header length',
      Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 0x7b),
      /claims 18446744073709551615 bytes/,
    ],
    ['an unknown field', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}'), /unknown field/],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => decodeSafetensors(bytes)).toThrow(SafetensorsError);
    expect(() => decodeSafetensors(bytes)).toThrow(message);
  });

  test('many tensors may have a long header, and any name', () => {
    const names = [
      ...Array.from({ length: 3000 }, (_, index) => `${index}-${'long '.repeat(100)}`),
      '__proto__',
      'constructor',
      '',
      '"\\',
      '😀',
    ];
    const back = decodeSafetensors(
      encodeSafetensors(Object.fromEntries(names.map((name, index) => [name, tensor([index])]))),
    ).tensors;
    expect(Object.keys(back)).toEqual(names);
    expect(names.every((name, index) => back[name]?.data[0] === index)).toBe(true);
  });

  test('8-bit floats are kept as raw bytes and are refused as host tensors', () => {
    const raw = { dtype: 'F8_E4M3', shape: [3], bytes: Uint8Array.of(0x38, 0xb8, 0x7e) } as const;
    const bytes = encodeSafetensors({ a: raw, b: tensor([1]) }, { format: 'pt' });
    const read = readRawSafetensors(bytes);
    expect(read.tensors.get('a')).toEqual(raw);
    expect(read.metadata).toEqual({ format: 'pt' });
    expect(() => decodeSafetensors(bytes)).toThrow(/F8_E4M3.*readRawSafetensors/);
  });

  test('errors carry the field, the value and the limit', () => {
    const bytes = file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', new Uint8Array(4));
    expect(() => decodeSafetensors(bytes)).toThrow(
      expect.objectContaining({ details: { field: 'a.data_offsets', value: 4, limit: 8 } }),
    );
  });

  test('damaged files give a typed error or the same tensors, never anything else', () => {
    const good = encodeSafetensors({
      a: tensor([
        [1, 2],
        [3, 4],
      ]),
      b: tensor([5], 'int64'),
    });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(good.length),
        (changes, length) => {
          const bytes = good.slice(0, length);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          try {
            for (const value of Object.values(decodeSafetensors(bytes).tensors))
              expect((value.data as Uint8Array).byteLength).toBeLessThanOrEqual(good.length);
          } catch (error) {
            expect(error).toBeInstanceOf(SafetensorsError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
