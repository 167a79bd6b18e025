import { describe, expect, test } from '@jest/globals';
import { emptyTensor, tensor, type DataType, type TensorData } from '@updraft/graph';
import fc from 'fast-check';
import { decodeSafetensors, encodeSafetensors, SafetensorsError } from './safetensors.js';

const TYPES = ['float32', 'float64', 'float16', 'bfloat16', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'bool'] as const;

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
    const { tensors, metadata } = decodeSafetensors(file('{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', data));
    expect(tensors['a']).toEqual(tensor([1, -2]));
    expect(metadata).toEqual({ format: 'pt' });
  });

  test('every type and shape comes back bit for bit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ type: fc.constantFrom(...TYPES), dims: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }) }), { maxLength: 6 }),
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
            expect(new Uint8Array(b.buffer, b.byteOffset, b.byteLength)).toEqual(new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
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
    ['a name twice', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), /twice/],
    ['a hole', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', new Uint8Array(2)), /without gaps/],
    ['bytes left over', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(2)), /beyond the tensors/],
    ['beyond the end', file('{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}', new Uint8Array(2)), /has 2 bytes of data/],
    ['a size that does not fit', file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', new Uint8Array(4)), /takes 8 bytes/],
    ['an unknown type', file('{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1)), /dtype "F7"/],
    ['a negative size', file('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}'), /shape/],
    ['an overflowing size', file('{"a":{"dtype":"U8","shape":[9007199254740991,9],"data_offsets":[0,0]}}'), /overflows/],
    ['metadata that is no text', file('{"__metadata__":{"a":1}}'), /map of strings/],
    ['an unknown field', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}'), /unknown field/],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => decodeSafetensors(bytes)).toThrow(SafetensorsError);
    expect(() => decodeSafetensors(bytes)).toThrow(message);
  });

  test('damaged files give a typed error or the same tensors, never anything else', () => {
    const good = encodeSafetensors({ a: tensor([[1, 2], [3, 4]]), b: tensor([5], 'int64') });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat(good.length), (changes, length) => {
        const bytes = good.slice(0, length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          for (const value of Object.values(decodeSafetensors(bytes).tensors))
            expect((value.data as Uint8Array).byteLength).toBeLessThanOrEqual(good.length);
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
