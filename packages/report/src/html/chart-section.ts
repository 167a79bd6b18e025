import { type ChartGroup, seriesByGroup } from '../charts/chart-groups.js';
import { formatNumber } from '../charts/format.js';
import type { RunRecord, Series } from '../records/run-record.js';
import { renderSvg } from '../svg/render-svg.js';
import { html, trusted, type Markup } from './html-template.js';
import { scrollable } from './scrollable.js';

/** Rows of the table that stands for a chart; each is one step. */
const tableRows = 12;
/** Columns: more would make the page large and the table unreadable. */
const tableColumns = 24;

/** One chart: a place for the script to draw in, a picture for pages without scripts, and the figures as a table. */
export function chartSection(group: ChartGroup, runs: readonly RunRecord[], names: readonly string[]): Markup {
  const columns = runs.flatMap((run, index) =>
    [...(seriesByGroup(run).get(group.key) ?? [])].map(([label, series]) => ({
      name:
        runs.length === 1
          ? label
          : group.labels.length === 1
            ? (names[index] ?? '')
            : `${names[index] ?? ''}: ${label}`,
      series,
    })),
  );
  const nonFinite = columns.filter(({ series }) => series.nonFinite > 0);
  return html`<figure class="card" data-chart="${group.key}">
<figcaption><h3>${group.title}</h3></figcaption>
<div class="chart-place"><noscript>${trusted(renderSvg(runs, { chart: group.key, points: 60, width: 560, height: 260, standalone: false }))}</noscript></div>
${nonFinite.length > 0 && html`<p class="muted">Not drawn: ${nonFinite.map(({ name, series }) => `${series.nonFinite} values of ${name} that are NaN or infinite`).join(', ')}.</p>`}
<details><summary>${group.title} as a table</summary>${scrollable(`${group.title} as a table`, chartTable(group, columns))}</details>
</figure>`;
}

function chartTable(group: ChartGroup, columns: readonly { readonly name: string; readonly series: Series }[]): Markup {
  const shown = columns.slice(0, tableColumns);
  const steps = sampledSteps(shown.map(({ series }) => series));
  const note = columns.length > shown.length ? `; the first ${shown.length} of ${columns.length} series` : '';
  return html`<table>
<caption>${group.unit} at ${steps.length} steps, each with the latest value up to there${note}</caption>
<thead><tr><th scope="col" class="number">step</th>${shown.map(({ name }) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
<tbody>${steps.map((step) => html`<tr><th scope="row" class="number">${formatNumber(step)}</th>${shown.map(({ series }) => html`<td class="number">${valueUpTo(series, step)}</td>`)}</tr>`)}</tbody>
</table>`;
}

/** Steps spread evenly over all that have a value, the first and the last among them. */
function sampledSteps(series: readonly Series[]): number[] {
  const steps = [...new Set(series.flatMap((one) => one.steps))].sort((left, right) => left - right);
  if (steps.length <= tableRows) return steps;
  return Array.from(
    { length: tableRows },
    (_value, index) => steps[Math.round((index * (steps.length - 1)) / (tableRows - 1))] ?? 0,
  );
}

function valueUpTo({ steps, values }: Series, step: number): string {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((steps[middle] ?? 0) <= step) low = middle + 1;
    else high = middle;
  }
  const value = values[low - 1];
  return value === undefined ? '' : formatNumber(value);
}
