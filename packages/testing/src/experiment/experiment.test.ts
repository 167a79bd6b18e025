import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { NonFiniteError } from '@updraft/core';
import {
  defineExperiment,
  markdownTable,
  MemoryRunStore,
  parseRecord,
  plainTable,
  plotExperiment,
  runExperiment,
  withExperiment,
  type Experiment,
  type ExperimentOptions,
  type ExperimentProgress,
  type Setting,
} from './index.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const at = (rate: number): Setting => ({ rate });

/** Figures that can be told by hand: the error is (rate − best)² + seed / 100. */
function sample(
  calls: { setting: Setting; seed: number; size: number }[] = [],
): Experiment<{ size: number; best: number }> {
  return defineExperiment({
    id: 'parabola',
    title: 'A parabola',
    protocol: 'By hand.',
    workload: { size: 10, best: 2 },
    quick: { size: 1 },
    tune: { metric: 'error', goal: 'least' },
    arms: [
      { name: 'new', role: 'method', settings: [at(1), at(2), at(100)] },
      { name: 'old', role: 'baseline', settings: [at(4), at(5), at(6)] },
      { name: 'other', role: 'ablation', settings: [at(1)], fixed: 'Shown only.' },
    ],
    claims: [
      {
        id: 'better',
        statement: 'The new one is better.',
        source: 'by hand',
        arms: ['new', 'old'],
        judge: (results) => {
          const { mean, differences } = results.compare(results.chosen('old'), results.chosen('new'), 'error');
          return [
            { text: `better by ${mean}`, holds: mean > 0 },
            { text: 'by 10 on every seed', holds: Math.min(...differences) > 10 },
          ];
        },
      },
      {
        id: 'third',
        statement: 'The other is worse.',
        source: 'by hand',
        arms: ['other'],
        judge: (results) => [{ text: 'its error is 1', holds: results.chosen('other').values('error')[0] === 1 }],
      },
    ],
    run: (setting, { seed, workload }) => {
      calls.push({ setting, seed, size: workload.size });
      const rate = Number(setting['rate']);
      if (rate === 100) throw new NonFiniteError('The loss is NaN at step 3.');
      const error = (rate - workload.best) ** 2 + seed / 100;
      return Promise.resolve({ metrics: { error }, curves: { error: { steps: [1, 2], values: [2 * error, error] } } });
    },
  });
}

const options = (more: Partial<ExperimentOptions> = {}): ExperimentOptions => ({
  backend,
  store: new MemoryRunStore(),
  surroundings: { machine: 'a test', versions: { node: '0' }, peakMemoryBytes: () => 7 },
  ...more,
});

describe('runExperiment', () => {
  test('tunes on the mean, pairs seeds and decides each claim', async () => {
    const { record } = await runExperiment(sample(), options());
    const [own, old] = record.arms;
    expect(own?.chosen).toEqual({ rate: 2 });
    // Means of 0, 0.01, 0.02 beside (rate − 2)²; a run that diverged is never the best.
    expect(own?.tried.map(({ mean }) => mean)).toEqual([expect.closeTo(1.01), expect.closeTo(0.01), 'nan']);
    expect(old?.chosen).toEqual({ rate: 4 });
    expect(old?.mean['error']).toBeCloseTo(4.01);
    expect(old?.deviation['error']).toBeCloseTo(0.01);
    const [better, third] = record.claims;
    expect(better).toMatchObject({
      verdict: 'partly',
      reason: '1 of 2 conditions does not hold: by 10 on every seed.',
    });
    expect(better?.comparisons).toEqual([
      // Of 8 ways to swap three pairs, two have a difference as large.
      {
        left: 'old',
        right: 'new',
        metric: 'error',
        differences: [4, 4, 4].map((value) => expect.closeTo(value)),
        mean: expect.closeTo(4),
        deviation: expect.closeTo(0),
        p: 0.25,
      },
    ]);
    expect(third?.verdict).toBe('shown');
    expect(record).toMatchObject({ seeds: [0, 1, 2], quick: false, machine: 'a test', peakMemoryBytes: 7 });
    expect(record.configHash).toMatch(/^[0-9a-f]{64}$/);
  });

  test('what is done is not done again: equal settings, an interrupted experiment', async () => {
    const calls: Parameters<typeof sample>[0] = [];
    const store = new MemoryRunStore();
    const controller = new AbortController();
    const onProgress = (event: ExperimentProgress): void => {
      if (event.type === 'run-end' && event.index === 3) controller.abort();
    };
    const running = runExperiment(sample(calls), options({ store, signal: controller.signal, onProgress }));
    await expect(running).rejects.toThrow(/abort/i);
    expect(calls).toHaveLength(4);
    const { record } = await runExperiment(sample(calls), options({ store }));
    // Of 7 settings two are equal; 3 seeds.
    expect(calls).toHaveLength(18);
    const { record: whole } = await runExperiment(sample(), options());
    expect(record.arms.map(({ mean, tried }) => [mean, tried])).toEqual(
      whole.arms.map(({ mean, tried }) => [mean, tried]),
    );
    expect(record.configHash).toBe(whole.configHash);
  });

  test('a quick run is small, a claim runs only its arms, and seeds are counted', async () => {
    const calls: { setting: Setting; seed: number; size: number }[] = [];
    const { record } = await runExperiment(sample(calls), options({ quick: true, claims: ['third'] }));
    expect(calls).toEqual([{ setting: { rate: 1 }, seed: 0, size: 1 }]);
    expect(record.quick).toBe(true);
    expect(record.claims.map(({ id, reason }) => [id, reason])).toEqual([
      ['third', 'A quick run, which says nothing of the claim. All that it needs hold: its error is 1.'],
    ]);
    expect((await runExperiment(sample(), options({ seeds: 5 }))).record.seeds).toEqual([0, 1, 2, 3, 4]);
    await expect(runExperiment(sample(), options({ claims: ['fourth'] }))).rejects.toThrow(
      /no claim "fourth".*better, third/s,
    );
  });

  test('what a run throws otherwise comes out', async () => {
    const broken: Experiment = { ...sample(), run: () => Promise.reject(new TypeError('broken')) };
    await expect(runExperiment(broken, options())).rejects.toThrow('broken');
  });
});

