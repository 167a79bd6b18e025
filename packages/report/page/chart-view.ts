import uPlot from 'uplot';
import { formatNumber } from '../src/charts/format.js';
import { type ChartLine, describeLines } from './chart-lines.js';
import { nearestIndex } from './interpolate.js';

/** Lines that are drawn before the reader asks for more: of one run, and of each of several. */
const firstLabels = { oneRun: 8, severalRuns: 2 } as const;

const dashes: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
const plotHeight = 260;

export interface ChartViewOptions {
  readonly figure: HTMLElement;
  readonly title: string;
  readonly unit: string;
  /** Charts with the same key show the same step under the pointer. */
  readonly syncKey: string;
}

/** What a chart is told to draw. */
export interface ChartContent {
  readonly lines: readonly ChartLine[];
  readonly logScale: boolean;
  readonly axis: 'step' | 'time';
  readonly severalEntries: boolean;
}

/** One chart: the plot, its legend with the figures under the pointer, and keyboard access. */
export class ChartView {
  readonly #options: ChartViewOptions;
  readonly #plot: HTMLElement;
  readonly #position: HTMLElement;
  readonly #legend: HTMLElement;
  readonly #observer: ResizeObserver;
  /** Lines that the reader has switched on or off. */
  readonly #choices = new Map<string, boolean>();
  #content: ChartContent | undefined;
  #uplot: uPlot | undefined;
  #shown: readonly ChartLine[] = [];
  /** Value elements of the legend, by line. */
  #values = new Map<string, HTMLElement>();
  /** The position that the keyboard has reached on the common axis. */
  #cursor: number | undefined;

  constructor(options: ChartViewOptions) {
    this.#options = options;
    this.#plot = element('div', 'plot');
    this.#plot.tabIndex = 0;
    // A slider is what it is to a screen reader: arrow keys move along the steps, and each one is read out.
    this.#plot.setAttribute('role', 'slider');
    this.#plot.addEventListener('keydown', (event) => this.#onKey(event));
    this.#plot.addEventListener('blur', () => this.#leave());
    this.#position = element('p', 'position');
    this.#legend = element('ul', 'legend');
    const place = options.figure.querySelector('.chart-place');
    place?.replaceChildren(this.#plot, this.#position, this.#legend);
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(this.#plot);
  }

  show(content: ChartContent): void {
    this.#content = content;
    this.#draw();
  }

  /** Draws again with the colours of the page as they are now. */
  refresh(): void {
    this.#draw();
  }

  #draw(): void {
    const content = this.#content;
    if (content === undefined) return;
    this.#shown = content.lines.filter((line) => this.#isShown(line));
    this.#drawLegend(content);
    this.#uplot?.destroy();
    this.#uplot = undefined;
    this.#cursor = undefined;
    this.#plot.setAttribute('aria-label', describeLines(this.#options.title, this.#shown, formatNumber));
    this.#plot.classList.toggle('empty', this.#shown.length === 0);
    if (this.#shown.length === 0) {
      this.#plot.textContent = content.lines.length === 0 ? 'No run has values here.' : 'All lines are switched off.';
      this.#announce(undefined);
      return;
    }
    this.#plot.textContent = '';
    this.#uplot = new uPlot(this.#plotOptions(content), alignedData(this.#shown), this.#plot);
    this.#uplot.root.setAttribute('aria-hidden', 'true');
    this.#announce(undefined);
  }

  #isShown(line: ChartLine): boolean {
    const most = this.#content?.severalEntries === true ? firstLabels.severalRuns : firstLabels.oneRun;
    return this.#choices.get(line.id) ?? line.labelIndex < most;
  }

