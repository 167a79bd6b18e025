import { describe, expect, test } from '@jest/globals';
import { RandomStream, type Batch, type JsonValue, type Sampler } from '@updraft/core';
import fc from 'fast-check';
import { BatchCursor, batches, type BatchOptions, type DatasetBatch } from './batches.js';
import { subset } from './combinators.js';
import { DataError } from './errors.js';
import { fromArrays } from './in-memory.js';
import { inOrder, shuffled } from './samplers.js';

const numbers = (length: number) => fromArrays({ x: { values: Array.from({ length }, (_, index) => index) } });
const valuesOf = ({ columns }: Pick<DatasetBatch, 'columns'>): number[] =>
  Array.from(columns['x']?.data as Float32Array);

const optionsOf = fc.record({
  batchSize: fc.integer({ min: 1, max: 7 }),
  shuffle: fc.boolean(),
  dropLast: fc.boolean(),
  seed: fc.integer({ min: -5, max: 5 }),
});

describe('BatchCursor', () => {
  test('every epoch draws every example once, in another order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 7, max: 40 }), optionsOf, (length, options) => {
        const cursor = new BatchCursor(numbers(length), { ...options, epochs: 2 });
        const expected = options.dropLast
          ? Math.floor(length / options.batchSize)
          : Math.ceil(length / options.batchSize);
        expect(cursor.batchesPerEpoch).toBe(expected);
        for (let epoch = 0; epoch < 2; epoch++) {
          const seen: number[] = [];
          for (let batch = 0; batch < expected; batch++) {
            const drawn = cursor.next() as DatasetBatch;
            expect(drawn.ids).toEqual(valuesOf(drawn));
            seen.push(...valuesOf(drawn));
          }
          expect(new Set(seen).size).toBe(seen.length);
          expect(seen.length).toBe(options.dropLast ? expected * options.batchSize : length);
          if (!options.shuffle) expect(seen).toEqual(seen.map((_, index) => index));
        }
        expect(cursor.next()).toBeUndefined();
      }),
    );
  });

  test('shuffles by seed and epoch', () => {
    const epochs = (seed: number): string[] => {
      const cursor = new BatchCursor(numbers(50), { batchSize: 50, seed });
      return Array.from({ length: 3 }, () => valuesOf(cursor.next() as DatasetBatch).join());
    };
    expect(epochs(1)).toEqual(epochs(1));
    expect(new Set([...epochs(1), ...epochs(2)]).size).toBe(6);
  });

  test('continues from a stored position with the same batches', () => {
    fc.assert(
      fc.property(fc.integer({ min: 7, max: 30 }), optionsOf, fc.nat(20), (length, options, before) => {
        const noisy: BatchOptions = {
          ...options,
          transform: ({ x }, random) => {
            (x?.data as Float32Array)[0] = random.uniform();
          },
        };
        const whole = new BatchCursor(numbers(length), noisy);
        for (let batch = 0; batch < before; batch++) whole.next();
        const stored = JSON.parse(JSON.stringify(whole.state())) as unknown;
        const resumed = new BatchCursor(numbers(length), { ...noisy, seed: 99 });
        resumed.restore(stored);
        for (let batch = 0; batch < 10; batch++)
          expect(valuesOf(resumed.next() as DatasetBatch)).toEqual(valuesOf(whole.next() as DatasetBatch));
      }),
    );
  });

  test('reuses buffers after their release, and only then', () => {
    const cursor = new BatchCursor(numbers(12), { batchSize: 3, dropLast: false });
    const first = cursor.next() as DatasetBatch;
    const kept = valuesOf(first);
    const second = cursor.next() as DatasetBatch;
    expect(second.columns['x']?.data).not.toBe(first.columns['x']?.data);
    expect(valuesOf(first)).toEqual(kept);
    first.release();
    first.release();
    const third = cursor.next() as DatasetBatch;
    expect(third.columns['x']).toBe(first.columns['x']);
    const fourth = cursor.next() as DatasetBatch;
    expect(fourth.columns['x']).not.toBe(first.columns['x']);
  });

  test('allocates no buffer in a steady loop', () => {
    const cursor = new BatchCursor(numbers(10), { batchSize: 4, dropLast: false });
    const buffers = new Set<unknown>();
    for (let batch = 0; batch < 100; batch++) {
      const drawn = cursor.next() as DatasetBatch;
      buffers.add(drawn.columns['x']?.data);
      drawn.release();
    }
    // One for whole batches, one for the last of each epoch.
    expect(buffers.size).toBe(2);
  });

  test('keeps the ids of the dataset that a part was taken from', () => {
    const cursor = new BatchCursor(subset(numbers(10), [9, 8, 7]), { batchSize: 3, shuffle: false });
    expect(cursor.next()?.ids).toEqual([9, 8, 7]);
  });

  test('refuses sizes and positions that do not fit', () => {
    for (const batchSize of [0, 1.5, -1, 11, Number.NaN])
      expect(() => new BatchCursor(numbers(10), { batchSize })).toThrow(DataError);
    expect(() => new BatchCursor(numbers(10), { batchSize: 1, seed: 0.5 })).toThrow(DataError);
    expect(() => new BatchCursor(numbers(10), { batchSize: 1, epochs: -1 })).toThrow(DataError);
    expect(() => new BatchCursor(subset(numbers(1), []), { batchSize: 1, dropLast: false })).toThrow(DataError);
    const cursor = new BatchCursor(numbers(10), { batchSize: 4 });
    const good = { epoch: 1, cursor: 4, seed: 0, length: 10 };
    for (const bad of [null, 3, [], {}, { ...good, epoch: -1 }, { ...good, cursor: 11 }, { ...good, seed: 'x' }])
      expect(() => {
        cursor.restore(bad);
      }).toThrow(DataError);
    expect(() => {
      cursor.restore({ ...good, length: 11 });
    }).toThrow(/dataset of 11 examples/);
  });
});

