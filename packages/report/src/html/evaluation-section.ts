import { formatNumber } from '../charts/format.js';
import { runGroups } from '../charts/run-groups.js';
import type { RunRecord } from '../records/run-record.js';
import { mean, pairedPermutationTest, standardDeviation } from '../statistics/seed-statistics.js';
import { lastEvaluations } from './header-section.js';
import { html, type Markup } from './html-template.js';
import { scrollable } from './scrollable.js';

/** The last evaluation of every run: one table per data set, runs of a group with mean and spread, groups compared in pairs. */
export function evaluationSection(runs: readonly RunRecord[]): Markup | undefined {
  const dataSets = [...new Set(runs.flatMap((run) => run.evaluations.map(({ name }) => name)))];
  if (dataSets.length === 0) return undefined;
  return html`<h2 id="results">Results</h2>${dataSets.map((dataSet) => resultTable(dataSet, runs))}`;
}

function resultTable(dataSet: string, runs: readonly RunRecord[]): Markup {
  const results = runs.map((run) => lastEvaluations(run).get(dataSet));
  const metrics = [...new Set(results.flatMap((result) => Object.keys(result ?? {})))];
  const groups = runGroups(runs);
  const stepOf = (run: RunRecord | undefined) => run?.evaluations.findLast(({ name }) => name === dataSet)?.step;
  return html`<div class="card">${scrollable(
    `Results on ${dataSet}`,
    html`<table>
<caption>Last evaluation on ${dataSet}</caption>
<thead><tr><th scope="col">run</th><th scope="col">seed</th><th scope="col" class="number">step</th>${metrics.map((metric) => html`<th scope="col" class="number">${metric}</th>`)}</tr></thead>
<tbody>${groups.map(({ label, members }) => {
      const rows = members.map((member) => {
        const run = runs[member];
        const step = stepOf(run);
        return html`<tr><th scope="row">${run?.header.name ?? ''}</th><td>${String(run?.header.seed ?? '')}</td><td class="number">${step === undefined ? '' : formatNumber(step)}</td>${metrics.map((metric) => html`<td class="number">${valueText(results[member]?.[metric])}</td>`)}</tr>`;
      });
      return [
        ...rows,
        ...(members.length > 1
          ? [
              totalRow(
                label,
                members.length,
                metrics.map((metric) => valuesOf(members.map((member) => results[member]?.[metric]))),
              ),
            ]
          : []),
      ];
    })}</tbody>
</table>`,
  )}
${groups.length > 1 && pairedTable(dataSet, groups, metrics, runs, results)}</div>`;
}

function totalRow(label: string, count: number, columns: readonly (readonly number[])[]): Markup {
  return html`<tr class="total"><th scope="row">${label}: mean ± standard deviation</th><td>${count} seeds</td><td></td>${columns.map((values) => html`<td class="number">${values.length === 0 ? '' : `${formatNumber(mean(values))} ± ${formatNumber(standardDeviation(values))}`}</td>`)}</tr>`;
}

/** Compares every group with the first one over the seeds that both have run. */
function pairedTable(
  dataSet: string,
  groups: ReturnType<typeof runGroups>,
  metrics: readonly string[],
  runs: readonly RunRecord[],
  results: readonly (Readonly<Record<string, number>> | undefined)[],
): Markup | undefined {
  const [reference, ...others] = groups;
  if (reference === undefined) return undefined;
  const bySeed = (members: readonly number[], metric: string) =>
    new Map(
      members.flatMap((member) => {
        const value = results[member]?.[metric];
        return value === undefined || !Number.isFinite(value)
          ? []
          : [[String(runs[member]?.header.seed), value] as const];
      }),
    );
  const rows = others.flatMap(({ label, members }) =>
    metrics.flatMap((metric) => {
      const left = bySeed(reference.members, metric);
      const differences = [...bySeed(members, metric)].flatMap(([seed, value]) => {
        const base = left.get(seed);
        return base === undefined ? [] : [value - base];
      });
      return differences.length < 2 ? [] : [{ label, metric, differences }];
    }),
  );
  if (rows.length === 0) return undefined;
  return scrollable(
    `Differences on ${dataSet}`,
    html`<table>
<caption>Difference to ${reference.label} on ${dataSet}, paired by seed; p from the exact sign-flip permutation test (two-sided)</caption>
<thead><tr><th scope="col">group</th><th scope="col">metric</th><th scope="col" class="number">pairs</th><th scope="col" class="number">mean difference</th><th scope="col" class="number">p</th></tr></thead>
<tbody>${rows.map(({ label, metric, differences }) => {
      const p = pairedPermutationTest(differences);
      return html`<tr><th scope="row">${label}</th><td>${metric}</td><td class="number">${differences.length}</td><td class="number">${signed(mean(differences))} ± ${formatNumber(standardDeviation(differences))}</td><td class="number">${p === undefined ? '' : formatNumber(p)}</td></tr>`;
    })}</tbody>
</table>`,
  );
}

function valuesOf(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined && Number.isFinite(value)) as number[];
}

function valueText(value: number | undefined): string {
  return value === undefined ? '' : formatNumber(value);
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${formatNumber(value)}`;
}