  #plotOptions(content: ChartContent): uPlot.Options {
    const ink = cssValue('--muted');
    const grid = { stroke: cssValue('--grid'), width: 1 };
    const font = `12px ${cssValue('--font')}`;
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const line of this.#shown) {
      const color = line.isBaseline ? cssValue('--baseline') : cssValue(`--series-${line.color % 8}`);
      const width = line.x.length > 300 && line.raw === undefined ? 1.25 : 2;
      if (line.raw !== undefined) {
        series.push({ stroke: withAlpha(color, 0.28), width: 1, points: { show: false } });
      }
      if (line.low !== undefined && line.high !== undefined) {
        bands.push({ series: [series.length, series.length + 1], fill: withAlpha(color, 0.18) });
        series.push(
          { stroke: 'transparent', points: { show: false } },
          { stroke: 'transparent', points: { show: false } },
        );
      }
      series.push({ stroke: color, width, dash: [...dashOf(line)], points: { size: 5 } });
    }
    return {
      width: Math.max(200, this.#plot.clientWidth),
      height: plotHeight,
      series,
      bands,
      legend: { show: false },
      scales: { x: { time: false }, y: content.logScale ? { distr: 3 } : {} },
      cursor: { sync: { key: this.#options.syncKey }, points: { size: 7 }, y: false },
      axes: [
        {
          stroke: ink,
          grid,
          ticks: grid,
          font,
          labelFont: font,
          label: content.axis === 'step' ? 'step' : 'seconds',
          labelSize: 20,
          size: 34,
        },
        {
          stroke: ink,
          grid,
          ticks: grid,
          font,
          labelFont: font,
          label: this.#options.unit,
          labelSize: 20,
          size: 64,
          values: (_plot, splits) => splits.map((value: number | null) => (value === null ? '' : formatNumber(value))),
        },
      ],
      hooks: {
        setCursor: [
          (plot) => {
            const left = plot.cursor.left ?? -1;
            this.#announce(left < 0 ? undefined : plot.posToVal(left, 'x'));
          },
        ],
      },
    };
  }

  /** Shows the figures at a position, or the last ones where no position is pointed at. */
  #announce(at: number | undefined): void {
    const content = this.#content;
    if (content === undefined) return;
    const parts: string[] = [];
    const positions = this.#positions();
    const nearest = at === undefined ? (positions.at(-1) ?? 0) : (positions[nearestIndex(positions, at)] ?? 0);
    for (const line of this.#shown) {
      const value = valueNear(line, nearest);
      const baseline = line.isBaseline
        ? undefined
        : this.#shown.find((other) => other.isBaseline && other.labelIndex === line.labelIndex);
      const base = baseline && valueNear(baseline, nearest);
      const text = describeValue(line, value, base);
      const target = this.#values.get(line.id);
      if (target !== undefined) target.textContent = text;
      parts.push(`${line.name} ${text}`);
    }
    const where = content.axis === 'step' ? `step ${formatNumber(Math.round(nearest))}` : `${formatNumber(nearest)} s`;
    this.#position.textContent = this.#shown.length === 0 ? '' : at === undefined ? `last: ${where}` : where;
    this.#plot.setAttribute('aria-valuemin', String(positions[0] ?? 0));
    this.#plot.setAttribute('aria-valuemax', String(positions.at(-1) ?? 0));
    this.#plot.setAttribute('aria-valuenow', String(nearest));
    this.#plot.setAttribute('aria-valuetext', `${where}: ${parts.join(', ')}`);
  }

  #positions(): readonly number[] {
    return Array.from(this.#uplot?.data[0] ?? []);
  }

  #onKey(event: KeyboardEvent): void {
    const plot = this.#uplot;
    const positions = this.#positions();
    if (plot === undefined || positions.length === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = positions.length - 1;
    const current = this.#cursor ?? last;
    const stride = Math.max(1, Math.round(positions.length / 20));
    const targets: Readonly<Record<string, number>> = {
      ArrowRight: current + 1,
      ArrowUp: current + 1,
      ArrowLeft: current - 1,
      ArrowDown: current - 1,
      PageUp: current + stride,
      PageDown: current - stride,
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.#cursor = Math.min(last, Math.max(0, target));
    const at = positions[this.#cursor] ?? 0;
    plot.setCursor({ left: plot.valToPos(at, 'x'), top: plot.over.clientHeight / 2 });
    this.#announce(at);
  }

  #leave(): void {
    this.#cursor = undefined;
    this.#uplot?.setCursor({ left: -10, top: -10 });
  }

  #drawLegend(content: ChartContent): void {
    this.#values = new Map();
    const items = content.lines.map((line) => {
      const button = element('button', 'legend-entry');
      button.type = 'button';
      button.setAttribute('aria-pressed', String(this.#isShown(line)));
      button.append(swatch(line), document.createTextNode(line.name));
      button.addEventListener('click', () => {
        this.#choices.set(line.id, !this.#isShown(line));
        this.#draw();
        // The legend was made anew: the focus goes back to where it was.
        this.#legend.querySelectorAll('button')[content.lines.indexOf(line)]?.focus();
      });
      const value = element('span', 'legend-value');
      this.#values.set(line.id, value);
      const item = element('li');
      item.append(button, value);
      return item;
    });
    if (content.lines.length > firstLabels.oneRun)
      items.push(this.#switchAll(content, true), this.#switchAll(content, false));
    this.#legend.replaceChildren(...items);
  }

  #switchAll(content: ChartContent, on: boolean): HTMLLIElement {
    const button = element('button', 'switch-all');
    button.type = 'button';
    button.textContent = on ? 'show all' : 'hide all';
    button.addEventListener('click', () => {
      for (const line of content.lines) this.#choices.set(line.id, on);
      this.#draw();
      this.#legend.querySelectorAll<HTMLButtonElement>('.switch-all')[on ? 0 : 1]?.focus();
    });
    const item = element('li');
    item.append(button);
    return item;
  }

  #resize(): void {
    const width = this.#plot.clientWidth;
    if (this.#uplot !== undefined && width > 0 && Math.abs(width - this.#uplot.width) > 1) {
      this.#uplot.setSize({ width, height: plotHeight });
    }
  }
}

/** Puts all lines on one axis; undefined where a line has no point, which the plot draws through. */
function alignedData(lines: readonly ChartLine[]): uPlot.AlignedData {
  return uPlot.join(
    lines.map((line): uPlot.AlignedData => {
      const columns: (number | null)[][] = [];
      if (line.raw !== undefined) columns.push([...line.raw]);
      if (line.low !== undefined && line.high !== undefined) columns.push([...line.high], [...line.low]);
      columns.push([...line.y]);
      return [[...line.x], ...columns];
    }),
  );
}

function valueNear(line: ChartLine, at: number): { readonly index: number; readonly value: number | null } {
  const index = nearestIndex(line.x, at);
  return { index, value: line.y[index] ?? null };
}

function describeValue(
  line: ChartLine,
  { index, value }: { readonly index: number; readonly value: number | null },
  baseline: { readonly value: number | null } | undefined,
): string {
  if (value === null) return '–';
  const low = line.low?.[index];
  const high = line.high?.[index];
  const raw = line.raw?.[index];
  let text = formatNumber(value);
  if (low !== undefined && low !== null && high !== undefined && high !== null)
    text += ` [${formatNumber(low)}, ${formatNumber(high)}]`;
  if (raw !== undefined && raw !== null) text += ` (raw ${formatNumber(raw)})`;
  if (baseline?.value !== undefined && baseline.value !== null) {
    const difference = value - baseline.value;
    text += ` (${difference > 0 ? '+' : ''}${formatNumber(difference)} to baseline)`;
  }
  return text;
}

/** A baseline is always broken, so that it stands apart without its colour too. */
function dashOf(line: ChartLine): readonly number[] {
  return dashes[(line.dash + Number(line.isBaseline)) % dashes.length] ?? [];
}

function swatch(line: ChartLine): SVGSVGElement {
  const space = 'http://www.w3.org/2000/svg';
  const picture = document.createElementNS(space, 'svg');
  picture.setAttribute('class', 'swatch');
  picture.setAttribute('width', '22');
  picture.setAttribute('height', '8');
  picture.setAttribute('aria-hidden', 'true');
  const stroke = document.createElementNS(space, 'line');
  stroke.setAttribute('x1', '1');
  stroke.setAttribute('x2', '21');
  stroke.setAttribute('y1', '4');
  stroke.setAttribute('y2', '4');
  stroke.setAttribute('class', line.isBaseline ? 'stroke-baseline' : `stroke-${line.color % 8}`);
  const dash = dashOf(line);
  if (dash.length > 0) stroke.setAttribute('stroke-dasharray', dash.join(' '));
  picture.append(stroke);
  return picture;
}

function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className?: string,
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (className !== undefined) made.className = className;
  return made;
}

function cssValue(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A colour of the page's palette, which is written as `#rrggbb`, with an alpha from 0 to 1. */
function withAlpha(color: string, alpha: number): string {
  return `${color}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, '0')}`;
}