describe('batches', () => {
  test.each([0, 1, 3])('gives what the cursor gives, reading %i ahead', async (prefetch) => {
    const options = { batchSize: 4, seed: 5, epochs: 3, dropLast: false };
    const cursor = new BatchCursor(numbers(18), options);
    let count = 0;
    for await (const batch of batches(numbers(18), { ...options, prefetch })) {
      expect(valuesOf(batch)).toEqual(valuesOf(cursor.next() as DatasetBatch));
      const before = valuesOf(batch);
      // Time for the next ones to be read: this one must stay as it is.
      await new Promise((resolve) => setTimeout(resolve, 3));
      expect(valuesOf(batch)).toEqual(before);
      count++;
    }
    expect(count).toBe(15);
    expect(cursor.next()).toBeUndefined();
  });

  test('reads ahead while the caller waits, and never more than asked for', async () => {
    let reads = 0;
    const source = numbers(40);
    const counting = {
      ...source,
      read: (...call: Parameters<typeof source.read>) => {
        reads++;
        source.read(...call);
      },
    };
    const iterator = batches(counting, { batchSize: 4, prefetch: 2 })[Symbol.asyncIterator]();
    await iterator.next();
    expect(reads).toBe(4);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(reads).toBe(12);
    await iterator.return?.();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(reads).toBe(12);
  });

  test('uses a ring of prefetch + 2 buffers', async () => {
    const buffers = new Set<unknown>();
    let count = 0;
    for await (const batch of batches(numbers(40), { batchSize: 4, prefetch: 2 })) {
      buffers.add(batch.columns['x']?.data);
      await new Promise((resolve) => setTimeout(resolve, 2));
      if (++count === 30) break;
    }
    expect(buffers.size).toBeLessThanOrEqual(4);
  });

  test('knows the position of the caller, not of what was read ahead', async () => {
    const options = { batchSize: 5, seed: 2, prefetch: 3 };
    const source = batches(numbers(23), options);
    const seen: number[][] = [];
    for await (const batch of source) {
      seen.push(valuesOf(batch));
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (seen.length === 6) break;
    }
    expect(source.state()).toEqual({ epoch: 1, cursor: 10, seed: 2, length: 23 });
    const again = batches(numbers(23), { ...options, prefetch: 0 });
    again.restore(source.state());
    const cursor = new BatchCursor(numbers(23), options);
    for (let batch = 0; batch < 6; batch++) cursor.next();
    for await (const batch of again) {
      expect(valuesOf(batch)).toEqual(valuesOf(cursor.next() as DatasetBatch));
      break;
    }
  });

  test('a failing source fails the loop, after the batches before it', async () => {
    const source = numbers(20);
    const failing = {
      ...source,
      read: (...call: Parameters<typeof source.read>) => {
        if (call[1] >= 8) throw new DataError('The disk is gone.');
        source.read(...call);
      },
    };
    const seen: number[] = [];
    await expect(async () => {
      for await (const batch of batches(failing, { batchSize: 4, shuffle: false, prefetch: 2 })) {
        seen.push(batch.size);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }).rejects.toThrow('The disk is gone.');
    expect(seen).toEqual([4, 4]);
  });
});

describe('samplers', () => {
  const draw = (sampler: Sampler, seed: number, step: number): Batch | undefined =>
    sampler.draw({ step, random: RandomStream.fromSeed(seed).split(String(step)) }) as Batch | undefined;
  const values = (batch: Batch | undefined): number[] => valuesOf(batch as Batch);

  test('take their order from the seed of the run unless they have their own', () => {
    const first = (runSeed: number, seed?: number): string =>
      values(
        draw(shuffled(numbers(30), { batchSize: 30, ...(seed === undefined ? {} : { seed }) }), runSeed, 1),
      ).join();
    expect(first(1)).toBe(first(1));
    expect(first(1)).not.toBe(first(2));
    expect(first(1, 7)).toBe(first(2, 7));
  });
  test('resume from their state, even from the one before the first draw', () => {
    const whole = shuffled(numbers(30), { batchSize: 7 });
    const begin = whole.state();
    const drawn = Array.from({ length: 9 }, (_, index) => values(draw(whole, 3, index + 1)));
    for (const [state, from] of [
      [begin, 0],
      [undefined, 6],
    ] as [JsonValue | undefined, number][]) {
      const source = shuffled(numbers(30), { batchSize: 7 });
      if (state === undefined) for (let step = 1; step <= from; step++) draw(source, 3, step);
      const resumed = shuffled(numbers(30), { batchSize: 7 });
      resumed.restore(JSON.parse(JSON.stringify(state ?? source.state())) as JsonValue);
      for (let step = from + 1; step <= 9; step++) expect(values(draw(resumed, 3, step))).toEqual(drawn[step - 1]);
    }
    expect(() => {
      whole.restore({ epoch: 1 });
    }).toThrow(DataError);
  });
  test('inOrder ends after one pass, with a smaller last batch', () => {
    const sampler = inOrder(numbers(5), 2);
    expect(sampler.batchesPerEpoch).toBe(3);
    expect([1, 2, 3].map((step) => values(draw(sampler, 0, step)))).toEqual([[0, 1], [2, 3], [4]]);
    expect(draw(sampler, 0, 4)).toBeUndefined();
    expect(sampler.columns).toEqual({ x: { dataType: 'float32', shape: ['batch'] } });
  });
});