describe('records', () => {
  test('go through JSON, and experiments are replaced by id', async () => {
    const { record: experiment } = await runExperiment(sample(), options());
    const record = {
      format: 'updraft-record' as const,
      version: 1 as const,
      method: 'x',
      package: { name: '@updraft/x', version: '1.0.0' },
      experiments: [experiment],
    };
    expect(parseRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
    expect(withExperiment(record, { ...experiment, title: 'B' }).experiments.map(({ title }) => title)).toEqual(['B']);
    expect(withExperiment(record, { ...experiment, id: 'b' }).experiments).toHaveLength(2);
    expect(() => parseRecord({ ...record, version: 2 })).toThrow(/"version"/);
  });

  test('tables show mean and deviation, and the plot has a line per arm', async () => {
    const experiment = sample();
    const run = await runExperiment(experiment, options());
    expect(
      plainTable(run.record)
        .split('\n')
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ['arm', 'setting', 'tried', 'error'],
      ['new', 'rate 2', '3', '0.01 ± 0.01'],
      ['old', 'rate 4', '3', '4.01 ± 0.01'],
      ['other', 'rate 1', '1', '1.01 ± 0.01'],
    ]);
    expect(markdownTable(run.record)).toContain('| new | rate 2 | 3 | 0.01 ± 0.01 |');
    const picture = plotExperiment(experiment, run) ?? '';
    expect(picture.match(/<path class="line/g)).toHaveLength(3);
    expect(picture).toContain('new from 0.02 to 0.01');
  });
});

describe('defineExperiment refuses', () => {
  const base = sample();
  const arm = (name: string, count: number) => ({
    name,
    role: 'method' as const,
    settings: Array.from({ length: count }, (_, rate) => at(rate)),
  });
  test.each<[string, Partial<Experiment<{ size: number; best: number }>>, RegExp]>([
    ['unequal tuning', { arms: [arm('new', 3), arm('old', 2), arm('other', 3)] }, /unequally: new 3, old 2, other 3/],
    ['an arm twice', { arms: [arm('new', 1), arm('new', 1)] }, /arm "new" twice/],
    ['an arm without settings', { arms: [...base.arms, arm('none', 0)] }, /no setting for "none"/],
    ['a claim about nothing known', { arms: [arm('new', 1)] }, /claim "better" about an arm "old"/],
    ['no claim', { claims: [] }, /no claim/],
    ['a name', { id: 'A b' }, /kebab-case/],
    ['two seeds', { seeds: 2 }, /2 seeds/],
  ])('%s', (_, change, message) => {
    expect(() => defineExperiment({ ...base, ...change })).toThrow(message);
  });
});
