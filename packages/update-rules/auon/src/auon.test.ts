import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  compareResult,
  createContainer,
  PluginRegistry,
  probeCall,
  probeUpdateRule,
  scalarAt,
  type UpdateRule,
} from '@updraft/core';
import { tensor, type TensorData } from '@updraft/graph';
import { Adam, adam, schedules, sgd } from '@updraft/rules';
import { testUpdateRule, traceUpdateRule } from '@updraft/testing';
import * as all from './index.js';
import { Auon, auon, HybridAuon, hybridAuon } from './index.js';

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8'));

// Steps have one length wherever the rule is: only a smaller rate gets closer.
const settings = (matrixRate: number) => {
  const falling = (from: number, steps: number) => schedules.linear({ from, to: from / 100, steps });
  const to = (from: number, steps: number) => ({
    options: { learningRate: falling(from, steps), fallback: adam({ learningRate: falling(0.05, steps) }) },
  });
  return {
    options: { learningRate: matrixRate },
    effects: {
      decayMultiplier: { value: { 'first.weight': 3 }, with: { weightDecay: 0.5 } },
      fallback: { value: sgd({ learningRate: 0.1 }) },
    },
    parabola: to(0.1, 400),
    rosenbrock: to(0.02, 2000),
  };
};
testUpdateRule(Auon, { ...settings(0.05), golden: [read('auon.json')] });
testUpdateRule(HybridAuon, { ...settings(0.05), golden: [read('hybrid-auon.json')] });

interface FunctionCase {
  readonly name: string;
  readonly input: { readonly call: 'coshRms' | 'newtonSchulz' };
  readonly expected: unknown;
}

