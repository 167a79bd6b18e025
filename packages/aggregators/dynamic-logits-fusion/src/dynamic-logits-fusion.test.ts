import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { merge, type Aggregator } from '@updraft/core';
import { Graph, tensor, type Tensor, type TensorData } from '@updraft/graph';
import { parseProbeCases, runProbeCase, testAggregator } from '@updraft/testing';
import * as all from './index.js';
import { DynamicLogitsFusion, dynamicLogitsFusion, StaticLogitsFusion, staticLogitsFusion } from './index.js';

// Machines that run checks are busy.
jest.setTimeout(120_000);

const golden = JSON.parse(
  readFileSync(new URL('../golden/dynamic-logits-fusion.json', import.meta.url), 'utf8'),
) as unknown;

/** Sources are logits in roles: their order matters, weights do not count, and an expert alone is nothing. */
const roles = {
  values: { logits: { shape: [3, 6] } },
  weighted: false,
  symmetric: false,
  unanimous: false,
  scales: false,
  within: false,
  duplicates: false,
};
const waive = {
  shapes: 'A fusion has at least three sources; shapes of results are tested below.',
  'every-source': 'The kit adds constants to logits, which change no probability; below each source is shown to count.',
};
testAggregator(DynamicLogitsFusion, {
  ...roles,
  waive,
  effects: { range: { value: [0, 0.35] }, mode: { value: 'joint' }, fine: { value: 0.1 }, coarse: { value: 0.07 } },
});
testAggregator(StaticLogitsFusion, { ...roles, waive: { shapes: waive.shapes }, unbounded: ['alpha'] });

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

describe('golden values', () => {
  test.each(parseProbeCases(golden))('$name', async (one) => {
    await runProbeCase(one, { exports: all, backend });
  });
});

type Rows = readonly (readonly number[])[];
const numbers = (value: TensorData | undefined): number[] => [...((value as TensorData).data as Float32Array)];

async function fuse(
  models: readonly Rows[],
  aggregator: Aggregator = dynamicLogitsFusion(),
): Promise<Record<'logits' | 'alpha' | 'objective', number[]>> {
  const logits = models.map((rows) => ({ logits: tensor(rows as number[][]) }));
  const { values, outputs } = await merge({ models: logits, aggregator, backend });
  return {
    logits: numbers(values['logits']),
    alpha: outputs['alpha'] === undefined ? [] : numbers(outputs['alpha']),
    objective: outputs['objective'] === undefined ? [] : numbers(outputs['objective']),
  };
}
const softmax = (logits: readonly number[]): number[] => {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / total);
};
const close = (actual: readonly number[], expected: readonly number[], digits = 5): void => {
  expect(actual).toHaveLength(expected.length);
  expected.forEach((value, at) => {
    expect(actual[at]).toBeCloseTo(value, digits);
  });
};

const LARGE = [2, 1, 0, -1];
const BASE = [1, 1, 0, 0];
const EXPERT = [0, 2, 1, 0];

