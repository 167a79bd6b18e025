import { chartGroups, type ChartGroup } from '../charts/chart-groups.js';
import { runLabels } from '../charts/run-groups.js';
import { ReportError } from '../errors.js';
import { pageScript, pageScriptHash, pageStyle, pageStyleHash } from '../generated/page-assets.js';
import { compactRun } from '../records/compact-run.js';
import { encodeRecords } from '../records/encode-records.js';
import type { RunRecord } from '../records/run-record.js';
import { chartSection } from './chart-section.js';
import { controls } from './controls.js';
import { evaluationSection } from './evaluation-section.js';
import { headerSection } from './header-section.js';
import { html, trusted, type Markup } from './html-template.js';
import { modelSection } from './model-section.js';
import { noticeSection } from './notice-section.js';
import { performanceSection } from './performance-section.js';
import { sampleSection } from './sample-section.js';
import { tableSection } from './table-section.js';

export interface RenderReportOptions {
  /** Default: the name of the run, or the number of runs that are compared. */
  readonly title?: string;
  /** Name of the run or group that the others are compared with when the page opens. */
  readonly baseline?: string;
  /** The page is kept below this many bytes: series are down-sampled, then samples are left out. Default 1,000,000. */
  readonly maximumBytes?: number;
}

/** Points per series, from the most that a chart can show to the least that still shows a shape. */
const pointChoices = [1500, 1000, 600, 350, 200, 100, 50, 24];

/**
 * The report on one or several runs: one HTML document without any outside reference, for opening from disk. A pure
 * function of its arguments. Without scripts it shows static pictures and tables.
 *
 * @throws ReportError for no runs, or if the page cannot be kept below `maximumBytes`
 */
export function renderReport(runs: readonly RunRecord[], options: RenderReportOptions = {}): string {
  if (runs.length === 0) {
    throw new ReportError('A report needs at least one run.', { hint: 'Read one from its metrics file, for example.' });
  }
  const maximumBytes = options.maximumBytes ?? 1_000_000;
  const encoder = new TextEncoder();
  let shown = runs;
  // Pictures and texts go only when the fewest points were not enough.
  for (const keepSamples of [true, false]) {
    if (!keepSamples) shown = runs.map((run) => ({ ...run, images: [], texts: [], histograms: [] }));
    for (const points of pointChoices) {
      // Most of the page is records: do not make what cannot fit.
      if (leastBytes(shown, points) > maximumBytes) continue;
      const records = recordLines(shown, points);
      if (records.length > maximumBytes) continue;
      const page = renderPage(shown, records, keepSamples ? [] : ['samples'], options);
      if (encoder.encode(page).length <= maximumBytes) return page;
    }
  }
  throw new ReportError(`The report on ${runs.length} runs does not fit into ${maximumBytes} bytes.`, {
    hint: 'Report on fewer runs, record fewer series, or raise `maximumBytes`.',
    details: { runs: runs.length, maximumBytes },
  });
}

/** A low estimate of what series take: a step of one digit, a value of four and two commas per point. */
function leastBytes(runs: readonly RunRecord[], points: number): number {
  const lengths = runs.flatMap((run) =>
    [...run.series.values()].map((series) => Math.min(points, series.steps.length)),
  );
  return lengths.reduce((sum, length) => sum + 7 * length, 0);
}

/** The records as they stand in the page: `<` is escaped, so that nothing in them can end the script element. */
function recordLines(runs: readonly RunRecord[], points: number): string {
  return encodeRecords(runs.flatMap((run) => compactRun(run, points))).replaceAll('<', '\\u003c');
}

function renderPage(
  runs: readonly RunRecord[],
  records: string,
  leftOut: readonly string[],
  options: RenderReportOptions,
): string {
  const groups = chartGroups(runs);
  const names = runLabels(runs);
  const title = options.title ?? (runs.length === 1 ? (names[0] ?? '') : `${runs.length} runs compared`);
  // No request can leave the page, and no script but ours can run in it, whatever the records hold.
  const policy = `default-src 'none'; script-src '${pageScriptHash}'; style-src '${pageStyleHash}'; img-src data:; base-uri 'none'; form-action 'none'`;
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Updraft">
<title>${title} · Updraft report</title>
<style>${trusted(pageStyle)}</style>
</head>
<body>
<a class="skip" href="#charts">Skip to the charts</a>
${headerSection(runs, names, title)}
<main>
${noticeSection(runs, names)}
${charts(groups, runs, names, options.baseline)}
${evaluationSection(runs)}
${sampleSection(runs, names)}
${modelSection(runs, names)}
${performanceSection(runs, names)}
${tableSection(runs, names)}
<h2 id="data">Data</h2>
<div class="card">
<p>The records that this page was made from, one JSON object per line; a metrics file that Updraft can read again.${downSampled(runs, records) && ' Long series were thinned out for this page; the metrics file of the run has every step.'}${leftOut.length > 0 && ' Samples and histograms were left out to keep the page small.'}</p>
<button type="button" id="download" hidden>Download metrics.jsonl</button>
</div>
</main>
<footer>Made by Updraft from recorded metrics. This file is complete: it opens from disk and loads nothing.</footer>
<script type="application/x-ndjson" id="records">
${trusted(records)}</script>
<script>${trusted(pageScript)}</script>
</body>
</html>
`.toString();
}

function charts(
  groups: readonly ChartGroup[],
  runs: readonly RunRecord[],
  names: readonly string[],
  baseline: string | undefined,
): Markup {
  return html`<h2 id="charts">Curves</h2>
${groups.length === 0 ? html`<p>No series were recorded.</p>` : controls(runs, baseline)}
<div class="grid">
${groups.map((group) => chartSection(group, runs, names))}
</div>`;
}

function downSampled(runs: readonly RunRecord[], records: string): boolean {
  return (
    records.includes('"originalLength"') ||
    runs.some((run) => [...run.series.values()].some((series) => series.originalLength > series.steps.length))
  );
}
