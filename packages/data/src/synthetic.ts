import { RandomStream } from '@updraft/core';
import { fromTensors, type Dataset } from './dataset.js';

/** Gaussian clusters on a circle: `image`-like column `x` [2], `label` int64. */
export function blobs({ count, classes = 3, deviation = 0.3, seed = 0 }: { readonly count: number; readonly classes?: number; readonly deviation?: number; readonly seed?: number }): Dataset {
  const random = RandomStream.fromSeed(seed).split('blobs');
  const points = new Float32Array(2 * count);
  const labels = new BigInt64Array(count);
  for (let index = 0; index < count; index++) {
    const label = random.integer(classes);
    const angle = (2 * Math.PI * label) / classes;
    points[2 * index] = Math.cos(angle) + deviation * random.normal();
    points[2 * index + 1] = Math.sin(angle) + deviation * random.normal();
    labels[index] = BigInt(label);
  }
  return fromTensors({
    x: { dataType: 'float32', dims: [count, 2], data: points },
    label: { dataType: 'int64', dims: [count], data: labels },
  });
}

/** Two interleaved half circles. */
export function twoMoons({ count, noise = 0.1, seed = 0 }: { readonly count: number; readonly noise?: number; readonly seed?: number }): Dataset {
  const random = RandomStream.fromSeed(seed).split('moons');
  const points = new Float32Array(2 * count);
  const labels = new BigInt64Array(count);
  for (let index = 0; index < count; index++) {
    const upper = index % 2 === 0;
    const angle = Math.PI * random.uniform();
    points[2 * index] = (upper ? Math.cos(angle) : 1 - Math.cos(angle)) + noise * random.normal();
    points[2 * index + 1] = (upper ? Math.sin(angle) : 0.5 - Math.sin(angle)) + noise * random.normal();
    labels[index] = upper ? 0n : 1n;
  }
  return fromTensors({
    x: { dataType: 'float32', dims: [count, 2], data: points },
    label: { dataType: 'int64', dims: [count], data: labels },
  });
}

/** y = x·w + b + noise with random w: `x` [features], `target` [1]. */
export function linearRegression({ count, features = 4, noise = 0.1, seed = 0 }: { readonly count: number; readonly features?: number; readonly noise?: number; readonly seed?: number }): Dataset {
  const random = RandomStream.fromSeed(seed).split('regression');
  const weights = new Float32Array(features);
  random.fillNormal(weights);
  const offset = random.normal();
  const x = new Float32Array(count * features);
  random.fillNormal(x);
  const target = Float32Array.from({ length: count }, (_, row) => {
    let sum = offset + noise * random.normal();
    for (let feature = 0; feature < features; feature++) sum += (x[row * features + feature] as number) * (weights[feature] as number);
    return sum;
  });
  return fromTensors({
    x: { dataType: 'float32', dims: [count, features], data: x },
    target: { dataType: 'float32', dims: [count, 1], data: target },
  });
}
