import type { RunRecord } from '../records/run-record.js';
import { html, type Markup } from './html-template.js';

/** What a reader must not miss: checks, warnings, how a run ended and where it was resumed. */
export function noticeSection(runs: readonly RunRecord[], names: readonly string[]): Markup | undefined {
  const notices = runs
    .map((run, index) => notice(run, runs.length > 1 ? names[index] : undefined))
    .filter((one) => one !== undefined);
  if (notices.length === 0) return undefined;
  return html`<h2 id="checks">Checks and warnings</h2>${runs.length > 1 ? html`<div class="card">${notices}</div>` : notices}`;
}

const openAttribute = html` open`;

const verdictClasses = { pass: 'pass', fail: 'fail', skipped: 'other' } as const;

function notice(run: RunRecord, name: string | undefined): Markup | undefined {
  const items: Markup[] = run.checks.map(
    ({ name: check, verdict, detail }) =>
      html`<li><span class="badge ${verdictClasses[verdict]}">${verdict}</span> ${check}${detail !== undefined && html` <span class="muted">${detail}</span>`}</li>`,
  );
  if (run.end?.message !== undefined || run.end?.reason === 'failed') {
    items.push(
      html`<li><span class="badge ${run.end.reason === 'failed' ? 'fail' : 'other'}">${run.end.reason}</span> at step ${run.end.step}${run.end.message !== undefined && `: ${run.end.message}`}</li>`,
    );
  }
  for (const { message, step } of run.warnings) {
    items.push(
      html`<li><span class="badge other">warning</span> ${step !== undefined && `step ${step}: `}${message}</li>`,
    );
  }
  if (run.resumedAt.length > 0)
    items.push(
      html`<li><span class="badge other">resumed</span> from the checkpoint of step ${run.resumedAt.join(', ')}</li>`,
    );
  if (items.length === 0) return undefined;
  const list = html`<ul class="checks">${items}</ul>`;
  if (name === undefined) return html`<div class="card">${list}</div>`;
  const failed = run.end?.reason === 'failed' || run.checks.some(({ verdict }) => verdict === 'fail');
  const passed = run.checks.filter(({ verdict }) => verdict === 'pass').length;
  const summary = [
    `${passed} of ${run.checks.length} checks passed`,
    run.warnings.length > 0 && `${run.warnings.length} ${run.warnings.length === 1 ? 'warning' : 'warnings'}`,
  ];
  return html`<details${failed && openAttribute}><summary>${name}: ${summary.filter(Boolean).join(', ')}</summary>${list}</details>`;
}
