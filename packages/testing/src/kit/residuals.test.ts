import { describe, expect, test } from '@jest/globals';
import { RandomStream } from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import { oneSidedDrift, residualStatistics } from '../index.js';
import { assertOneTrajectory } from './compare.js';

const normals = (count: number, seed: number): number[] => {
  const random = RandomStream.fromSeed(seed);
  return Array.from({ length: count }, () => random.normal());
};

describe('statistics of residuals', () => {
  test('are mean, sample deviation and their ratio', () => {
    // By hand: mean 2, sum of squares 2, variance 1, standard error 1 / √3.
    const { mean, deviation, standardErrors, count } = residualStatistics([1, 2, 3]);
    expect([count, mean, deviation]).toEqual([3, 2, 1]);
    expect(standardErrors).toBeCloseTo(2 * Math.sqrt(3), 12);
    expect(residualStatistics([0, 0]).standardErrors).toBe(0);
    expect(residualStatistics([-1, -1]).standardErrors).toBe(-Infinity);
  });

  test('noise without drift passes for 200 seeds, half a deviation of drift is found', () => {
    for (let seed = 0; seed < 200; seed++) {
      const noise = normals(300, seed);
      expect(oneSidedDrift(noise)).toBeUndefined();
      expect(oneSidedDrift(noise.map((value) => value + 0.55))?.mean).toBeCloseTo(0.55, 0);
      expect(oneSidedDrift(noise.map((value) => value - 0.55))?.mean).toBeLessThan(0);
    }
    expect(oneSidedDrift([1, 1, 1])).toBeUndefined();
  });
});

describe('one trajectory', () => {
  const point = (values: readonly number[]): Record<string, TensorData> => ({
    w: { dataType: 'float64', dims: [values.length], data: Float64Array.from(values) },
  });
  /** A random walk from `start`, each step changed. */
  const walk = (change: (step: number, noise: number) => number): Record<string, TensorData>[] => {
    let at = new Array<number>(12).fill(1);
    return Array.from({ length: 20 }, (_, step) => {
      const [moves, noise] = [normals(12, step), normals(12, 1000 + step)];
      at = at.map((value, index) => value + 0.1 * change(moves[index] as number, noise[index] as number));
      return point(at);
    });
  };
  const start = point(new Array<number>(12).fill(1));
  const compare = (change: (step: number, noise: number) => number) => () => {
    assertOneTrajectory(
      walk(change),
      walk((step) => step),
      start,
      1e-3,
      'A walk',
    );
  };

  test('differs by rounding noise, not by drift, far below the tolerance', () => {
    expect(compare((step, noise) => step + 1e-5 * noise)).not.toThrow();
    expect(compare((step, noise) => step + 1e-5 * (noise + 1))).toThrow(/drift to one side/);
    // Steps that are too long go in both directions: only their projection on the movement shows it.
    expect(compare((step, noise) => step * (1 + 3e-5) + 1e-5 * noise)).toThrow(/drift to one side/);
    expect(compare((step) => step * 1.1)).toThrow(/after step 1/);
  });
});
