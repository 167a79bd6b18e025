import { scaleLinear, scaleLog } from 'd3-scale';
import { line as lineShape } from 'd3-shape';
import { chartGroups, seriesByGroup } from '../charts/chart-groups.js';
import { formatNumber } from '../charts/format.js';
import { runLabels } from '../charts/run-groups.js';
import { ReportError } from '../errors.js';
import { html, type Markup } from '../html/html-template.js';
import { downSampleSeries } from '../records/compact-run.js';
import type { RunRecord } from '../records/run-record.js';

export interface RenderSvgOptions {
  /** Which chart: the part of the series' names before the first slash. Default `loss`. */
  readonly chart?: string;
  /** Pixels. Default 720. */
  readonly width?: number;
  /** Pixels. Default 320. */
  readonly height?: number;
  readonly logScale?: boolean;
  /** Default: the title of the chart. */
  readonly title?: string;
  /** The most points of one line. Default 300. */
  readonly points?: number;
  /** The most lines; the rest is left out. Default 8. */
  readonly lines?: number;
  /**
   * Whether the picture brings its own colours, for both light and dark surroundings. Default true; the report
   * embeds pictures without, since its style sheet has them.
   */
  readonly standalone?: boolean;
}

const light = ['#2563eb', '#c2410c', '#15803d', '#9333ea', '#be123c', '#0e7490', '#a16207', '#be185d'];
const dark = ['#6ea8fe', '#fb923c', '#4ade80', '#c69bff', '#fb7185', '#4fd1e0', '#eac54f', '#f58bc4'];

const margin = { top: 34, right: 16, bottom: 40, left: 64 };
const legendRowHeight = 18;

/**
 * A static picture of one chart, for a README or a page without scripts.
 *
 * @throws ReportError if no run has the chart
 */
export function renderSvg(runs: readonly RunRecord[], options: RenderSvgOptions = {}): string {
  const { chart = 'loss', width = 720, height = 320, logScale = false, standalone = true } = options;
  const group = chartGroups(runs).find(({ key }) => key === chart);
  if (group === undefined) {
    const known = chartGroups(runs).map(({ key }) => key);
    throw new ReportError(`No run has a chart "${chart}".`, {
      hint: known.length === 0 ? 'The runs hold no series at all.' : `There are: ${known.join(', ')}.`,
      details: { chart, known },
    });
  }
  const title = options.title ?? group.title;
  const names = runLabels(runs);
  const lines = runs
    .flatMap((run, runIndex) =>
      [...(seriesByGroup(run).get(chart) ?? [])].map(([label, series]) => {
        const { steps, values } = downSampleSeries(series, options.points ?? 300);
        const name =
          runs.length === 1
            ? label
            : group.labels.length === 1
              ? (names[runIndex] ?? '')
              : `${names[runIndex] ?? ''}: ${label}`;
        const points = steps
          .map((step, index): [number, number] => [step, values[index] ?? Number.NaN])
          .filter(([, value]) => Number.isFinite(value) && (!logScale || value > 0));
        return { name, points };
      }),
    )
    .filter(({ points }) => points.length > 0)
    .slice(0, options.lines ?? 8);

  const rows = legendRows(
    lines.map(({ name }) => name),
    width - margin.left - margin.right,
  );
  const plotBottom = height - margin.bottom - legendRowHeight * Math.max(0, ...rows.map(({ row }) => row + 1));
  const allX = lines.flatMap(({ points }) => points.map(([step]) => step));
  const allY = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const x = scaleLinear(extent(allX, 0, 1), [margin.left, width - margin.right]);
  const y = (logScale ? scaleLog : scaleLinear)(extent(allY, logScale ? 0.1 : 0, 1), [plotBottom, margin.top]).nice(5);
  const path = lineShape()
    .x(([step]) => round(x(step)))
    .y(([, value]) => round(y(value)));

  const yTicks = y.ticks(5).filter((_tick, index, ticks) => index % Math.ceil(ticks.length / 6) === 0);
  return html`<svg xmlns="http://www.w3.org/2000/svg" class="static-chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${describe(title, lines)}">
${standalone && ownStyle()}<text x="${margin.left}" y="18" class="title">${title}</text>
${yTicks.map((tick) => html`<line class="axis" x1="${margin.left}" x2="${width - margin.right}" y1="${round(y(tick))}" y2="${round(y(tick))}"/><text x="${margin.left - 8}" y="${round(y(tick)) + 4}" text-anchor="end">${formatNumber(tick)}</text>`)}
${x.ticks(6).map((tick) => html`<text x="${round(x(tick))}" y="${plotBottom + 18}" text-anchor="middle">${formatNumber(tick)}</text>`)}
<text x="${width - margin.right}" y="${plotBottom + 34}" text-anchor="end">step</text>
${lines.map(({ points }, index) => html`<path class="line stroke-${index % 8}" d="${path(points) ?? ''}"/>`)}
${rows.map(({ name, left, row }, index) => {
  const top = plotBottom + margin.bottom + row * legendRowHeight;
  const start = margin.left + left;
  return html`<line class="line stroke-${index % 8}" x1="${start}" x2="${start + 18}" y1="${top}" y2="${top}"/><text x="${start + 24}" y="${top + 4}">${name}</text>`;
})}
</svg>`.toString();
}

/** Puts legend entries side by side, with a guess of their widths, and breaks them into rows. */
function legendRows(names: readonly string[], width: number): { name: string; left: number; row: number }[] {
  let left = 0;
  let row = 0;
  return names.map((name) => {
    const entryWidth = 44 + name.length * 6.6;
    if (left > 0 && left + entryWidth > width) {
      left = 0;
      row += 1;
    }
    const entry = { name, left: round(left), row };
    left += entryWidth;
    return entry;
  });
}

function ownStyle(): Markup {
  const strokes = (colors: readonly string[]) =>
    colors.map((color, index) => `.stroke-${index}{stroke:${color}}`).join('');
  return html`<style>text{fill:#56606e;font:12px system-ui,sans-serif}.title{font-weight:600;fill:#1b2330}.axis{stroke:#d5dae1}.line{fill:none;stroke-width:2}${strokes(light)}@media (prefers-color-scheme:dark){text{fill:#a3aebd}.title{fill:#e7ebf1}.axis{stroke:#36404d}${strokes(dark)}}</style>
`;
}

function describe(
  title: string,
  lines: readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[],
): string {
  const parts = lines.map(
    ({ name, points }) =>
      `${name} from ${formatNumber(points[0]?.[1] ?? 0)} to ${formatNumber(points.at(-1)?.[1] ?? 0)}`,
  );
  return `${title} against step: ${parts.join('; ')}.`;
}

function extent(values: readonly number[], low: number, high: number): [number, number] {
  if (values.length === 0) return [low, high];
  const least = values.reduce((left, right) => Math.min(left, right));
  const most = values.reduce((left, right) => Math.max(left, right));
  // A flat line needs room around it.
  return least === most ? [least - Math.abs(least) * 0.1 || -1, most + Math.abs(most) * 0.1 || 1] : [least, most];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