describe('the card of AuON', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ device: 'cpu' });
  });
  afterAll(() => backend.dispose());

  test.each((read('auon.cases.json') as { readonly cases: readonly FunctionCase[] }).cases)(
    '$input.call: $name',
    async ({ input, expected }) => {
      const found = await probeCall(all[input.call], input, { backend });
      expect(compareResult(found, expected, { absolute: 2e-6 })).toMatchObject({ problems: [] });
    },
  );

  const first = {
    w: tensor([
      [0.5, -1.5, 0.25],
      [2, 1, -1],
    ]),
    b: tensor([0.5, -0.5]),
  };
  const gradients = [
    [
      [0.5, -1, 0],
      [2, -0.3, 0.1],
    ],
    [
      [-0.1, 3, 0],
      [-0.5, 1, 1],
    ],
    [
      [-0.7, -2, 0],
      [0.01, -1, 2],
    ],
  ];
  const trajectory = async (rule: () => UpdateRule, factor = 1): Promise<{ w: number[]; b: number[] }[]> =>
    (
      await traceUpdateRule({
        backend,
        rule,
        params: first,
        gradients: gradients.map((values) => ({
          w: tensor(values.map((row) => row.map((value) => value * factor))),
          b: tensor([0.1, -2]),
        })),
      })
    ).map(({ w, b }) => ({ w: numbers(w), b: numbers(b) }));
  const numbers = (value: TensorData | undefined): number[] => Array.from(value?.data as Float32Array);
  const distance = (a: readonly number[], b: readonly number[]): number =>
    Math.hypot(...a.map((value, at) => value - (b[at] as number)));

  test('a step has a length from η/cosh γ to η, and the direction of the momentum', async () => {
    for (const gamma of [0, 1, 3]) {
      let before = numbers(first.w);
      let momentum = before.map(() => 0);
      for (const [index, { w }] of (await trajectory(() => auon({ learningRate: 0.5, gamma }))).entries()) {
        const g = (gradients[index] as number[][]).flat();
        momentum = momentum.map((m, at) => 0.95 * m + 0.05 * (g[at] as number));
        const u = momentum.map((m, at) => 0.95 * m + 0.05 * (g[at] as number));
        const moved = before.map((value, at) => value - (w[at] as number));
        const length = Math.hypot(...moved);
        expect(length).toBeLessThanOrEqual(0.5 + 1e-6);
        expect(length).toBeGreaterThanOrEqual(0.5 / Math.cosh(gamma) - 1e-6);
        const cosine =
          moved.reduce((sum, value, at) => sum + value * (u[at] as number), 0) / (length * Math.hypot(...u));
        expect(cosine).toBeCloseTo(1, 6);
        before = w;
      }
    }
  });

  test('the normalised forms do not feel the scale of gradients, that of the code does', async () => {
    for (const make of [auon, hybridAuon]) {
      const expected = await trajectory(() => make({ learningRate: 0.1 }));
      for (const factor of [1000, 1e-2])
        (await trajectory(() => make({ learningRate: 0.1 }), factor)).forEach(({ w }, index) => {
          expect(distance(w, expected[index]?.w as number[])).toBeLessThan(1e-5);
        });
    }
    const code = (factor: number) => trajectory(() => auon({ learningRate: 1e-3, normalize: false }), factor);
    const [one, thousand] = [(await code(1))[0]?.w as number[], (await code(1000))[0]?.w as number[]];
    expect(distance(thousand, numbers(first.w)) / distance(one, numbers(first.w))).toBeCloseTo(1000, -1);
  });

  test('without a brake the form of the code is momentum with the look-ahead of Nesterov', async () => {
    const steps = await trajectory(() => auon({ learningRate: 0.1, normalize: false, gamma: 0, momentum: 0.9 }));
    let w = numbers(first.w);
    let m = w.map(() => 0);
    gradients.forEach((rows, index) => {
      const g = rows.flat();
      m = m.map((old, at) => 0.9 * old + 0.1 * (g[at] as number));
      w = w.map((value, at) => value - 0.1 * (0.1 * (g[at] as number) + 0.9 * (m[at] as number)));
      expect(distance(steps[index]?.w as number[], w)).toBeLessThan(1e-6);
    });
  });

  test('no iteration is AuON, and vectors move by the fallback alone', async () => {
    const expected = await trajectory(() => auon({ learningRate: 0.1 }));
    expect(await trajectory(() => hybridAuon({ learningRate: 0.1, nsSteps: 0 }))).toEqual(expected);
    const other = await trajectory(() => auon({ learningRate: 0.1, fallback: sgd({ learningRate: 0.5 }) }));
    expect(other.map(({ w }) => w)).toEqual(expected.map(({ w }) => w));
    [
      [0.45, 0.5],
      [0.4, 1.5],
      [0.35, 2.5],
    ].forEach((row, index) => {
      expect(distance(other[index]?.b as number[], row)).toBeLessThan(1e-6);
    });
  });

  test('a fallback with phases and visits of the host keeps them', async () => {
    const visits: number[] = [];
    const fallback: UpdateRule = {
      init: () => ({}),
      phase: (step) => (step % 2 === 0 ? 'even' : 'odd'),
      update: ({ params, phase }) => ({
        params: Object.fromEntries(
          Object.entries(params).map(([name, value]) => [name, phase === 'even' ? value.mul(2) : value]),
        ),
      }),
      needsHost: (step) => step === 3,
      host: ({ step }) => Promise.resolve(void visits.push(step)),
    };
    const steps = await trajectory(() => auon({ fallback }));
    expect(steps.map(({ b }) => b)).toEqual([
      [0.5, -0.5],
      [1, -1],
      [1, -1],
    ]);
    expect(visits).toEqual([3]);
  });

  test('in half precision the norm and the brake are those of float32', async () => {
    const half = (data: readonly (readonly number[])[]) => ({ w: { dtype: 'float16', data } });
    // The square of 300 is beyond float16; the norm of the step is not.
    const input = {
      params: half([
        [1, 2],
        [3, 4],
      ]),
      gradients: [
        half([
          [300, 0],
          [0, 400],
        ]),
      ],
    };
    const found = await probeUpdateRule(auon({ learningRate: 1, momentum: 0 }), input, { backend });
    const expected = {
      final: {
        params: {
          w: [
            [1 - 0.52653562, 2],
            [3, 4 - 0.70204749],
          ],
        },
      },
    };
    expect(compareResult(found, expected, { absolute: 2e-3, relative: 0 }).problems).toEqual([]);
  });

  test('the setting of the README is one that configurations take, with its fallback', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const { name, options } = JSON.parse(/```json\n([^`]+)```/.exec(readme)?.[1] ?? '') as {
      name: string;
      options: unknown;
    };
    const registry = new PluginRegistry().use({ Auon, HybridAuon, Adam });
    const rule = registry.create('update-rule', name, options, createContainer({ schedules: schedules.scheduleFrom }));
    const made = (rule as Auon).options;
    expect(scalarAt(made.learningRate, 3000)).toBeCloseTo(0.055, 12);
    expect(scalarAt(made.learningRate, 6001)).toBeCloseTo(0.0055, 12);
    expect(made.fallback).toBeInstanceOf(Adam);
  });
});
