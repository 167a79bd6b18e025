import { describe, expect, test } from '@jest/globals';
import { tensor } from '@updraft/graph';
import { dirichletShards } from './client-shards.js';
import { columnNumbers } from './column-numbers.js';
import { fromTensors } from './in-memory.js';
import { meanPooled } from './mean-pooled.js';

const labelled = (count: number, classes: number) =>
  fromTensors({
    label: tensor(
      Array.from({ length: count }, (_, index) => index % classes),
      'int64',
    ),
  });

describe('shards from a Dirichlet distribution', () => {
  test.each([0.05, 1, 100])('hold every example once, at α = %d', (alpha) => {
    const shards = dirichletShards(labelled(1000, 10), { clients: 7, alpha, minimum: 3, seed: 2 });
    expect(shards).toHaveLength(7);
    const ids = shards.flatMap((shard) => Array.from({ length: shard.length }, (_, at) => shard.id?.(at) as number));
    expect(ids.sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, index) => index));
    for (const { length } of shards) expect(length).toBeGreaterThanOrEqual(3);
  });

  test.each([
    [0.1, 0.05],
    [1, 0.05],
    [10, 0.02],
  ])('shares have the variance of the distribution, at α = %d', (alpha, tolerance) => {
    // Shares of class 0 over many seeds: mean 1/n, variance (n − 1) / (n²·(n·α + 1)).
    const [clients, draws] = [4, 200];
    const shares = Array.from({ length: draws }, (_, seed) =>
      dirichletShards(labelled(400, 2), { clients, alpha, seed, minimum: 0 }).map(
        (shard) => columnNumbers(shard, 'label').filter((label) => label === 0).length / 200,
      ),
    ).flat();
    const mean = shares.reduce((a, b) => a + b, 0) / shares.length;
    const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length;
    const expected = (clients - 1) / (clients ** 2 * (clients * alpha + 1));
    expect(mean).toBeCloseTo(1 / clients, 6);
    expect(Math.abs(variance / expected - 1)).toBeLessThan(tolerance + 0.1);
  });

  test('the same seed gives the same shards, another one others; what cannot be is refused', () => {
    const sizes = (seed: number) =>
      dirichletShards(labelled(300, 3), { clients: 5, alpha: 0.5, seed }).map(({ length }) => length);
    expect(sizes(1)).toEqual(sizes(1));
    expect(sizes(1)).not.toEqual(sizes(2));
    expect(() => dirichletShards(labelled(4, 2), { clients: 5, alpha: 1 })).toThrow(/4 examples cannot be divided/);
    expect(() => dirichletShards(labelled(40, 2), { clients: 5, alpha: 0 })).toThrow(/α = 0/);
    expect(() => dirichletShards(labelled(40, 2), { clients: 8, alpha: 1e-3, minimum: 5 })).toThrow(/In 1000 draws/);
    expect(() => dirichletShards(labelled(40, 2), { clients: 2, alpha: 1, column: 'digit' })).toThrow(
      /no column "digit"/,
    );
  });
});

test('blocks of pixels become their means', () => {
  const dataset = fromTensors({
    image: tensor([
      [
        [
          [1, 3, 0, 0],
          [5, 7, 0, 8],
        ],
      ],
    ]),
    label: tensor([4], 'int64'),
  });
  const pooled = meanPooled(dataset, { size: 2 });
  expect(pooled.columns['image']?.shape).toEqual([1, 1, 2]);
  const into = tensor([0, 0, 0, 0], 'float32', [2, 1, 1, 2]);
  pooled.read('image', 0, into, 1);
  expect([...into.data]).toEqual([0, 0, 4, 2]);
  expect(columnNumbers(pooled, 'label')).toEqual([4]);
  expect(() => meanPooled(dataset, { size: 3 })).toThrow(/no blocks of 3/);
  expect(() => meanPooled(dataset, { column: 'label', size: 1 })).toThrow(/holds no images/);
});
