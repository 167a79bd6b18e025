import { RandomStream } from '@updraft/core';
import type { Dataset } from '../dataset.js';
import { fromTensors } from '../in-memory.js';
import { checkCount } from './points.js';

export interface LinearRegressionOptions {
  readonly count: number;
  readonly features?: number;
  /** Standard deviation of the noise on the target. */
  readonly noise?: number;
  /** Seed of the examples. */
  readonly seed?: number;
  /** Seed of the weights: training and test data of one task share it. */
  readonly task?: number;
}

/** Targets y = x·w + b + noise, with x, w and b standard normal: `x` float32 [features], `target` float32 [1]. */
export function linearRegression({
  count,
  features = 4,
  noise = 0.1,
  seed = 0,
  task = 0,
}: LinearRegressionOptions): Dataset {
  checkCount('examples', count);
  checkCount('features', features);
  const teacher = RandomStream.fromSeed(task).split('regression-task');
  const weights = new Float32Array(features);
  teacher.fillNormal(weights);
  const offset = teacher.normal();
  const random = RandomStream.fromSeed(seed).split('regression');
  const x = new Float32Array(count * features);
  random.fillNormal(x);
  const target = Float32Array.from({ length: count }, (_, row) => {
    let sum = offset + noise * random.normal();
    for (let feature = 0; feature < features; feature++)
      sum += (x[row * features + feature] as number) * (weights[feature] as number);
    return sum;
  });
  return fromTensors({
    x: { dataType: 'float32', dims: [count, features], data: x },
    target: { dataType: 'float32', dims: [count, 1], data: target },
  });
}

export interface TeacherStudentOptions {
  readonly count: number;
  readonly features?: number;
  readonly classes?: number;
  /** Width of the hidden layer of the teacher. */
  readonly hidden?: number;
  /** Share of labels that are replaced by random ones. */
  readonly labelNoise?: number;
  /** Seed of the examples. */
  readonly seed?: number;
  /** Seed of the teacher: training and test data of one task share it. */
  readonly task?: number;
}

/**
 * Classes that a random network of one hidden layer (tanh) gives to standard normal inputs: a task that a network of the
 * same form can solve exactly. `x` float32 [features], `label` int64.
 */
export function teacherStudent(options: TeacherStudentOptions): Dataset {
  const { count, features = 16, classes = 4, hidden = 32, labelNoise = 0, seed = 0, task = 0 } = options;
  checkCount('examples', count);
  for (const [what, value] of Object.entries({ features, classes, 'hidden units': hidden })) checkCount(what, value);
  const teacher = RandomStream.fromSeed(task).split('teacher');
  const inner = new Float32Array(hidden * features);
  const outer = new Float32Array(classes * hidden);
  teacher.fillNormal(inner);
  teacher.fillNormal(outer);
  const random = RandomStream.fromSeed(seed).split('teacher-examples');
  const x = new Float32Array(count * features);
  random.fillNormal(x);
  const labels = new BigInt64Array(count);
  const units = new Float64Array(hidden);
  for (let row = 0; row < count; row++) {
    for (let unit = 0; unit < hidden; unit++) {
      let sum = 0;
      for (let feature = 0; feature < features; feature++)
        sum += (inner[unit * features + feature] as number) * (x[row * features + feature] as number);
      units[unit] = Math.tanh(sum / Math.sqrt(features));
    }
    let [best, highest] = [0, Number.NEGATIVE_INFINITY];
    for (let label = 0; label < classes; label++) {
      let score = 0;
      for (let unit = 0; unit < hidden; unit++)
        score += (outer[label * hidden + unit] as number) * (units[unit] as number);
      if (score > highest) [best, highest] = [label, score];
    }
    labels[row] = BigInt(random.uniform() < labelNoise ? random.integer(classes) : best);
  }
  return fromTensors({
    x: { dataType: 'float32', dims: [count, features], data: x },
    label: { dataType: 'int64', dims: [count], data: labels },
  });
}
