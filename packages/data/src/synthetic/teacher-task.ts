import { RandomStream } from '@updraft/core';
import type { Dataset } from '../dataset.js';
import { DataError } from '../errors.js';
import { fromTensors } from '../in-memory.js';
import { checkCount } from './points.js';

export interface TeacherTaskOptions<Part extends string = string> {
  /** Examples of each part of the data, such as `{ train: 6000, test: 2000 }`; all of one teacher, in this order. */
  readonly parts: Readonly<Record<Part, number>>;
  /** Features of an example; default 32. */
  readonly features?: number;
  /** Width of the teacher's hidden layer; default 24. */
  readonly hidden?: number;
  /** Default 10. */
  readonly classes?: number;
  /** Share of the labels of a part that are replaced by uniform ones, at most 1; default 0 everywhere. */
  readonly labelNoise?: { readonly [P in Part]?: number };
  /** Decides teacher and examples; default 0. */
  readonly seed?: number;
}

/**
 * Classes that a random network with one hidden layer of ReLU gives to standard normal inputs. The weights of its first
 * layer have variance 1 / features, those of the second variance 1; its logits are centred per class over all parts, so
 * that the classes are about equally frequent. `x` float32 [features], `label` int64.
 *
 * @throws DataError for counts below 1 and shares outside of [0, 1].
 */
export function teacherTask<Part extends string>(options: TeacherTaskOptions<Part>): Record<Part, Dataset> {
  const { parts, features = 32, hidden = 24, classes = 10, labelNoise = {}, seed = 0 } = options;
  for (const [what, value] of Object.entries({ features, classes, 'hidden units': hidden })) checkCount(what, value);
  const entries = Object.entries<number>(parts);
  for (const [part, count] of entries) {
    checkCount(`examples of "${part}"`, count);
    const share = (labelNoise as Partial<Record<string, number>>)[part] ?? 0;
    if (!(share >= 0 && share <= 1))
      throw new DataError(`The share of replaced labels of "${part}" is ${share}; it must be between 0 and 1.`);
  }
  const random = RandomStream.fromSeed(seed).split('teacher-task');
  const normal = (name: string, count: number): Float32Array => {
    const values = new Float32Array(count);
    random.split(name).fillNormal(values);
    return values;
  };
  const total = entries.reduce((sum, [, count]) => sum + count, 0);
  const [inner, outer] = [normal('inner', features * hidden), normal('outer', hidden * classes)];
  const x = normal('examples', total * features);

  const logits = new Float64Array(total * classes);
  for (let row = 0; row < total; row++)
    for (let unit = 0; unit < hidden; unit++) {
      let sum = 0;
      for (let at = 0; at < features; at++)
        sum += (x[row * features + at] as number) * (inner[at * hidden + unit] as number);
      const active = Math.max(0, sum / Math.sqrt(features));
      for (let label = 0; label < classes; label++)
        logits[row * classes + label] =
          (logits[row * classes + label] as number) + active * (outer[unit * classes + label] as number);
    }
  const labels = new BigInt64Array(total);
  const centre = Array.from({ length: classes }, (_, label) => {
    let sum = 0;
    for (let row = 0; row < total; row++) sum += logits[row * classes + label] as number;
    return sum / total;
  });
  for (let row = 0; row < total; row++) {
    let best = 0;
    const centred = (label: number): number => (logits[row * classes + label] as number) - (centre[label] as number);
    for (let label = 1; label < classes; label++) if (centred(label) > centred(best)) best = label;
    labels[row] = BigInt(best);
  }

  const replaced = random.split('replaced-labels');
  let from = 0;
  return Object.fromEntries(
    entries.map(([part, count]) => {
      const label = labels.slice(from, from + count);
      const share = (labelNoise as Partial<Record<string, number>>)[part] ?? 0;
      for (let row = 0; row < count; row++) {
        // Drawn in any case, so that another share replaces a subset or a superset.
        const [chance, other] = [replaced.uniform(), replaced.integer(classes)];
        if (chance < share) label[row] = BigInt(other);
      }
      const data = x.slice(from * features, (from + count) * features);
      from += count;
      return [
        part,
        fromTensors({
          x: { dataType: 'float32', dims: [count, features], data },
          label: { dataType: 'int64', dims: [count], data: label },
        }),
      ];
    }),
  ) as Record<Part, Dataset>;
}
