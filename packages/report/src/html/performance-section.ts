import { formatBytes, formatDuration, formatNumber } from '../charts/format.js';
import type { MemoryRecord, PhasesRecord } from '../records/metric-record.js';
import type { RunRecord } from '../records/run-record.js';
import { html, type Markup } from './html-template.js';
import { bar } from './model-section.js';
import { scrollable } from './scrollable.js';

/** Where the time and the memory went. */
export function performanceSection(runs: readonly RunRecord[], names: readonly string[]): Markup | undefined {
  const measured = runs.some((run) => run.phases !== undefined || run.memory !== undefined);
  const [only] = runs;
  if (!measured || only === undefined) return undefined;
  const parts =
    runs.length > 1
      ? comparison(runs, names)
      : [only.phases && phases(only.phases), only.memory && memory(only.memory)];
  return html`<h2 id="performance">Time and memory</h2><div class="grid">${parts}</div>`;
}

/** Several runs side by side: a row per run, a column per phase. */
function comparison(runs: readonly RunRecord[], names: readonly string[]): Markup {
  const phaseNames = [...new Set(runs.flatMap((run) => run.phases?.phases.map(({ name }) => name) ?? []))];
  return html`<div class="card">${scrollable(
    'Time and memory',
    html`<table>
<thead><tr><th scope="col">run</th>${phaseNames.map((name) => html`<th scope="col" class="number">${name}</th>`)}<th scope="col" class="number">peak memory</th></tr></thead>
<tbody>${runs.map(
      (run, index) =>
        html`<tr><th scope="row">${names[index] ?? ''}</th>${phaseNames.map((name) => {
          const seconds = run.phases?.phases.find((phase) => phase.name === name)?.seconds;
          return html`<td class="number">${seconds !== undefined && formatDuration(seconds)}</td>`;
        })}<td class="number">${run.memory && formatBytes(run.memory.peakBytes)}</td></tr>`,
    )}</tbody>
</table>`,
  )}</div>`;
}

function phases({ phases: list }: PhasesRecord): Markup {
  const total = list.reduce((sum, { seconds }) => sum + seconds, 0);
  const sorted = [...list].sort((left, right) => right.seconds - left.seconds);
  return html`<div class="card"><h3>Time by phase</h3>${scrollable(
    'Time by phase',
    html`<table>
<thead><tr><th scope="col">phase</th><th scope="col" class="number">time</th><th scope="col" class="number">share</th><th scope="col" class="number">each</th><th scope="col"><span class="muted">of all</span></th></tr></thead>
<tbody>${sorted.map(
      ({ name, seconds, count }) =>
        html`<tr><th scope="row">${name}</th><td class="number">${formatDuration(seconds)}</td><td class="number">${total > 0 ? `${((100 * seconds) / total).toFixed(1)} %` : ''}</td><td class="number">${count !== undefined && count > 0 ? `${formatDuration(seconds / count)} × ${formatNumber(count)}` : ''}</td><td>${bar(total > 0 ? seconds / total : 0)}</td></tr>`,
    )}<tr class="total"><th scope="row">all</th><td class="number">${formatDuration(total)}</td><td></td><td></td><td></td></tr></tbody>
</table>`,
  )}</div>`;
}

function memory({ peakBytes, parts = {} }: MemoryRecord): Markup {
  const sorted = Object.entries(parts).sort(([, left], [, right]) => right - left);
  return html`<div class="card"><h3>Memory</h3>
<p>Peak: <strong>${formatBytes(peakBytes)}</strong></p>
${
  sorted.length > 0 &&
  scrollable(
    'Memory by part',
    html`<table><thead><tr><th scope="col">part</th><th scope="col" class="number">size</th><th scope="col"><span class="muted">of the peak</span></th></tr></thead>
<tbody>${sorted.map(([name, bytes]) => html`<tr><th scope="row">${name}</th><td class="number">${formatBytes(bytes)}</td><td>${bar(peakBytes > 0 ? bytes / peakBytes : 0)}</td></tr>`)}</tbody></table>`,
  )
}</div>`;
}
