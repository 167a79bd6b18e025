import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { parse, type HTMLElement } from 'node-html-parser';
import { sampleHeader, sampleRecords } from '../../test/sample-runs.js';
import { ReportError } from '../errors.js';
import { foldRuns } from '../records/fold-run.js';
import type { MetricRecord } from '../records/metric-record.js';
import { parseRuns } from '../records/parse-records.js';
import { renderReport } from './render-report.js';

const one = foldRuns(sampleRecords({ steps: 120 }));
const seeds = [1, 2, 3];
const several = foldRuns(
  ['adamw', 'sgd'].flatMap((name) =>
    seeds.flatMap((seed) =>
      sampleRecords({ name, group: name, seed, steps: 60, learningRate: name === 'sgd' ? 1e-4 : 1e-3 }),
    ),
  ),
);

function page(source: string): HTMLElement {
  return parse(source, { blockTextElements: { script: true, style: true } });
}

function recordsIn(source: string): string {
  return page(source).querySelector('#records')?.rawText ?? '';
}

function cellTexts(root: HTMLElement | null | undefined): string[][] {
  return root?.querySelectorAll('tr').map((row) => row.querySelectorAll('th, td').map((cell) => cell.text)) ?? [];
}

describe('one run', () => {
  const source = renderReport(one);
  const root = page(source);

  test('shows what ran', () => {
    expect(root.querySelector('h1')?.text).toBe('lenet-mnist');
    expect(root.querySelector('title')?.text).toContain('lenet-mnist');
    const facts = root.querySelector('dl.facts')?.text ?? '';
    for (const fact of [
      'updraft train mnist.json --seed 1',
      'lenet-mnist-5f8b03a1c2',
      'cpu (2 threads)',
      'linux x64, 2 cores',
      'onnxruntime-node 1.30.0',
      'd030785',
      '2026-11-24 09:30 UTC',
    ]) {
      expect(facts).toContain(fact);
    }
    expect(root.querySelector('header pre')?.text).toContain('"batchSize": 64');
    expect(root.querySelector('header .badge.pass')?.text).toBe('completed');
  });

  test('has a place for each chart, with a picture and a table for those who cannot see it', () => {
    const charts = root.querySelectorAll('figure[data-chart]');
    expect(charts.map((figure) => figure.getAttribute('data-chart'))).toEqual([
      'loss',
      'accuracy',
      'learningRate',
      'gradientNorm',
      'updateNorm',
      'throughput',
    ]);
    for (const figure of charts) {
      expect(figure.querySelector('noscript svg[role=img]')?.getAttribute('aria-label')).toMatch(/against step: /u);
      expect(figure.querySelectorAll('details tbody tr').length).toBeGreaterThan(1);
    }
    const table = cellTexts(charts[0]?.querySelector('table'));
    expect(table[0]).toEqual(['step', 'training', 'test']);
    expect(table.at(-1)?.[0]).toBe('120');
    expect(Number(table.at(-1)?.[1])).toBeCloseTo(one[0]?.series.get('loss')?.values.at(-1) ?? Number.NaN, 4);
  });

  test('shows results, predictions, programs, time and memory', () => {
    const matrix = root.querySelector('table.confusion');
    expect(matrix?.querySelectorAll('tbody tr')).toHaveLength(10);
    const counts = one[0]?.confusionMatrices[0]?.counts;
    expect(
      matrix
        ?.querySelectorAll('tbody tr')[3]
        ?.querySelectorAll('td')
        .map((cell) => cell.text)
        .slice(0, 10),
    ).toEqual(counts?.[3]?.map(String));
    const images = root.querySelectorAll('.samples img');
    expect(images).toHaveLength(24);
    expect(images[7]?.getAttribute('alt')).toBe('Sample: true 7, predicted 1');
    expect(root.querySelectorAll('.samples li.wrong')).toHaveLength(1);
    expect(root.querySelector('.text-sample')?.text).toContain('Ishmael');
    expect(root.querySelector('#programs')).not.toBeNull();
    expect(root.toString()).toContain('no int64 kernel');
    expect(root.toString()).toContain('412.0 MiB');
    const phases = cellTexts(root.querySelectorAll('table').find((table) => table.text.includes('checkpoint')));
    expect(phases[1]?.slice(0, 4)).toEqual(['step', '33.1 s', '86.8 %', '275.8 ms × 120']);
  });

  test('holds its own records, which can be read again', () => {
    const [again] = parseRuns(recordsIn(source));
    expect(again?.header).toEqual(one[0]?.header);
    expect(again?.confusionMatrices).toEqual(one[0]?.confusionMatrices);
    expect(again?.series.get('loss')?.steps).toEqual(one[0]?.series.get('loss')?.steps);
  });

  test('is the same every time', () => {
    expect(renderReport(one)).toBe(source);
  });
});

