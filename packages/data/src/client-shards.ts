import { RandomStream } from '@updraft/core';
import { subset } from './combinators.js';
import type { Dataset } from './dataset.js';
import { columnNumbers } from './column-numbers.js';
import { DataError } from './errors.js';

export interface DirichletShardOptions {
  readonly clients: number;
  /** Concentration α above 0: small ones give every client few classes, large ones the same mix to all. */
  readonly alpha: number;
  /** Column of one class per example. Default: label. */
  readonly column?: string;
  /** Default 0. */
  readonly seed?: number;
  /** Fewest examples of a client; shares are drawn again until all have so many. Default 1. */
  readonly minimum?: number;
}

/** How often shares are drawn before it is given up. */
const TRIES = 1000;

/**
 * Divide a dataset among clients whose mixtures of classes differ: the examples of each class, shuffled, are cut by shares
 * from a symmetric Dirichlet distribution (Hsu et al. 2019). Every example goes to one client.
 *
 * @throws DataError for options out of range, and where a minimum is not reached in 1000 draws.
 */
export function dirichletShards(dataset: Dataset, options: DirichletShardOptions): Dataset[] {
  const { clients, alpha, column = 'label', seed = 0, minimum = 1 } = options;
  if (
    !Number.isSafeInteger(clients) ||
    clients < 1 ||
    !(alpha > 0 && alpha < Infinity) ||
    minimum * clients > dataset.length
  )
    throw new DataError(
      `${dataset.length} examples cannot be divided among ${clients} clients with α = ${alpha} and at least ${minimum} for each.`,
      { hint: 'Give at least one client, a positive α, and a smaller minimum.' },
    );
  const groups = new Map<number, number[]>();
  columnNumbers(dataset, column).forEach((label, position) => {
    const group = groups.get(label);
    if (group === undefined) groups.set(label, [position]);
    else group.push(position);
  });
  const labels = [...groups.keys()].sort((a, b) => a - b);
  const root = RandomStream.fromSeed(seed).split('dirichlet-shards');
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const random = root.split(String(attempt));
    const shards = Array.from({ length: clients }, (): number[] => []);
    for (const label of labels) {
      const members = groups.get(label) as number[];
      const order = random.split(`order ${label}`).permutation(members.length);
      const shares = dirichlet(random.split(`shares ${label}`), clients, alpha);
      let [at, total] = [0, 0];
      shares.forEach((share, client) => {
        total += share;
        const end = client === clients - 1 ? members.length : Math.floor(total * members.length + 1e-9);
        for (; at < end; at++) shards[client]?.push(members[order[at] as number] as number);
      });
    }
    if (shards.every(({ length }) => length >= minimum))
      return shards.map((positions) =>
        subset(
          dataset,
          positions.sort((a, b) => a - b),
        ),
      );
  }
  throw new DataError(`In ${TRIES} draws some client always had fewer than ${minimum} examples.`, {
    hint: 'Give a larger α, fewer clients, or a smaller minimum.',
  });
}

/** Shares that add up to 1, from the symmetric Dirichlet distribution: gamma variates over their sum. */
function dirichlet(random: RandomStream, count: number, alpha: number): number[] {
  const logs = Array.from({ length: count }, () => logGamma(random, alpha));
  // In logarithms: for small α variates are so small that all of them could be 0.
  const largest = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

/** Logarithm of a gamma variate of shape α (Marsaglia and Tsang 2000; below 1 from α + 1 by a power of a uniform one). */
function logGamma(random: RandomStream, alpha: number): number {
  const boost = alpha < 1 ? Math.log(1 - random.uniform()) / alpha : 0;
  const d = (alpha < 1 ? alpha + 1 : alpha) - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v))
      return Math.log(d * v) + boost;
  }
}
