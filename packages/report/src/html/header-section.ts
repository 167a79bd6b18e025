import { formatDuration, formatNumber } from '../charts/format.js';
import type { RunHeader } from '../records/metric-record.js';
import { durationOf, lastStepOf, type RunRecord } from '../records/run-record.js';
import { html, type Insert, type Markup } from './html-template.js';
import { scrollable } from './scrollable.js';

/** Title, verdict, the few figures that matter, and what is needed to run it again. */
export function headerSection(runs: readonly RunRecord[], names: readonly string[], title: string): Markup {
  const [only] = runs;
  return html`<header class="masthead">
<h1>${title}</h1>
<p>${verdict(runs)} <span class="muted">${runs.length === 1 && only !== undefined ? startOf(only.header) : ''}</span></p>
${runs.length === 1 && only !== undefined ? headline(only) : runTable(runs, names)}
<details class="card"${runs.length === 1 && openAttribute}><summary>What ran</summary>
${runs.map(
  (
    { header },
    index,
  ) => html`${runs.length > 1 && html`<h2 class="run-name">${names[index] ?? ''}</h2>`}${facts(header)}
<details><summary>Configuration</summary><pre>${JSON.stringify(header.config, undefined, 2)}</pre></details>`,
)}
</details>
</header>`;
}

const openAttribute = html` open`;

/** One badge for all checks of all runs. */
export function verdict(runs: readonly RunRecord[]): Markup {
  const checks = runs.flatMap((run) => run.checks);
  const failed = checks.filter(({ verdict: one }) => one === 'fail').length;
  const broken = runs.filter((run) => run.end?.reason === 'failed').length;
  const unfinished = runs.filter((run) => run.end === undefined || run.end.reason === 'aborted').length;
  const badges: Markup[] = [];
  if (broken > 0)
    badges.push(
      html`<span class="badge fail">${runs.length === 1 ? 'failed' : `${broken} of ${runs.length} runs failed`}</span>`,
    );
  if (unfinished > 0)
    badges.push(
      html`<span class="badge other">${runs.length === 1 ? 'not finished' : `${unfinished} of ${runs.length} runs not finished`}</span>`,
    );
  if (broken + unfinished === 0) badges.push(html`<span class="badge pass">completed</span>`);
  if (failed > 0) badges.push(html`<span class="badge fail">${failed} of ${checks.length} checks failed</span>`);
  else if (checks.length > 0)
    badges.push(
      html`<span class="badge pass">${checks.length} ${checks.length === 1 ? 'check' : 'checks'} passed</span>`,
    );
  return html`${badges.flatMap((badge): Insert[] => [badge, ' '])}`;
}

function headline(run: RunRecord): Markup {
  const figures: [string, string][] = [['steps', formatNumber(lastStepOf(run))]];
  const duration = durationOf(run);
  if (duration !== undefined) figures.push(['total time', formatDuration(duration)]);
  const loss = run.series.get('loss')?.values.at(-1);
  if (loss !== undefined) figures.push(['last training loss', formatNumber(loss)]);
  for (const [name, metrics] of lastEvaluations(run)) {
    for (const [metric, value] of Object.entries(metrics)) figures.push([`${name} ${metric}`, formatNumber(value)]);
  }
  figures.push(['seed', String(run.header.seed)], ['device', run.header.device]);
  return html`<ul class="headline">${figures.slice(0, 9).map(([name, value]) => html`<li><span class="figure">${value}</span><span class="name">${name}</span></li>`)}</ul>`;
}

/** The last metrics of each data set. */
export function lastEvaluations(run: RunRecord): Map<string, Readonly<Record<string, number>>> {
  return new Map(run.evaluations.map(({ name, metrics }) => [name, metrics]));
}

function runTable(runs: readonly RunRecord[], names: readonly string[]): Markup {
  const table = html`<table>
<thead><tr><th scope="col">run</th><th scope="col">seed</th><th scope="col">device</th><th scope="col" class="number">steps</th><th scope="col" class="number">time</th><th scope="col" class="number">last loss</th><th scope="col">config hash</th><th scope="col">state</th></tr></thead>
<tbody>${runs.map((run, index) => {
    const loss = run.series.get('loss')?.values.at(-1);
    const duration = durationOf(run);
    return html`<tr><th scope="row">${names[index] ?? ''}</th><td>${run.header.seed}</td><td>${run.header.device}</td><td class="number">${formatNumber(lastStepOf(run))}</td><td class="number">${duration === undefined ? '' : formatDuration(duration)}</td><td class="number">${loss === undefined ? '' : formatNumber(loss)}</td><td><code>${run.header.configHash.slice(0, 12)}</code></td><td>${run.end?.reason ?? 'not finished'}</td></tr>`;
  })}</tbody>
</table>`;
  return html`<div class="card">${scrollable('Runs', table)}</div>`;
}

function facts(header: RunHeader): Markup {
  const { class: machineClass, ...machine } = header.machine;
  const rows: [string, Insert][] = [
    ['Command', html`<code>${header.command}</code>`],
    ['Seed', String(header.seed)],
    ['Config hash', html`<code>${header.configHash}</code>`],
    ['Started', startOf(header)],
    ['Device', header.device],
    ['Machine', [machineClass, ...Object.entries(machine).map(([name, value]) => `${name} ${value}`)].join(', ')],
    [
      'Versions',
      Object.entries(header.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
  ];
  if (header.commit !== undefined) rows.push(['Commit', html`<code>${header.commit}</code>`]);
  if (header.group !== undefined) rows.push(['Group', header.group]);
  return html`<dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

function startOf(header: RunHeader): string {
  const time = new Date(header.startedAt);
  return Number.isNaN(time.getTime()) ? header.startedAt : `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