test('nothing is loaded from elsewhere, and the policy allows nothing but what is in the page', () => {
  const source = renderReport(one);
  const root = page(source);
  const outside = root
    .querySelectorAll('[src], [href], link, iframe, object, form[action]')
    .map((element) => element.getAttribute('src') ?? element.getAttribute('href'));
  expect(
    outside.filter((address) => address === undefined || !/^(?:data:image\/png;base64,|#)/u.test(address)),
  ).toEqual([]);
  expect(root.querySelector('style')?.rawText).not.toMatch(/url\(|@import/u);
  expect(root.querySelectorAll('[style]')).toEqual([]);

  const policy = root.querySelector('meta[http-equiv]')?.getAttribute('content') ?? '';
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const scripts = root.querySelectorAll('script').filter((script) => script.getAttribute('type') === undefined);
  expect(scripts).toHaveLength(1);
  expect(policy).toBe(
    `default-src 'none'; script-src ${hash(scripts[0]?.rawText ?? '')}; style-src ${hash(root.querySelector('style')?.rawText ?? '')}; img-src data:; base-uri 'none'; form-action 'none'`,
  );
});

test('no recorded text becomes markup, wherever it stands', () => {
  const attack = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"\'<!--';
  const point = { step: 1, time: 0, name: attack };
  const records: MetricRecord[] = [
    {
      ...sampleHeader(),
      name: attack,
      group: attack,
      command: attack,
      config: { [attack]: attack },
      configHash: attack,
      seed: attack,
      startedAt: attack,
      device: attack,
      machine: { class: attack, [attack]: attack },
      versions: { [attack]: attack },
      commit: attack,
    },
    { kind: 'scalars', step: 1, time: 0, values: { loss: 1, [attack]: 2, [`loss/${attack}`]: Number.NaN } },
    { kind: 'scalars', step: 2, time: 9, values: { loss: 1, [attack]: 3, [`loss/${attack}`]: 4 } },
    { kind: 'evaluation', ...point, metrics: { [attack]: 1 } },
    { kind: 'histogram', ...point, edges: [0, 1], counts: [1] },
    {
      kind: 'confusionMatrix',
      ...point,
      labels: [attack, 'b'],
      counts: [
        [1, 0],
        [2, 3],
      ],
    },
    {
      kind: 'images',
      ...point,
      images: [{ png: 'AAAA', width: 1, height: 1, label: attack, predicted: 'other', caption: attack }],
    },
    { kind: 'texts', ...point, texts: [{ prompt: attack, text: attack, reference: attack }] },
    { kind: 'phases', phases: [{ name: attack, seconds: 1 }] },
    { kind: 'memory', peakBytes: 1, parts: { [attack]: 1 } },
    {
      kind: 'graph',
      name: attack,
      nodes: 1,
      operators: { [attack]: 1 },
      unplaced: [{ operator: attack, node: attack, reason: attack }],
    },
    { kind: 'warning', message: attack },
    { kind: 'check', name: attack, verdict: 'fail', detail: attack },
    { kind: 'table', title: attack, columns: [attack], rows: [[attack]] },
    { kind: 'end', step: 1, time: 0, reason: 'failed', message: attack },
  ];
  for (const runs of [
    foldRuns(records),
    foldRuns([
      ...records,
      ...records.map((record) => (record.kind === 'run' ? { ...record, seed: `2${attack}` } : record)),
    ]),
  ]) {
    const source = renderReport(runs, { title: attack, baseline: attack });
    expect(source.match(/<script/gu)).toHaveLength(2);
    expect(source.match(/<\/script/gu)).toHaveLength(2);
    expect(source).not.toContain('<!--');
    const root = page(source);
    expect(
      root
        .querySelectorAll('img')
        .every(
          (image) => image.getAttribute('onerror') === undefined && image.getAttribute('src')?.startsWith('data:'),
        ),
    ).toBe(true);
    expect(root.querySelector('h1')?.text).toBe(attack);
    expect(root.querySelectorAll('[onerror]')).toEqual([]);
    expect(parseRuns(recordsIn(source))[0]?.header.command).toBe(attack);
  }
});

describe('several runs', () => {
  const source = renderReport(several, { baseline: 'sgd' });
  const root = page(source);

  test('are compared: means with spread, differences paired by seed', () => {
    expect(root.querySelector('h1')?.text).toBe('6 runs compared');
    const accuracies = several.map((run) => run.evaluations.at(-1)?.metrics['accuracy'] ?? Number.NaN);
    const results = cellTexts(
      root
        .querySelectorAll('table')
        .find((table) => table.querySelector('caption')?.text === 'Last evaluation on test'),
    );
    expect(results).toHaveLength(1 + 6 + 2);
    const total = results[4] ?? [];
    expect(total.slice(0, 2)).toEqual(['adamw: mean ± standard deviation', '3 seeds']);
    const mean = ((accuracies[0] ?? 0) + (accuracies[1] ?? 0) + (accuracies[2] ?? 0)) / 3;
    expect(Number(total.at(-1)?.split(' ± ')[0])).toBeCloseTo(mean, 4);
    const differences = cellTexts(
      root
        .querySelectorAll('table')
        .find((table) => table.querySelector('caption')?.text.startsWith('Difference to adamw') === true),
    );
    expect(differences.slice(1).map((row) => row.slice(0, 3))).toEqual([
      ['sgd', 'loss', '3'],
      ['sgd', 'accuracy', '3'],
    ]);
    expect(differences[1]?.[4]).toBe('0.25');
  });

  test('can be averaged, hidden and compared with a baseline', () => {
    expect(root.querySelector('#average')?.hasAttribute('checked')).toBe(true);
    expect(root.querySelector('#baseline')?.getAttribute('data-chosen')).toBe('sgd');
    expect(root.querySelector('#entries')).not.toBeNull();
  });

  test('equal programs are listed once', () => {
    expect(root.querySelectorAll('#programs + .grid > .card')).toHaveLength(2);
  });

  test('one run has no controls for several', () => {
    const single = page(renderReport(one));
    expect(single.querySelector('#average') ?? single.querySelector('#baseline')).toBeNull();
  });
});

describe('size', () => {
  const layers = Array.from({ length: 40 }, (_value, index) => `block${index}/weight`);
  const long = foldRuns(sampleRecords({ steps: 3000, layers }));

  test('long runs are thinned out to stay below a megabyte, and say so', () => {
    const source = renderReport(long);
    expect(Buffer.byteLength(source)).toBeLessThan(1_000_000);
    const [again] = parseRuns(recordsIn(source));
    expect(again?.series.size).toBe(long[0]?.series.size);
    expect(again?.series.get('loss')?.originalLength).toBe(3000);
    expect(again?.series.get('loss')?.steps.length).toBeGreaterThan(100);
    expect(source).toContain('thinned out');
  });

  test('samples go before the report fails', () => {
    const size = Buffer.byteLength(renderReport(one));
    const small = renderReport(one, { maximumBytes: Math.floor(size * 0.85) });
    expect(Buffer.byteLength(small)).toBeLessThanOrEqual(size * 0.85);
    expect(page(small).querySelectorAll('.samples img').length > 0).toBe(
      !small.includes('left out to keep the page small'),
    );
    expect(() => renderReport(one, { maximumBytes: 50_000 })).toThrow(/does not fit into 50000 bytes/u);
  });
});

test('little is enough: a run that has only begun', () => {
  const root = page(renderReport(foldRuns([sampleHeader()])));
  expect(root.querySelector('.badge.other')?.text).toBe('not finished');
  expect(root.querySelectorAll('figure')).toEqual([]);
});

test('values that cannot be drawn are counted beside the chart', () => {
  const records: MetricRecord[] = [1, Number.NaN, 0.5].map((loss, index) => ({
    kind: 'scalars',
    step: index + 1,
    time: 0,
    values: { loss },
  }));
  expect(page(renderReport(foldRuns([sampleHeader(), ...records]))).querySelector('figure')?.text).toContain(
    'Not drawn: 1 values of training that are NaN or infinite.',
  );
});

test('no runs are an error', () => {
  expect(() => renderReport([])).toThrow(ReportError);
});
