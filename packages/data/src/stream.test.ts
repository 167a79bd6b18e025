import { describe, expect, test } from '@jest/globals';
import { RandomStream, type Batch, type JsonValue, type Sampler } from '@updraft/core';
import fc from 'fast-check';
import type { ColumnSpec } from './dataset.js';
import { gather } from './dataset.js';
import { DataError } from './errors.js';
import { collect, streamed, type StreamExample } from './stream.js';

const columns: Record<string, ColumnSpec> = {
  x: { dataType: 'float32', shape: [2] },
  label: { dataType: 'int64', shape: [] },
};
function* examples(count: number): Generator<StreamExample> {
  for (let index = 0; index < count; index++) yield { x: [index, -index], label: index };
}
async function* slowly(count: number): AsyncGenerator<StreamExample> {
  for (const example of examples(count)) yield await Promise.resolve(example);
}
const labels = (batch: Batch | undefined): number[] =>
  Array.from(batch?.columns['label']?.data as BigInt64Array, Number);
const draw = async (sampler: Sampler): Promise<Batch | undefined> =>
  sampler.draw({ step: 1, random: RandomStream.fromSeed(0) });

describe('streams', () => {
  test('are read into memory', async () => {
    const dataset = await collect(slowly(4), columns);
    expect(gather(dataset, [3, 1])).toEqual({
      x: { dataType: 'float32', dims: [2, 2], data: Float32Array.of(3, -3, 1, -1) },
      label: { dataType: 'int64', dims: [2], data: BigInt64Array.of(3n, 1n) },
    });
    await expect(collect(examples(3), columns, { maxExamples: 2 })).rejects.toThrow(DataError);
    await expect(collect([], columns)).rejects.toThrow(DataError);
    await expect(collect([{ x: [1], label: 1 }], columns)).rejects.toThrow(
      /Example 0 of the stream has 1 elements in column "x"/,
    );
    await expect(collect([{ x: [1, 2] }], columns)).rejects.toThrow(/no elements in column "label"/);
  });

  test('give every example once an epoch, whatever the buffer', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 5, max: 30 }),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(12),
        fc.nat(9),
        async (count, batchSize, shuffleBuffer, seed) => {
          const sampler = streamed(() => slowly(count), {
            columns,
            batchSize,
            shuffleBuffer,
            seed,
            dropLast: false,
            epochs: 2,
          });
          for (let epoch = 0; epoch < 2; epoch++) {
            const seen: number[] = [];
            for (let batch = 0; batch < Math.ceil(count / batchSize); batch++)
              seen.push(...labels(await draw(sampler)));
            if (shuffleBuffer === 0) expect(seen).toEqual(Array.from({ length: count }, (_, index) => index));
            expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
          }
          expect(await draw(sampler)).toBeUndefined();
        },
      ),
      { numRuns: 40 },
    );
  });

  test('resume from a stored position', async () => {
    const make = (): Sampler => streamed(() => examples(23), { columns, batchSize: 4, shuffleBuffer: 6, seed: 3 });
    const whole = make();
    const drawn: number[][] = [];
    const states: JsonValue[] = [whole.state()];
    for (let batch = 0; batch < 14; batch++) {
      drawn.push(labels(await draw(whole)));
      states.push(JSON.parse(JSON.stringify(whole.state())) as JsonValue);
    }
    for (let at = 0; at < 12; at++) {
      const resumed = make();
      resumed.restore(states[at] as JsonValue);
      expect(labels(await draw(resumed))).toEqual(drawn[at]);
      expect(labels(await draw(resumed))).toEqual(drawn[at + 1]);
    }
    // 23 examples make five batches of four an epoch; the order of the next epoch is another one.
    expect(drawn[0]).not.toEqual(drawn[5]);
    expect(() => {
      whole.restore({ epoch: 0 });
    }).toThrow(DataError);
  });

  test('reuse buffers after their release', async () => {
    const sampler = streamed(() => examples(100), { columns, batchSize: 5 });
    const first = await draw(sampler);
    const second = await draw(sampler);
    expect(second?.columns['x']?.data).not.toBe(first?.columns['x']?.data);
    first?.release?.();
    expect((await draw(sampler))?.columns['x']?.data).toBe(first?.columns['x']?.data);
  });

  test('refuse sizes and sources that give no batch', async () => {
    expect(() => streamed(() => [], { columns, batchSize: 0 })).toThrow(DataError);
    await expect(draw(streamed(() => [], { columns, batchSize: 1 }))).rejects.toThrow(/a batch needs 1/);
    await expect(draw(streamed(() => examples(3), { columns, batchSize: 4 }))).rejects.toThrow(
      /holds 3 examples; a batch needs 4/,
    );
  });
});