describe('the card of dynamic logits fusion', () => {
  test('2: the fused distribution, and that of proxy tuning', async () => {
    const { logits, alpha } = await fuse([[LARGE], [BASE], [EXPERT]]);
    close(alpha, [0.82], 6);
    close(softmax(logits), [0.269745, 0.511567, 0.188195, 0.030492]);
    const proxy = await fuse([[LARGE], [BASE], [EXPERT]], staticLogitsFusion());
    close(softmax(proxy.logits), [0.206032, 0.560053, 0.206032, 0.027883]);
    close(proxy.logits, [1, 2, 1, -1], 6);
  });

  test('the interpretation: P·(Q_t/Q)^α, renormalised', async () => {
    const { logits, alpha } = await fuse([[LARGE], [BASE], [EXPERT]]);
    const [p, q, tuned] = [LARGE, BASE, EXPERT].map(softmax) as [number[], number[], number[]];
    const weights = p.map((one, v) => one * ((tuned[v] as number) / (q[v] as number)) ** (alpha[0] as number));
    const total = weights.reduce((sum, one) => sum + one, 0);
    close(
      softmax(logits),
      weights.map((one) => one / total),
    );
  });

  test('4: without a shift every α is as good, and the smallest of the range is taken', async () => {
    const range: [number, number] = [0.5, 1.5];
    const { logits, alpha, objective } = await fuse([[LARGE], [BASE], [BASE]], dynamicLogitsFusion({ range }));
    expect([logits, alpha, objective]).toEqual([LARGE, [0.5], [0]]);
  });

  test.each([0, 1, 2])('5: constants added to the logits of model %i change no probability', async (model) => {
    const expected = await fuse([[LARGE], [BASE], [EXPERT]]);
    for (const constant of [-500, 64]) {
      const moved = [LARGE, BASE, EXPERT].map((row, at) => [at === model ? row.map((logit) => logit + constant) : row]);
      const found = await fuse(moved);
      expect(found.alpha).toEqual(expected.alpha);
      expect(found.objective).toEqual(expected.objective);
      const lead = Math.max(...found.logits);
      close(softmax(found.logits.map((logit) => logit - lead)), softmax(expected.logits), 4);
    }
  });

  test('each row has its own α: a batch gives what its rows give alone', async () => {
    const large = [LARGE, [0, 3, -1, 1], [1, 0, 0, 0]];
    const base = [BASE, [0.5, 0, 0, 2], [0, 1, 0, 0]];
    const expert = [EXPERT, [2, 0, 1, 0], [0, 1, 0, 0]];
    const together = await fuse([large, base, expert]);
    for (const row of [0, 1, 2]) {
      const alone = await fuse([[large[row]!], [base[row]!], [expert[row]!]]);
      expect(together.alpha[row]).toBe(alone.alpha[0]);
      expect(together.objective[row]).toBe(alone.objective[0]);
      expect(together.logits.slice(4 * row, 4 * row + 4)).toEqual(alone.logits);
    }
    expect(new Set(together.alpha).size).toBe(3);
  });

  test('one expert at a time: the targets of all count, ties go to the first', async () => {
    const other = [1, 0, 2, 0];
    const { alpha, objective } = await fuse([[LARGE], [BASE], [EXPERT], [other]]);
    expect(alpha.filter((one) => one === 0)).toHaveLength(1);
    // With its own target alone each comes down to some 0.003; both cannot be met at once.
    expect(objective[0]).toBeGreaterThan(0.004);
    const twins = await fuse([[LARGE], [BASE], [EXPERT], [EXPERT]]);
    close(twins.alpha, [0.82, 0], 6);
    expect(twins.objective[0]).toBeCloseTo(2 * 0.0030656, 6);
  });

  test('a joint search is no worse than one expert at a time, and takes two experts', async () => {
    const other = [1, 0, 2, 0];
    const single = await fuse([[LARGE], [BASE], [EXPERT], [other]]);
    const joint = await fuse([[LARGE], [BASE], [EXPERT], [other]], dynamicLogitsFusion({ mode: 'joint' }));
    expect(joint.objective[0]).toBeLessThanOrEqual(single.objective[0]!);
    await expect(
      fuse([[LARGE], [BASE], [EXPERT], [other], [BASE]], dynamicLogitsFusion({ mode: 'joint' })),
    ).rejects.toThrow(/3 experts cannot be searched together/);
  });

  test('what single values of a range give is static fusion', async () => {
    for (const alpha of [0, 0.5, 1, 1.5]) {
      const found = await fuse([[LARGE], [BASE], [EXPERT]], dynamicLogitsFusion({ range: [alpha, alpha] }));
      expect(found.logits).toEqual((await fuse([[LARGE], [BASE], [EXPERT]], staticLogitsFusion({ alpha }))).logits);
    }
  });
});

