import { expect, test } from '@jest/globals';
import { parse } from 'node-html-parser';
import { sampleHeader, sampleRecords } from '../../test/sample-runs.js';
import { ReportError } from '../errors.js';
import { foldRuns } from '../records/fold-run.js';
import { renderSvg } from './render-svg.js';

test('points are where the axes say', () => {
  const runs = foldRuns([
    sampleHeader(),
    { kind: 'scalars', step: 0, time: 0, values: { loss: 4 } },
    { kind: 'scalars', step: 50, time: 0, values: { loss: 1 } },
    { kind: 'scalars', step: 100, time: 0, values: { loss: 0 } },
  ]);
  const root = parse(renderSvg(runs, { width: 480, height: 200 }));
  // Left 64, right 480 − 16; top 34, bottom 200 − 40 for the axis − 18 for the legend.
  expect(root.querySelector('path')?.getAttribute('d')).toBe('M64,34L264,115L464,142');
  expect(root.querySelector('svg')?.getAttribute('aria-label')).toBe('Loss against step: training from 4 to 0.');
  const ticks = root.querySelectorAll('text[text-anchor=end]').map((text) => [text.text, text.getAttribute('y')]);
  expect(ticks).toContainEqual(['0', '146']);
  expect(ticks).toContainEqual(['4', '38']);
});

test('a logarithmic axis leaves out what it cannot show', () => {
  const runs = foldRuns([
    sampleHeader(),
    ...[100, 0, 1, 0.01].map((loss, step) => ({ kind: 'scalars' as const, step, time: 0, values: { loss } })),
  ]);
  const path = parse(renderSvg(runs, { width: 480, height: 200, logScale: true }))
    .querySelector('path')
    ?.getAttribute('d');
  // Four decades over 108 pixels: 1 is in the middle.
  expect(path).toBe('M64,34L330.7,88L464,142');
});

test('several runs have a line each, and a group that is not there is named', () => {
  const runs = foldRuns([1, 2].flatMap((seed) => sampleRecords({ seed, steps: 20 })));
  const root = parse(renderSvg(runs, { chart: 'learningRate' }));
  expect(root.querySelectorAll('path')).toHaveLength(2);
  expect(root.text).toContain('lenet-mnist, seed 2');
  expect(() => renderSvg(runs, { chart: 'los' })).toThrow(ReportError);
  expect(() => renderSvg(runs, { chart: 'los' })).toThrow(/There are: loss, accuracy/u);
});

test('text is escaped', () => {
  expect(renderSvg(foldRuns(sampleRecords({ steps: 5 })), { title: '<script>' })).not.toContain('<script>');
});
