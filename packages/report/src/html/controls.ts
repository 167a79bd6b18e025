import { runGroups } from '../charts/run-groups.js';
import type { RunRecord } from '../records/run-record.js';
import { html, type Markup } from './html-template.js';

/** What the reader can choose for all charts. Hidden until the script has started, because without it nothing would happen. */
export function controls(runs: readonly RunRecord[], baseline: string | undefined): Markup {
  const severalSeeds = runGroups(runs).some(({ members }) => members.length > 1);
  return html`<form class="controls card" id="controls" aria-label="Chart settings" hidden>
<label>Smoothing <input type="range" id="smoothing" min="0" max="0.99" step="0.01" value="0"><output id="smoothing-value" for="smoothing">0.00</output></label>
<label><input type="checkbox" id="log-scale"> Logarithmic axis</label>
<label><input type="checkbox" id="axis-time"> Time instead of steps</label>
${severalSeeds && html`<label><input type="checkbox" id="average" checked> Mean and range over seeds</label>`}
${
  runs.length > 1 &&
  html`<label>Baseline <select id="baseline" data-chosen="${baseline ?? ''}"><option value="">none</option></select></label>
<fieldset><legend>Show</legend><div id="entries"></div></fieldset>`
}
<p class="muted hint">Drag over a chart to zoom, double-click to go back. With the keyboard: arrow keys, Page Up, Page Down, Home and End read out a focused chart.</p>
</form>`;
}
