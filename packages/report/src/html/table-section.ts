import { formatNumber } from '../charts/format.js';
import type { RunRecord } from '../records/run-record.js';
import { html, type Markup } from './html-template.js';
import { scrollable } from './scrollable.js';

/** The tables that a run brought along. */
export function tableSection(runs: readonly RunRecord[], names: readonly string[]): Markup | undefined {
  const parts = runs.flatMap((run, index) => {
    const cards = run.tables.map(({ title, columns, rows }) => {
      const name = runs.length > 1 ? `${names[index] ?? ''}: ${title}` : title;
      return html`<div class="card"><h3>${name}</h3>${scrollable(
        name,
        html`<table>
<thead><tr>${columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell) => (typeof cell === 'number' ? html`<td class="number">${formatNumber(cell)}</td>` : html`<td>${cell ?? ''}</td>`))}</tr>`)}</tbody>
</table>`,
      )}</div>`;
    });
    if (cards.length === 0) return [];
    return runs.length > 1 ? [html`<details><summary>${names[index] ?? ''}</summary>${cards}</details>`] : cards;
  });
  return parts.length === 0 ? undefined : html`<h2 id="tables">Tables</h2>${parts}`;
}