describe('what can go wrong', () => {
  const infinite = (...rows: number[][]): TensorData[] =>
    rows.map((row) => ({ dataType: 'float32', dims: [1, row.length], data: Float32Array.from(row) }));

  /** Outside of `merge`, which refuses infinities. */
  async function direct(rows: TensorData[]): Promise<Record<string, TensorData>> {
    const graph = new Graph('fuse');
    const [large, smallBase, ...experts] = rows.map(({ dataType, dims }, at) => graph.input(`m${at}`, dataType, dims));
    const fused = dynamicLogitsFusion().fuse({ large: large!, smallBase: smallBase!, experts });
    for (const [name, value] of Object.entries(fused) as [string, Tensor][]) graph.output(value.identity(), name);
    const program = await backend.compile(graph);
    return program.run(Object.fromEntries(rows.map((row, at) => [`m${at}`, row])));
  }

  test('a token that is masked in all models stays masked and changes nothing', async () => {
    const found = await direct(infinite([...LARGE, -Infinity], [...BASE, -Infinity], [...EXPERT, -Infinity]));
    close(numbers(found['alpha']), [0.82], 6);
    expect(numbers(found['objective'])[0]).toBeCloseTo(0.0030656, 6);
    expect(numbers(found['logits'])[4]).toBe(-Infinity);
    const plain = await fuse([[LARGE], [BASE], [EXPERT]]);
    expect(numbers(found['logits']).slice(0, 4)).toEqual(plain.logits);
  });

  test('logits in float64 keep their type and their accuracy', async () => {
    const wide = [LARGE, BASE, EXPERT].map((row) => tensor([row], 'float64'));
    const found = await direct(wide);
    expect(found['logits']?.dataType).toBe('float64');
    expect(found['alpha']?.data[0]).toBeCloseTo(0.82, 12);
    expect(found['objective']?.data[0]).toBeCloseTo(0.0030656, 7);
  });

  test('half precision is fused in float32 and given back as it came', async () => {
    const graph = new Graph('half');
    const rows = [LARGE, BASE, EXPERT];
    const [large, smallBase, expert] = rows.map((_, at) => graph.input(`m${at}`, 'float32', [1, 4]).cast('float16'));
    const fused = dynamicLogitsFusion().fuse({ large: large!, smallBase: smallBase!, experts: [expert!] });
    expect(fused.logits.dataType).toBe('float16');
    graph.output(fused.logits.cast('float32'), 'logits');
    graph.output(fused.objective.identity(), 'objective');
    const program = await backend.compile(graph);
    const found = await program.run(Object.fromEntries(rows.map((row, at) => [`m${at}`, tensor([row])])));
    // M^L + 0.82·(E - B), rounded to half precision.
    close(numbers(found['logits']), [1.18, 1.82, 0.82, -1], 3);
    expect(numbers(found['objective'])[0]).toBeCloseTo(0.0030656, 6);
  });

  test('one program with symbolic sizes serves batches and lengths of any size', async () => {
    const graph = new Graph('symbolic');
    const [large, smallBase, expert] = [0, 1, 2].map((at) => graph.input(`m${at}`, 'float32', ['batch', 'length', 4]));
    const fused = dynamicLogitsFusion().fuse({ large: large!, smallBase: smallBase!, experts: [expert!] });
    for (const [name, value] of Object.entries(fused) as [string, Tensor][]) graph.output(value.identity(), name);
    const program = await backend.compile(graph);
    for (const [batch, length] of [
      [1, 3],
      [2, 1],
    ] as const) {
      const repeated = (row: number[]): TensorData => ({
        dataType: 'float32',
        dims: [batch, length, 4],
        data: Float32Array.from(Array.from({ length: batch * length }, () => row).flat()),
      });
      const found = await program.run({ m0: repeated(LARGE), m1: repeated(BASE), m2: repeated(EXPERT) });
      expect(found['alpha']?.dims).toEqual([batch, length, 1]);
      expect(found['objective']?.dims).toEqual([batch, length]);
      for (const alpha of numbers(found['alpha'])) expect(alpha).toBeCloseTo(0.82, 6);
    }
  });

  test('every source counts', async () => {
    const sources = [LARGE, BASE, EXPERT];
    const { alpha } = await fuse(sources.map((row) => [row]));
    for (const at of [0, 1, 2]) {
      const changed = sources.map((row, model) => [model === at ? [row[0]! + 1, ...row.slice(1)] : row]);
      expect((await fuse(changed)).alpha).not.toEqual(alpha);
    }
  });

  test('roles go by id wherever the sources stand, and missing ones are refused', async () => {
    const models = [EXPERT, LARGE, BASE].map((row) => ({ logits: tensor([row]) }));
    const aggregator = dynamicLogitsFusion();
    const { outputs } = await merge({ models, ids: ['poet', 'large', 'smallBase'], aggregator, backend });
    close(numbers(outputs['alpha']), [0.82], 6);
    const ids = ['poet', 'large', 'critic'];
    await expect(merge({ models, ids, aggregator, backend })).rejects.toThrow(/a role is missing/);
    await expect(merge({ models: models.slice(1), aggregator, backend })).rejects.toThrow(/needs 3/);
    const two = models.map((one) => ({ ...one, other: one.logits }));
    await expect(merge({ models: two, aggregator, backend })).rejects.toThrow(/2 values: logits, other/);
  });

  test('unlike vocabularies, ranges that do not fit and endless searches are refused', async () => {
    await expect(direct(infinite([1, 2, 3], [1, 2, 3], [1, 2]))).rejects.toThrow(/one vocabulary/);
    await expect(
      fuse(
        [[LARGE], [BASE], [EXPERT]],
        dynamicLogitsFusion({
          range: [
            [0, 1],
            [0, 2],
          ],
        }),
      ),
    ).rejects.toThrow(/2 ranges for 1 experts/);
    await expect(fuse([[LARGE], [BASE], [EXPERT]], staticLogitsFusion({ alpha: [1, 1] }))).rejects.toThrow(
      /2 coefficients for 1 experts/,
    );
    expect(() => dynamicLogitsFusion({ range: [2, 0] })).toThrow(/low ≤ high/);
    expect(() => dynamicLogitsFusion({ fine: 1e-9 })).toThrow(/larger steps/);
  });

  test.each([1e-3, 30, 1e4, 1e15])('logits of size %d give a finite fusion', async (size) => {
    const scaled = [LARGE, BASE, EXPERT].map((row) => [row.map((logit) => logit * size)]);
    const { logits, alpha, objective } = await fuse(scaled);
    for (const value of [...logits, ...alpha, ...objective]) expect(Number.isFinite(value)).toBe(true);
  });
});
