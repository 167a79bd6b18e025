import { describe, expect, test } from '@jest/globals';
import type { TensorData } from '@updraft/graph';
import fc from 'fast-check';
import { concatenate, filter, map, reordered, selectColumns, skip, split, subset, take } from './combinators.js';
import { batchBuffers, batchColumns, exampleId, gather, type Dataset } from './dataset.js';
import { DataError } from './errors.js';
import { fromArrays, fromTensors } from './in-memory.js';

/** `x` is [i, 10 i], `label` i modulo 3. */
const counted = (length: number): Dataset =>
  fromArrays({
    x: { values: Array.from({ length }, (_, index) => [index, 10 * index]) },
    label: { values: Array.from({ length }, (_, index) => index % 3), dataType: 'int64' },
  });
const all = (dataset: Dataset): number[] => Array.from({ length: dataset.length }, (_, index) => index);
const firsts = (dataset: Dataset): number[] => {
  const x = gather(dataset, all(dataset))['x']?.data as Float32Array;
  return all(dataset).map((row) => x[2 * row] as number);
};
const ids = (dataset: Dataset): (number | string)[] => all(dataset).map((index) => exampleId(dataset, index));

describe('gather', () => {
  const dataset = counted(6);
  test('copies rows in the order asked for', () => {
    const { x, label } = gather(dataset, [4, 0, 4]);
    expect(x).toEqual({ dataType: 'float32', dims: [3, 2], data: Float32Array.of(4, 40, 0, 0, 4, 40) });
    expect(label).toEqual({ dataType: 'int64', dims: [3], data: BigInt64Array.of(1n, 0n, 1n) });
  });
  test('writes into given buffers, and into those columns only', () => {
    const x = batchBuffers(dataset, 1)['x'] as TensorData;
    expect(gather(dataset, [5], { x })).toEqual({ x: { ...x, data: Float32Array.of(5, 50) } });
  });
  test('refuses positions and buffers that do not fit', () => {
    for (const index of [-1, 6, 1.5, Number.NaN]) expect(() => gather(dataset, [index])).toThrow(DataError);
    expect(() => gather(dataset, [0, 1], batchBuffers(dataset, 1))).toThrow(DataError);
    expect(() => gather(dataset, [0], { y: batchBuffers(dataset, 1)['x'] as TensorData })).toThrow(/It has: x, label/);
    const short: TensorData = { dataType: 'float32', dims: [1, 2], data: new Float32Array(1) };
    expect(() => gather(dataset, [0], { x: short })).toThrow(DataError);
    const wrong: TensorData = { dataType: 'int32', dims: [1, 2], data: new Int32Array(2) };
    expect(() => gather(dataset, [0], { x: wrong })).toThrow(DataError);
  });
  test('columns of a batch have a symbolic first axis', () => {
    expect(batchColumns(dataset)).toEqual({
      x: { dataType: 'float32', shape: ['batch', 2] },
      label: { dataType: 'int64', shape: ['batch'] },
    });
  });
  test('copies long rows and narrow types as well', () => {
    const data = Uint8Array.from({ length: 3 * 100 }, (_, index) => index % 251);
    const wide = fromTensors({ bytes: { dataType: 'uint8', dims: [3, 100], data } });
    expect(gather(wide, [2])['bytes']?.data).toEqual(data.slice(200));
  });
});

describe('columns in memory', () => {
  test('must agree with each other and with their shapes', () => {
    expect(() => fromTensors({})).toThrow(DataError);
    expect(() => fromArrays({ a: { values: [1, 2] }, b: { values: [1] } })).toThrow(DataError);
    expect(() => fromArrays({ a: { values: [[1, 2], [3]] } })).toThrow(/row 1 1/);
    expect(() => fromArrays({ a: { values: [[1], 2] } })).toThrow(DataError);
    expect(() => fromArrays({ a: { values: [1.5], dataType: 'int64' } })).toThrow(/holds 1.5/);
    for (const [dataType, value] of [
      ['int8', 128],
      ['uint8', -1],
      ['bool', 2],
      ['int64', 2 ** 60],
      ['uint64', -1],
      ['int32', Number.NaN],
    ] as const)
      expect(() => fromArrays({ a: { values: [0, value], dataType } })).toThrow(DataError);
    const data = new Float32Array(3);
    expect(() => fromTensors({ a: { dataType: 'float32', dims: [2, 2], data } })).toThrow(DataError);
    expect(() => fromTensors({ a: { dataType: 'string', dims: [1], data: ['x'] } })).toThrow(DataError);
    expect(() => fromTensors({ a: { dataType: 'float32', dims: [], data: new Float32Array(1) } })).toThrow(DataError);
  });
});

