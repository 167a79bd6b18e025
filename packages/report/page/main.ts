import { chartGroups, seriesByGroup } from '../src/charts/chart-groups.js';
import { runGroups, runLabels } from '../src/charts/run-groups.js';
import { timeAt } from '../src/records/compact-run.js';
import { foldRuns } from '../src/records/fold-run.js';
import { readNumber } from '../src/records/json-number.js';
import type { MetricRecord } from '../src/records/metric-record.js';
import type { RunRecord } from '../src/records/run-record.js';
import type { Entry, SourceLine, ViewState } from './chart-lines.js';
import { chartLines } from './chart-lines.js';
import { ChartView } from './chart-view.js';

/** The records that the page carries. We wrote them ourselves, so they are not validated again. */
function readRecords(): MetricRecord[] {
  const source = document.getElementById('records')?.textContent ?? '';
  return source
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line, (_key, value: unknown) => readNumberBack(value)) as MetricRecord);
}

function readNumberBack(value: unknown): unknown {
  return value === 'nan' || value === 'inf' || value === '-inf' ? readNumber(value) : value;
}

function linesOf(run: RunRecord): { key: string; label: string; line: SourceLine }[] {
  const start = Date.parse(run.header.startedAt);
  return [...seriesByGroup(run)].flatMap(([key, group]) =>
    [...group].map(([label, { steps, values }]) => ({
      key,
      label,
      line: { steps, values, seconds: steps.map((step) => (timeAt(run, step) - start) / 1000) },
    })),
  );
}

function entriesOf(runs: readonly RunRecord[], average: boolean): Entry[] {
  const lines = runs.map(linesOf);
  if (average) {
    return runGroups(runs).map(({ label, members }, color) => ({
      label: members.length > 1 ? `${label} (${members.length} seeds)` : label,
      name: label,
      color,
      runs: members.map((member) => lines[member] ?? []),
    }));
  }
  return runLabels(runs).map((label, color) => ({ label, name: label, color, runs: [lines[color] ?? []] }));
}

function start(): void {
  const runs = foldRuns(readRecords());
  const groups = chartGroups(runs);
  const views = groups.flatMap((group) => {
    const figure = document.querySelector<HTMLElement>(`figure[data-chart="${CSS.escape(group.key)}"]`);
    return figure === null
      ? []
      : [{ group, view: new ChartView({ figure, title: group.title, unit: group.unit, syncKey: 'steps' }) }];
  });

  const controls = document.getElementById('controls');
  const smoothing = input('smoothing');
  const logScale = input('log-scale');
  const time = input('axis-time');
  const average = input('average');
  const baseline = document.getElementById('baseline');
  const entryList = document.getElementById('entries');
  let hiddenEntries = new Set<number>();
  let entries = entriesOf(runs, average?.checked ?? false);

  const state = (): ViewState => ({
    smoothing: Math.min(0.99, Number(smoothing?.value ?? 0)),
    logScale: logScale?.checked ?? false,
    axis: time?.checked === true ? 'time' : 'step',
    baseline: baseline instanceof HTMLSelectElement && baseline.value !== '' ? Number(baseline.value) : undefined,
    hiddenEntries,
  });
  const draw = (): void => {
    const current = state();
    const output = document.getElementById('smoothing-value');
    if (output !== null) output.textContent = current.smoothing.toFixed(2);
    for (const dot of document.querySelectorAll<HTMLElement>('.dot')) {
      dot.classList.toggle('fill-baseline', dot.dataset['entry'] === String(current.baseline));
    }
    for (const { group, view } of views) {
      view.show({
        lines: chartLines(group.key, group.labels, entries, current),
        logScale: current.logScale,
        axis: current.axis,
        severalEntries: entries.length > 1,
      });
    }
  };
  const listEntries = (): void => {
    if (entryList !== null) {
      entryList.replaceChildren(
        ...entries.map(({ label, color }, index) => {
          const item = document.createElement('label');
          const box = document.createElement('input');
          box.type = 'checkbox';
          box.checked = !hiddenEntries.has(index);
          box.addEventListener('change', () => {
            if (box.checked) hiddenEntries.delete(index);
            else hiddenEntries.add(index);
            draw();
          });
          const dot = document.createElement('span');
          dot.className = `dot fill-${color % 8}`;
          dot.dataset['entry'] = String(index);
          dot.setAttribute('aria-hidden', 'true');
          item.append(box, dot, document.createTextNode(label));
          return item;
        }),
      );
    }
    if (baseline instanceof HTMLSelectElement) {
      const chosen = baseline.dataset['chosen'] ?? '';
      baseline.replaceChildren(
        new Option('none', ''),
        ...entries.map(({ label, name }, index) => new Option(label, String(index), false, name === chosen)),
      );
    }
  };

  // This runs before the form's own listener for the same event, which then draws the new entries.
  average?.addEventListener('input', () => {
    hiddenEntries = new Set();
    entries = entriesOf(runs, average.checked);
    listEntries();
  });
  listEntries();
  controls?.removeAttribute('hidden');
  controls?.addEventListener('input', draw);
  controls?.addEventListener('submit', (event) => event.preventDefault());
  draw();

  const refresh = (): void => {
    for (const { view } of views) view.refresh();
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', refresh);
  // Paper is white: the charts are drawn again in the light palette while the page is printed.
  addEventListener('beforeprint', () => {
    document.documentElement.classList.add('printing');
    refresh();
  });
  addEventListener('afterprint', () => {
    document.documentElement.classList.remove('printing');
    refresh();
  });

  const download = document.getElementById('download');
  download?.removeAttribute('hidden');
  download?.addEventListener('click', () => {
    const source = document.getElementById('records')?.textContent ?? '';
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([source.trimStart()], { type: 'application/x-ndjson' }));
    link.download = 'metrics.jsonl';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

function input(id: string): HTMLInputElement | undefined {
  const found = document.getElementById(id);
  return found instanceof HTMLInputElement ? found : undefined;
}

start();
