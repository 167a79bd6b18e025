import { formatBytes, formatDuration, formatNumber } from '../charts/format.js';
import type { GraphRecord } from '../records/metric-record.js';
import type { RunRecord } from '../records/run-record.js';
import { html, type Markup } from './html-template.js';
import { scrollable } from './scrollable.js';

/** Operators listed by name; the rest is added up. */
const listedOperators = 24;

/** What the compiled programs consist of, and which of their nodes the device could not run. */
export function modelSection(runs: readonly RunRecord[], names: readonly string[]): Markup | undefined {
  // Runs that differ in the seed have the same programs: each is shown once, with the runs that it belongs to.
  const programs = new Map<string, { graph: GraphRecord; owners: string[] }>();
  runs.forEach((run, index) => {
    for (const graph of run.graphs) {
      const key = JSON.stringify({ ...graph, compileSeconds: undefined });
      const entry = programs.get(key) ?? { graph, owners: [] };
      entry.owners.push(names[index] ?? '');
      programs.set(key, entry);
    }
  });
  const parts = [...programs.values()].map(({ graph, owners }) =>
    program(graph, owners.length < runs.length ? owners : []),
  );
  return parts.length === 0
    ? undefined
    : html`<h2 id="programs">Compiled programs</h2><div class="grid">${parts}</div>`;
}

function program(graph: GraphRecord, owners: readonly string[]): Markup {
  const operators = Object.entries(graph.operators).sort(
    ([leftName, left], [rightName, right]) => right - left || leftName.localeCompare(rightName),
  );
  const listed = operators.slice(0, listedOperators);
  const rest = operators.slice(listedOperators);
  const most = listed[0]?.[1] ?? 1;
  const facts = [
    `${formatNumber(graph.nodes)} nodes`,
    graph.parameters !== undefined && `${formatNumber(graph.parameters)} trainable values`,
    graph.bytes !== undefined && formatBytes(graph.bytes),
    graph.compileSeconds !== undefined && `compiled in ${formatDuration(graph.compileSeconds)}`,
  ].filter((fact) => typeof fact === 'string');
  return html`<div class="card"><h3>${graph.name}</h3>
${owners.length > 0 && html`<p class="muted">Of ${owners.join(', ')}</p>`}
<p class="muted">${facts.join(' · ')}</p>
${placement(graph)}
<details${listed.length <= 12 && openAttribute}><summary>Nodes by operator</summary>${scrollable(
    `Nodes of ${graph.name} by operator`,
    html`<table>
<thead><tr><th scope="col">operator</th><th scope="col" class="number">nodes</th><th scope="col">share</th></tr></thead>
<tbody>${listed.map(([operator, count]) => html`<tr><th scope="row">${operator}</th><td class="number">${formatNumber(count)}</td><td>${bar(count / most)}</td></tr>`)}
${rest.length > 0 && html`<tr><th scope="row">${rest.length} other operators</th><td class="number">${formatNumber(rest.reduce((sum, [, count]) => sum + count, 0))}</td><td></td></tr>`}</tbody>
</table>`,
  )}</details></div>`;
}

const openAttribute = html` open`;

function placement({ unplaced }: GraphRecord): Markup {
  if (unplaced.length === 0)
    return html`<p><span class="badge pass">all nodes placed</span> Every node runs on the chosen device.</p>`;
  return html`<p><span class="badge other">${unplaced.length} ${unplaced.length === 1 ? 'node' : 'nodes'} unplaced</span> They run on the CPU instead:</p>
${scrollable(
  'Unplaced nodes',
  html`<table><thead><tr><th scope="col">operator</th><th scope="col">node</th><th scope="col">reason</th></tr></thead>
<tbody>${unplaced.slice(0, 50).map(({ operator, node, reason }) => html`<tr><th scope="row">${operator}</th><td><code>${node ?? ''}</code></td><td>${reason ?? ''}</td></tr>`)}</tbody></table>`,
)}
${unplaced.length > 50 && html`<p class="muted">and ${unplaced.length - 50} more</p>`}`;
}

/** A bar beside a figure; the figure says the same, so it is hidden from screen readers. */
export function bar(share: number): Markup {
  const width = 160;
  const filled = Math.round(Math.max(0, Math.min(1, share)) * width * 10) / 10;
  return html`<svg width="${width}" height="12" aria-hidden="true"><rect class="bar-back" width="${width}" height="12" rx="3"/><rect class="bar" width="${filled}" height="12" rx="3"/></svg>`;
}
