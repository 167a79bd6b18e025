import { formatNumber } from '../charts/format.js';
import type {
  ConfusionMatrixRecord,
  HistogramRecord,
  ImagesRecord,
  SampleImage,
  TextsRecord,
} from '../records/metric-record.js';
import type { RunRecord } from '../records/run-record.js';
import { html, type Markup } from './html-template.js';
import { scrollable } from './scrollable.js';

/** What the model does: confusion matrices, pictures and texts, and how its values are distributed. */
export function sampleSection(runs: readonly RunRecord[], names: readonly string[]): Markup | undefined {
  const parts = runs.flatMap((run, index) => {
    const name = names[index] ?? '';
    const prefix = runs.length > 1 ? `${name}: ` : '';
    const cards = [
      ...run.confusionMatrices.map((record) => confusionMatrix(record, prefix)),
      ...run.images.map((record) => images(record, prefix)),
      ...run.texts.map((record) => texts(record, prefix)),
      ...(run.histograms.length > 0 ? [histograms(run.histograms, prefix)] : []),
    ];
    if (cards.length === 0) return [];
    return runs.length > 1 ? [html`<details><summary>${name}</summary>${cards}</details>`] : cards;
  });
  return parts.length === 0 ? undefined : html`<h2 id="predictions">Predictions</h2>${parts}`;
}

function confusionMatrix({ name, step, labels, counts }: ConfusionMatrixRecord, prefix: string): Markup {
  const total = counts.flat().reduce((sum, count) => sum + count, 0);
  const right = counts.reduce((sum, row, index) => sum + (row[index] ?? 0), 0);
  return html`<div class="card"><h3>${prefix}Confusion matrix, ${name}</h3>
<p class="muted">Step ${formatNumber(step)}: ${formatNumber(right)} of ${formatNumber(total)} right${total > 0 && ` (${((100 * right) / total).toFixed(2)} %)`}. Rows are true classes, columns predicted ones; the shade is the share of the row.</p>
${scrollable(
  `${prefix}Confusion matrix, ${name}`,
  html`<table class="confusion">
<thead><tr><td class="corner">true \\ predicted</td>${labels.map((label) => html`<th scope="col">${label}</th>`)}<th scope="col">recall</th></tr></thead>
<tbody>${counts.map((row, trueIndex) => {
    const rowTotal = row.reduce((sum, count) => sum + count, 0);
    return html`<tr><th scope="row">${labels[trueIndex] ?? ''}</th>${row.map((count, predictedIndex) => html`<td class="${shade(count, rowTotal)}${predictedIndex === trueIndex && ' right'}">${formatNumber(count)}</td>`)}<td>${rowTotal === 0 ? '' : `${((100 * (row[trueIndex] ?? 0)) / rowTotal).toFixed(1)} %`}</td></tr>`;
  })}</tbody>
</table>`,
)}</div>`;
}

/** Shades are few and light, so that the figures stay readable on all of them; rare mistakes still get one. */
function shade(count: number, rowTotal: number): string {
  if (count === 0 || rowTotal === 0) return 'shade-0';
  return `shade-${Math.min(5, 1 + Math.floor((count / rowTotal) * 5))}`;
}

function images({ name, step, images: samples }: ImagesRecord, prefix: string): Markup {
  const wrong = samples.filter(isWrong).length;
  return html`<div class="card"><h3>${prefix}${name}</h3>
<p class="muted">Step ${formatNumber(step)}: ${samples.length} samples${samples.some(({ predicted }) => predicted !== undefined) && `, ${wrong} of them predicted wrong`}.</p>
<ul class="samples">${samples.map((sample) => {
    const { png, width, height, label, predicted, caption } = sample;
    const mistake = isWrong(sample);
    return html`<li class="${mistake && 'wrong '}${width > 96 && 'wide'}"><img src="data:image/png;base64,${png}" width="${width}" height="${height}" alt="${alternative(sample, name)}">${
      predicted !== undefined &&
      (mistake
        ? html`<span class="mistake">✗ ${predicted}, is ${label ?? ''}</span>`
        : html`${label !== undefined && '✓ '}${predicted}`)
    }${predicted === undefined && label}${caption !== undefined && html` <span class="muted">${caption}</span>`}</li>`;
  })}</ul></div>`;
}

function isWrong({ label, predicted }: SampleImage): boolean {
  return label !== undefined && predicted !== undefined && label !== predicted;
}

function alternative({ label, predicted, caption }: SampleImage, name: string): string {
  const parts = [
    label !== undefined && `true ${label}`,
    predicted !== undefined && `predicted ${predicted}`,
    caption,
  ].filter((part) => typeof part === 'string');
  return parts.length === 0 ? `Sample of ${name}` : `Sample: ${parts.join(', ')}`;
}

function texts({ name, step, texts: samples }: TextsRecord, prefix: string): Markup {
  return html`<div class="card"><h3>${prefix}${name}</h3>
<p class="muted">Step ${formatNumber(step)}.</p>
${samples.map(
  ({ prompt, text, reference }) =>
    html`<div class="text-sample">${prompt !== undefined && html`<p class="muted">Prompt</p><pre>${prompt}</pre><p class="muted">Text</p>`}<pre>${text}</pre>${reference !== undefined && html`<p class="muted">Reference</p><pre>${reference}</pre>`}</div>`,
)}</div>`;
}

const histogramWidth = 220;
const histogramHeight = 60;

function histograms(records: readonly HistogramRecord[], prefix: string): Markup {
  return html`<div class="card"><h3>${prefix}Distributions</h3>${scrollable(
    `${prefix}Distributions`,
    html`<table>
<thead><tr><th scope="col">tensor</th><th scope="col">histogram</th><th scope="col" class="number">lowest</th><th scope="col" class="number">highest</th><th scope="col" class="number">values</th><th scope="col" class="number">step</th></tr></thead>
<tbody>${records.map(({ name, edges, counts, step }) => {
      const total = counts.reduce((sum, count) => sum + count, 0);
      return html`<tr><th scope="row">${name}</th><td>${bars(counts, `Histogram of ${name} in ${counts.length} bins`)}</td><td class="number">${formatNumber(edges[0] ?? Number.NaN)}</td><td class="number">${formatNumber(edges.at(-1) ?? Number.NaN)}</td><td class="number">${formatNumber(total)}</td><td class="number">${formatNumber(step)}</td></tr>`;
    })}</tbody></table>`,
  )}</div>`;
}

function bars(counts: readonly number[], description: string): Markup {
  const most = counts.reduce((left, right) => Math.max(left, right), 1);
  const width = histogramWidth / Math.max(1, counts.length);
  const round = (value: number) => Math.round(value * 100) / 100;
  return html`<svg width="${histogramWidth}" height="${histogramHeight}" role="img" aria-label="${description}">${counts.map(
    (count, index) => {
      const height = round((count / most) * histogramHeight);
      return html`<rect class="bar" x="${round(index * width)}" y="${round(histogramHeight - height)}" width="${round(Math.max(0.5, width - 0.5))}" height="${height}"/>`;
    },
  )}</svg>`;
}