describe('combinators', () => {
  test('take, skip, subset and reordered keep ids', () => {
    const dataset = counted(5);
    expect(firsts(take(dataset, 2))).toEqual([0, 1]);
    expect(firsts(take(dataset, 9))).toEqual([0, 1, 2, 3, 4]);
    expect(firsts(skip(dataset, 3))).toEqual([3, 4]);
    const chosen = subset(skip(dataset, 1), [3, 0]);
    expect(firsts(chosen)).toEqual([4, 1]);
    expect(ids(chosen)).toEqual([4, 1]);
    const mixed = reordered(dataset, 1);
    expect(ids(mixed)).toEqual(firsts(mixed));
    expect(ids(mixed)).not.toEqual([0, 1, 2, 3, 4]);
    expect(() => subset(dataset, [5])).toThrow(DataError);
    expect(() => subset(dataset, [0.5])).toThrow(DataError);
  });

  test('parts of a split are disjoint, complete, and as large as asked for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat(100), { nil: undefined }),
        fc.boolean(),
        (length, weights, seed, stratified) => {
          const total = weights.reduce((a, b) => a + b, 0);
          const fractions = weights.map((weight) => weight / total);
          const parts = split(counted(length), fractions, {
            ...(seed === undefined ? {} : { seed }),
            ...(stratified ? { stratifyBy: 'label' } : {}),
          });
          expect(parts.flatMap(ids).sort((a, b) => Number(a) - Number(b))).toEqual(all(counted(length)));
          parts.forEach((part, at) => {
            const exact = (fractions[at] as number) * length;
            expect(Math.abs(part.length - exact)).toBeLessThan(stratified ? 3 : 1 + 1e-6);
          });
        },
      ),
    );
  });
  test('a stratified split keeps the shares of classes, a plain one the order', () => {
    const [train, rest] = split(counted(30), [0.8, 0.2], { seed: 3, stratifyBy: 'label' }) as [Dataset, Dataset];
    const histogram = [0, 0, 0];
    for (const first of firsts(train)) histogram[first % 3] = (histogram[first % 3] as number) + 1;
    expect(histogram).toEqual([8, 8, 8]);
    expect(rest.length).toBe(6);
    expect(split(counted(10), [0.7, 0.2, 0.1]).map(firsts)).toEqual([[0, 1, 2, 3, 4, 5, 6], [7, 8], [9]]);
  });
  test('a split refuses shares and columns that make no sense', () => {
    expect(() => split(counted(3), [0.5, 0.4])).toThrow(DataError);
    expect(() => split(counted(3), [1.5, -0.5])).toThrow(DataError);
    expect(() => split(counted(3), [0.5, 0.5], { stratifyBy: 'x' })).toThrow(/one number per example/);
    expect(() => split(counted(3), [0.5, 0.5], { stratifyBy: 'y' })).toThrow(/no column "y"/);
  });
  test('concatenate', () => {
    const whole = concatenate(counted(2), take(counted(1), 0), counted(3));
    expect(firsts(whole)).toEqual([0, 1, 0, 1, 2]);
    expect(ids(whole)).toEqual([0, 1, 2, 3, 4]);
    expect(() => concatenate()).toThrow(DataError);
    expect(() => concatenate(counted(1), selectColumns(counted(1), { x: 'x' }))).toThrow(DataError);
  });
  test('filter sees each example, and keeps ids', () => {
    const even = filter(counted(7), ({ x }) => ((x?.data as Float32Array)[0] as number) % 2 === 0);
    expect(firsts(even)).toEqual([0, 2, 4, 6]);
    expect(ids(even)).toEqual([0, 2, 4, 6]);
  });
  test('map computes a column as it is read', () => {
    const sums = map(counted(4), {
      column: 'x',
      spec: { dataType: 'float32', shape: [] },
      apply: (source, target, offset) => {
        target[offset] = (source[0] as number) + (source[1] as number);
      },
    });
    expect(gather(sums, [3, 1])).toEqual({
      x: { dataType: 'float32', dims: [2], data: Float32Array.of(33, 11) },
      label: { dataType: 'int64', dims: [2], data: BigInt64Array.of(0n, 1n) },
    });
    expect(() => map(sums, { column: 'y', apply: () => undefined })).toThrow(DataError);
  });
  test('selectColumns renames', () => {
    const renamed = selectColumns(counted(3), { class: 'label' });
    expect(Object.keys(renamed.columns)).toEqual(['class']);
    expect(gather(renamed, [2])['class']?.data).toEqual(BigInt64Array.of(2n));
    expect(() => selectColumns(renamed, { x: 'x' })).toThrow(DataError);
  });
});
