import type { RunRecord, Series } from '../records/run-record.js';

/** Which series are drawn together. */
export interface ChartGroup {
  /** Stable key: the part of the names before the first slash. */
  readonly key: string;
  readonly title: string;
  /** Name of the vertical axis. */
  readonly unit: string;
  /** Labels of the lines, each the rest of a series' name; the same in all runs. */
  readonly labels: readonly string[];
}

interface KnownGroup {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** What the series is called that has no slash in its name. */
  readonly plainLabel: string;
}

/** Known groups, in the order in which a person looks at them. */
const known: readonly KnownGroup[] = [
  { key: 'loss', title: 'Loss', unit: 'loss', plainLabel: 'training' },
  { key: 'accuracy', title: 'Accuracy', unit: 'accuracy', plainLabel: 'training' },
  { key: 'learningRate', title: 'Learning rate', unit: 'learning rate', plainLabel: 'learning rate' },
  { key: 'gradientNorm', title: 'Gradient norms', unit: 'L2 norm', plainLabel: 'all together' },
  { key: 'updateNorm', title: 'Update norms', unit: 'L2 norm', plainLabel: 'all together' },
  { key: 'parameterNorm', title: 'Parameter norms', unit: 'L2 norm', plainLabel: 'all together' },
  { key: 'throughput', title: 'Throughput', unit: 'per second', plainLabel: 'steps' },
];

function describeGroup(key: string): KnownGroup {
  return (
    known.find((group) => group.key === key) ?? {
      key,
      title: readable(key),
      unit: readable(key).toLowerCase(),
      plainLabel: 'training',
    }
  );
}

/**
 * The series of a run by group and label. Evaluations join the group of their metric, so that the test loss is drawn
 * over the training loss.
 */
export function seriesByGroup(run: RunRecord): Map<string, Map<string, Series>> {
  const groups = new Map<string, Map<string, Series>>();
  const put = (key: string, label: string, series: Series) => {
    const group = groups.get(key) ?? new Map<string, Series>();
    group.set(label, series);
    groups.set(key, group);
  };
  for (const [name, series] of run.series) {
    const slash = name.indexOf('/');
    if (slash < 0) put(name, describeGroup(name).plainLabel, series);
    else put(name.slice(0, slash), name.slice(slash + 1), series);
  }
  for (const [key, label, series] of evaluationSeries(run)) put(key, label, series);
  return groups;
}

/** The charts that show all series of all runs. */
export function chartGroups(runs: readonly RunRecord[]): ChartGroup[] {
  const labels = new Map<string, Set<string>>();
  for (const run of runs) {
    for (const [key, group] of seriesByGroup(run)) {
      const set = labels.get(key) ?? new Set<string>();
      for (const label of group.keys()) set.add(label);
      labels.set(key, set);
    }
  }
  const rank = (key: string) => {
    const index = known.findIndex((group) => group.key === key);
    return index < 0 ? known.length : index;
  };
  return [...labels]
    .sort(([left], [right]) => rank(left) - rank(right))
    .map(([key, set]) => {
      const { title, unit, plainLabel } = describeGroup(key);
      // The series of the whole comes before those of its parts.
      const labels = [...set].sort((left, right) => Number(right === plainLabel) - Number(left === plainLabel));
      return { key, title, unit, labels };
    });
}

function evaluationSeries(run: RunRecord): [key: string, label: string, series: Series][] {
  const found = new Map<string, { key: string; label: string; points: Map<number, number> }>();
  for (const { name, step, metrics } of run.evaluations) {
    for (const [metric, value] of Object.entries(metrics)) {
      const id = JSON.stringify([metric, name]);
      const entry = found.get(id) ?? { key: metric, label: name, points: new Map<number, number>() };
      entry.points.set(step, value);
      found.set(id, entry);
    }
  }
  return [...found.values()].map(({ key, label, points }) => {
    const sorted = [...points].sort(([left], [right]) => left - right);
    const values = sorted.map(([, value]) => value);
    const nonFinite = values.filter((value) => !Number.isFinite(value)).length;
    return [key, label, { steps: sorted.map(([step]) => step), values, originalLength: values.length, nonFinite }];
  });
}

/** `batchSize` becomes `Batch size`; names of several words stay as they are. */
function readable(key: string): string {
  const words = key.replace(
    /([a-z0-9])([A-Z])/gu,
    (_match, before: string, capital: string) => `${before} ${capital.toLowerCase()}`,
  );
  return words.charAt(0).toUpperCase() + words.slice(1);
}
