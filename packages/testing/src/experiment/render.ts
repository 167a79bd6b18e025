import { foldRuns, renderSvg, type MetricRecord } from '@updraft/report';
import type { Experiment, Setting } from './experiment.js';
import { numberOfRecord, type ArmRecord, type ExperimentRecord } from './record.js';
import type { ExperimentRun } from './run-experiment.js';
import type { SeedResult } from './results.js';

/** `learningRate 0.003, weightDecay 1` */
export const settingText = (setting: Setting): string =>
  Object.entries(setting)
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');

/** Four digits are more than three seeds can tell apart. */
export function figureText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return value.toLocaleString('en');
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5
    ? String(Number(value.toPrecision(4)))
    : value.toExponential(2);
}

/** `0.740 ± 0.012`: mean and sample standard deviation over the seeds. */
const spreadText = ({ mean, deviation }: ArmRecord, metric: string): string => {
  const [average, spread] = [mean[metric], deviation[metric]].map((value) =>
    value === undefined ? Number.NaN : numberOfRecord(value),
  );
  if (average === undefined || Number.isNaN(average)) return 'diverged';
  return spread === undefined || Number.isNaN(spread) || spread === 0
    ? figureText(average)
    : `${figureText(average)} ± ${figureText(Number(spread.toPrecision(2)))}`;
};

/** The comparison table: a head and one row per arm. */
export const tableRows = (record: ExperimentRecord): string[][] => [
  ['arm', 'setting', 'tried', ...record.columns],
  ...record.arms.map((arm) => [
    arm.name,
    settingText(arm.chosen),
    String(arm.tried.length),
    ...record.columns.map((metric) => spreadText(arm, metric)),
  ]),
];

/** The comparison table in aligned columns, for a terminal. */
export function plainTable(record: ExperimentRecord): string {
  const rows = tableRows(record);
  const widths = (rows[0] as string[]).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] as string).length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The comparison table in Markdown. */
export function markdownTable(record: ExperimentRecord): string {
  const [head, ...rows] = tableRows(record) as [string[], ...string[][]];
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const NAMED_CURVES: Readonly<Record<string, string>> = { loss: 'Loss', accuracy: 'Accuracy' };

/**
 * Curves of the chosen settings as an SVG picture, each the mean over the seeds; undefined where the experiment has none.
 * At most 8 arms have a line.
 */
export function plotExperiment(
  { plot, title }: Pick<Experiment, 'plot' | 'title'>,
  { record, results }: ExperimentRun,
): string | undefined {
  const first = results.arms.flatMap(({ chosen }) => chosen.runs.flatMap(({ curves }) => Object.keys(curves ?? {})))[0];
  const name = plot ?? first;
  if (name === undefined) return undefined;
  const records: MetricRecord[] = results.arms.flatMap((arm) => {
    const curve = meanCurve(arm.chosen.runs, name);
    if (curve === undefined) return [];
    return [
      {
        kind: 'run',
        version: 1,
        name: arm.name,
        command: `updraft reproduce`,
        config: { ...arm.chosen.setting },
        configHash: arm.name,
        seed: 'mean',
        startedAt: record.finishedAt,
        device: record.device,
        machine: { class: record.machine },
        versions: record.versions,
      },
      { kind: 'series', name, steps: curve.steps, values: curve.values },
    ] satisfies MetricRecord[];
  });
  if (records.length === 0) return undefined;
  return renderSvg(foldRuns(records), {
    chart: name.split('/')[0] as string,
    title: `${title}: ${NAMED_CURVES[name] ?? name}, mean over ${record.seeds.length} seeds`,
  });
}

function meanCurve(runs: readonly SeedResult[], name: string): { steps: number[]; values: number[] } | undefined {
  const curves = runs.flatMap(({ curves }) => (curves?.[name] === undefined ? [] : [curves[name]]));
  const [first] = curves;
  if (first === undefined) return undefined;
  const common = first.steps.filter((step) => curves.every(({ steps }) => steps.includes(step)));
  const valueAt = (step: number): number =>
    curves.reduce((sum, { steps, values }) => sum + (values[steps.indexOf(step)] as number), 0) / curves.length;
  return { steps: common, values: common.map(valueAt) };
}
