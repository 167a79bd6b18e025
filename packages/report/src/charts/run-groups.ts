import type { RunRecord } from '../records/run-record.js';

/** Runs that differ in nothing but the seed. */
export interface RunGroup {
  readonly key: string;
  readonly label: string;
  /** Indices into the runs that were grouped. */
  readonly members: readonly number[];
}

/** Groups runs by their declared group, else by the hash of their configuration. */
export function runGroups(runs: readonly RunRecord[]): RunGroup[] {
  const groups = new Map<string, number[]>();
  runs.forEach(({ header }, index) => {
    const key = header.group === undefined ? `config ${header.configHash}` : `group ${header.group}`;
    const members = groups.get(key) ?? [];
    members.push(index);
    groups.set(key, members);
  });
  return [...groups].map(([key, members]) => {
    const header = runs[members[0] ?? 0]?.header;
    return { key, members, label: header?.group ?? header?.name ?? key };
  });
}

/** Names for runs that are different from each other even where the runs' own names are not. */
export function runLabels(runs: readonly RunRecord[]): string[] {
  const names = runs.map(({ header }) => header.name);
  const withSeeds = runs.map(({ header }) => `${header.name}, seed ${header.seed}`);
  const isUnique = (label: string, labels: readonly string[]) => labels.indexOf(label) === labels.lastIndexOf(label);
  return runs.map((_run, index) => {
    const name = names[index] ?? '';
    const withSeed = withSeeds[index] ?? '';
    if (isUnique(name, names)) return name;
    return isUnique(withSeed, withSeeds) ? withSeed : `${withSeed} (${index + 1})`;
  });
}
