import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseRecord } from '@updraft/testing/experiment';
import { inFolder, startUpdraft, updraft } from '../testing/command.js';

/** An installed package of a method, whose experiment needs no other package. */
function install(folder: string, name: string, manifest: object = {}, experiment: string = EXPERIMENT): void {
  const at = join(folder, 'node_modules', name);
  mkdirSync(at, { recursive: true });
  writeFileSync(
    join(at, 'package.json'),
    JSON.stringify({
      name,
      version: '1.2.3',
      type: 'module',
      exports: { './experiment': './experiment.js' },
      updraft: { contract: 'update-rule', contractVersion: 1 },
      ...manifest,
    }),
  );
  writeFileSync(join(at, 'experiment.js'), experiment);
  const project = join(folder, 'package.json');
  const before = existsSync(project)
    ? (JSON.parse(readFileSync(project, 'utf8')) as { dependencies: object })
    : { dependencies: {} };
  writeFileSync(project, JSON.stringify({ dependencies: { ...before.dependencies, [name]: '1.2.3' } }));
}

// Figures by hand: the error is (rate − 2)² + seed / 100. The first run of each seed waits, so that it can be interrupted.
const EXPERIMENT = `
const wait = (milliseconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, milliseconds);
  signal?.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); });
});
export const experiments = [{
  id: 'parabola', title: 'A parabola', protocol: 'By hand.',
  workload: { wait: 700 }, quick: { wait: 1 },
  tune: { metric: 'error', goal: 'least' },
  arms: [
    { name: 'new', role: 'method', settings: [{ rate: 3 }, { rate: 2 }] },
    { name: 'old', role: 'baseline', settings: [{ rate: 4 }, { rate: 5 }] },
  ],
  claims: [
    { id: 'better', statement: 'New is better.', source: 'by hand', arms: ['new', 'old'],
      judge: (results) => [{ text: 'its error is lower', holds: results.compare(results.chosen('old'), results.chosen('new'), 'error').mean > 0 }] },
    { id: 'perfect', statement: 'New is perfect.', source: 'by hand', arms: ['new'],
      judge: (results) => [{ text: 'its error is 0', holds: results.chosen('new').mean('error') === 0 }] },
  ],
  async run({ rate }, { seed, workload, progress, signal }) {
    if (rate === 3) await wait(workload.wait, signal);
    progress(1);
    const error = (rate - 2) ** 2 + seed / 100;
    return { metrics: { error }, curves: { error: { steps: [1, 2], values: [2, error] } } };
  },
}];
`;
const RULE = '@example/quick-rule';

describe('updraft reproduce', () => {
  test('runs, tells, records and draws; a quick run is kept apart', async () => {
    await inFolder((folder) => {
      install(folder, RULE);
      const { status, stdout, stderr } = updraft(folder, 'reproduce', 'quick-rule');
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^12\/12 {2}old \(rate 5\), seed 2: error 9.02/m);
      expect(stdout).toMatch(/^new +rate 2 +2 +0.01 ± 0.01$/m);
      expect(stdout).toContain('SHOWN: better. New is better.');
      expect(stdout).toContain('NOT SHOWN: perfect. New is perfect.');
      const read = (name: string) => parseRecord(JSON.parse(readFileSync(join(folder, 'records', name), 'utf8')));
      const record = read('quick-rule.json');
      expect(record.package).toEqual({ name: RULE, version: '1.2.3' });
      expect(record.experiments[0]?.claims.map(({ id, verdict }) => [id, verdict])).toEqual([
        ['better', 'shown'],
        ['perfect', 'not shown'],
      ]);
      expect(record.experiments[0]?.versions).toMatchObject({ [RULE]: '1.2.3', node: process.versions.node });
      expect(record.experiments[0]?.peakMemoryBytes).toBeGreaterThan(1e7);
      expect(readFileSync(join(folder, 'records/quick-rule-parabola.svg'), 'utf8')).toContain('</svg>');

      const quick = updraft(folder, 'reproduce', RULE, '--quick', '--claim', 'perfect', '--json');
      expect(quick.status).toBe(0);
      expect(parseRecord(JSON.parse(quick.stdout)).experiments[0]).toMatchObject({ quick: true, seeds: [0] });
      expect(quick.stderr).toContain('1 seed');
      expect(read('quick-rule.json')).toEqual(record);
      expect(read('quick-rule.quick.json').experiments[0]?.arms.map(({ name }) => name)).toEqual(['new']);
    });
  }, 120_000);

  test('Ctrl-C stops it, and the same command goes on', async () => {
    await inFolder(async (folder) => {
      install(folder, RULE);
      const running = startUpdraft(folder, 'reproduce', 'quick-rule');
      await running.until('seed 0: error 4');
      running.child.kill('SIGINT');
      expect(await running.ended).toBe(130);
      expect(running.stdout()).toContain('The same command goes on where it was left.');
      expect(existsSync(join(folder, 'records/quick-rule.json'))).toBe(false);
      const { status, stdout } = updraft(folder, 'reproduce', 'quick-rule');
      expect(status).toBe(0);
      expect(stdout).toMatch(/^3\/12 .*\(done before\)$/m);
      expect(stdout).not.toMatch(/^12\/12 .*\(done before\)$/m);
    });
  }, 120_000);

  test('what cannot be run is told with the way out', async () => {
    await inFolder((folder) => {
      install(folder, RULE);
      install(folder, '@other/quick-rule');
      install(folder, 'updraft-old', { updraft: { contract: 'update-rule', contractVersion: 0 } });
      install(folder, 'updraft-empty', {}, 'export const experiments = [];');
      const refusal = (...flags: string[]): string => {
        const { status, stdout, stderr } = updraft(folder, 'reproduce', ...flags);
        expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
        expect(stderr).not.toContain('    at ');
        return stderr;
      };
      expect(refusal('updraft-empyt')).toMatch(/no method "updraft-empyt".*Did you mean "updraft-empty"/s);
      expect(refusal('quick-rule')).toMatch(/@example\/quick-rule, @other\/quick-rule/);
      expect(refusal('updraft-old')).toMatch(
        /version 0 of the contracts; this is version 1.*newer version of updraft-old/s,
      );
      expect(refusal('updraft-empty')).toMatch(/exports no experiments/);
      expect(refusal(RULE, '--claim', 'worse')).toMatch(/no claim "worse".*better, perfect/s);
      expect(refusal(RULE, '--seeds', '0')).toMatch(/whole number of at least 1/);
      mkdirSync(join(folder, 'records'));
      writeFileSync(join(folder, 'records/quick-rule.runs.json'), '{');
      expect(refusal(RULE)).toMatch(/quick-rule\.runs\.json" is no JSON/);
    });
  }, 120_000);
});
