import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { generate, train, type GenerationModel, type GenerationSampler } from '@updraft/core';
import { fromTensors, shuffled } from '@updraft/data';
import { Graph, tensor, type TensorData } from '@updraft/graph';
import { adam } from '@updraft/rules';
import { parseProbeCases, runProbeCase, testGenerationSampler } from '@updraft/testing';
import { frechetDistance } from './frechet-distance.js';
import * as all from './index.js';
import {
  AdaptiveProjectedGuidance,
  apg,
  cfg,
  denoisingLoss,
  diffusionSampler,
  gaussianMixture,
  labelledDenoiser,
} from './index.js';

jest.setTimeout(120_000);

const golden = JSON.parse(
  readFileSync(new URL('../golden/adaptive-projected-guidance.json', import.meta.url), 'utf8'),
) as unknown;

const numbers = (value: TensorData | undefined): number[] => Array.from((value as TensorData<'float32'>).data);
const labels = (...values: number[]): TensorData<'int64'> => ({
  dataType: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const MEANS = tensor([
  [2, 1, 0.5],
  [0, 1.5, -1],
]);
const noise = { largestNoise: 10, smallestNoise: 0.05 };
const request = { models: { denoiser: gaussianMixture(MEANS, 0.3) }, inputs: { label: labels(0, 1, 1) } };

testGenerationSampler(AdaptiveProjectedGuidance, {
  request,
  options: { shape: [3], steps: 5, nullLabel: 2, momentum: -0.4, normThreshold: 1, eta: 0.3, ...noise },
  unbounded: ['normThreshold'],
  effects: {
    // Both arithmetics agree to rounding.
    precision: { value: 'float32' },
    shape: { value: [2] },
    process: { value: 'flow' },
    unconditionalModel: { value: 'other' },
    nullLabel: { value: 1 },
  },
});

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

describe('invariants', () => {
  const evaluate = async (
    guidance: all.Guidance,
    Dc: TensorData,
    Du: TensorData,
    state?: TensorData,
  ): Promise<Record<string, number[]>> => {
    const graph = new Graph('test');
    const guided = guidance.apply(
      graph.constant(Dc),
      graph.constant(Du),
      state === undefined ? undefined : graph.constant(state),
    );
    for (const [name, value] of Object.entries({ ...guided })) graph.output(value, name);
    const program = await backend.compile(graph);
    const found = await program.run({});
    await program.dispose();
    return Object.fromEntries(Object.entries(found).map(([name, value]) => [name, numbers(value)]));
  };
  const Dc = tensor([
    [3, 4, -1],
    [0.5, -2, 1],
  ]);
  const Du = tensor([
    [1, 1, 2],
    [-1, 0.25, 3],
  ]);
  const rows = (values: readonly number[]): number[][] => [values.slice(0, 3), values.slice(3)];
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);
  const minus = (a: readonly number[], b: readonly number[]): number[] =>
    a.map((value, at) => value - (b[at] as number));

  test.each([0, 2])(
    'with η = 0 the change is orthogonal to D_c, and its square adds to that of D_c (r = %p)',
    async (r) => {
      const { D = [] } = await evaluate(apg({ scale: 6, normThreshold: r, momentum: -0.5 }), Dc, Du);
      for (const [row, conditional] of rows(numbers(Dc)).entries()) {
        const guided = rows(D)[row] as number[];
        const change = minus(guided, conditional);
        expect(dot(change, change)).toBeGreaterThan(1);
        expect(dot(change, conditional) / dot(conditional, conditional)).toBeCloseTo(0, 6);
        expect(dot(guided, guided)).toBeCloseTo(dot(conditional, conditional) + dot(change, change), 3);
      }
    },
  );

  test('scale 1 is D_c to the bit, whatever the other options and the memory are', async () => {
    for (const options of [{}, { eta: 0.5 }, { normThreshold: 0.1, momentum: -0.9 }])
      expect((await evaluate(apg({ scale: 1, ...options }), Dc, Du, Du))['D']).toEqual(numbers(Dc));
  });

  test('with η = 1, no limit and no momentum it is classifier-free guidance: D_u + w·Δ', async () => {
    const { D = [] } = await evaluate(apg({ scale: 3, eta: 1 }), Dc, Du);
    const expected = numbers(Du).map((value, at) => value + 3 * ((numbers(Dc)[at] as number) - value));
    expected.forEach((value, at) => {
      expect(D[at]).toBeCloseTo(value, 5);
    });
    expect(numbersClose((await evaluate(cfg(3), Dc, Du))['D'] as number[], expected)).toBe(true);
  });

  test('half precision is computed in a wider one', async () => {
    const graph = new Graph('half');
    const [c, u] = [graph.constant(Dc).cast('float16'), graph.constant(Du).cast('float16')];
    const { D } = apg({ scale: 200, normThreshold: 100 }).apply(c.mul(100), u.mul(100));
    // Squares of these are beyond 65504, the largest number of float16.
    expect(D.dataType).toBe('float16');
    graph.output(D.cast('float32'), 'D');
    const program = await backend.compile(graph);
    const { D: found } = await program.run({});
    await program.dispose();
    const wide = await evaluate(apg({ scale: 200, normThreshold: 100 }), scaled(Dc, 100), scaled(Du, 100));
    numbers(found).forEach((value, at) => {
      const expected = wide['D']?.[at] as number;
      expect(Math.abs(value - expected)).toBeLessThan(1e-3 * Math.max(100, Math.abs(expected)));
    });
  });

  test('predictions of another shape or type, and schedules without a step, are refused', () => {
    const graph = new Graph('refused');
    const [c, u] = [graph.constant(Dc), graph.constant(tensor([[1, 2, 3]]))];
    expect(() => apg().apply(c, u)).toThrow(
      /conditional prediction is float32\[2, 3\], the unconditional one float32\[1, 3\]/,
    );
    expect(() => apg().apply(c, c, u)).toThrow(/the state float32\[1, 3\]/);
    expect(() => apg().apply(c.cast('int32'), c.cast('int32'))).toThrow(/samples of floats/);
    const rising = { at: (step: number) => step };
    expect(() => apg({ scale: rising }).apply(c, c)).toThrow(/scale of the guidance is a schedule/);
    expect(() => apg({ momentum: -1 })).toThrow(/momentum/);
  });
});

const scaled = (value: TensorData, factor: number): TensorData<'float32'> => ({
  ...(value as TensorData<'float32'>),
  data: (value as TensorData<'float32'>).data.map((one) => one * factor),
});
const numbersClose = (a: readonly number[], b: readonly number[], tolerance = 1e-5): boolean =>
  a.length === b.length &&
  a.every((value, at) => Math.abs(value - (b[at] as number)) <= tolerance * Math.max(1, Math.abs(value)));

describe('generations', () => {
  const shape = [3];
  const run = async (sampler: GenerationSampler, more: object = {}) =>
    generate({ ...request, sampler, backend, record: 'all', ...more }).result();

  test('the processes are one: noise ratios decide, and x ends where it does for the others', async () => {
    // The exact denoiser of x₀ + σε serves the others through x/α and σ/α.
    const { model, values } = request.models.denoiser;
    const seen = (alpha: 'preserving' | 'flow'): GenerationModel => ({
      values,
      model: {
        ...model,
        build(scope, { x, sigma, label }) {
          const s = sigma!;
          const a = alpha === 'flow' ? s.neg().add(1) : s.square().neg().add(1).sqrt();
          return model.build(scope, { x: x!.div(a.unsqueeze([1])), sigma: s.div(a), label: label! });
        },
      },
    });
    const options = { shape, nullLabel: 2, steps: 6, scale: 3, momentum: -0.3, ...noise };
    const plain = numbers((await run(all.adaptiveProjectedGuidance(options))).state['x']);
    for (const [process, alpha] of [
      ['variance-preserving', 'preserving'],
      ['flow', 'flow'],
    ] as const) {
      const { state } = await run(all.adaptiveProjectedGuidance({ ...options, process }), {
        models: { denoiser: seen(alpha) },
      });
      expect(numbersClose(numbers(state['x']), plain, 2e-4)).toBe(true);
    }
  });

  test('Heun converges with the square of the step, Euler with the step, to the same samples', async () => {
    const end = async (solver: 'euler' | 'heun', steps: number): Promise<number[]> =>
      numbers(
        (await run(all.adaptiveProjectedGuidance({ shape, nullLabel: 2, scale: 1, steps, solver, ...noise }))).state[
          'x'
        ],
      );
    const exact = await end('heun', 300);
    const error = async (solver: 'euler' | 'heun', steps: number): Promise<number> =>
      Math.max(...(await end(solver, steps)).map((value, at) => Math.abs(value - (exact[at] as number))));
    const [euler, finer] = [await error('euler', 20), await error('euler', 40)];
    expect(euler / finer).toBeGreaterThan(1.7);
    expect(euler / finer).toBeLessThan(2.4);
    const [heun, finerHeun] = [await error('heun', 20), await error('heun', 40)];
    expect(heun).toBeLessThan(euler / 3);
    expect(heun / finerHeun).toBeGreaterThan(3);
  });

  test('the unconditional prediction: a null label, a condition of its own, or another model', async () => {
    const base = { shape, steps: 4, scale: 5, ...noise };
    const expected = (await run(all.adaptiveProjectedGuidance({ ...base, nullLabel: 2 }))).state['x'];
    const given = await run(all.adaptiveProjectedGuidance(base), {
      inputs: { ...request.inputs, 'unconditional/label': labels(2, 2, 2) },
    });
    expect(given.state['x']).toEqual(expected);
    const { model, values } = request.models.denoiser;
    const free: GenerationModel = {
      values,
      model: {
        ...model,
        build: (scope, { x, sigma, label }) =>
          model.build(scope, {
            x: x!,
            sigma: sigma!,
            label: label!.mul(label!.graph.constant(0, 'int64')).add(label!.graph.constant(2, 'int64')),
          }),
      },
    };
    const other = await run(all.adaptiveProjectedGuidance({ ...base, unconditionalModel: 'free' }), {
      models: { ...request.models, free },
    });
    expect(other.state['x']).toEqual(expected);
    await expect(run(all.adaptiveProjectedGuidance(base))).rejects.toThrow(/unconditional prediction.*nullLabel/s);
    await expect(run(all.adaptiveProjectedGuidance(base), { inputs: {} })).rejects.toThrow(/has no condition/);
    expect(() => diffusionSampler({ shape, guidance: cfg(2), prediction: 'velocity' })).toThrow(/has no velocity/);
    expect(() => diffusionSampler({ shape, guidance: cfg(2), largestNoise: 0.001 })).toThrow(/goes from 0.001 up to/);
  });

  test('a schedule of the scale is followed at every step, in one program', async () => {
    const interval = { at: (step: number): number => (step === 2 ? 7 : 1) };
    const sampler = diffusionSampler({ shape, nullLabel: 2, steps: 3, guidance: apg({ scale: interval }), ...noise });
    const events: string[] = [];
    const running = generate({ ...request, sampler, backend, record: 'all' });
    for await (const { type } of running) events.push(type);
    expect(events.filter((type) => type === 'compile')).toHaveLength(1);
    const { trajectory } = await running.result();
    const moved = [0, 1, 2].map((step) =>
      Math.max(
        ...numbers(trajectory['denoised']?.[step]).map((value, at) =>
          Math.abs(value - (numbers(trajectory['conditional']?.[step])[at] as number)),
        ),
      ),
    );
    expect(moved[0]).toBe(0);
    expect(moved[1]).toBeGreaterThan(0.1);
    expect(moved[2]).toBe(0);
  });
});

test('a small model learns to denoise two classes, and guided samples are of the class that was asked for', async () => {
  const count = 512;
  const data = new Float32Array(count * 2);
  const label = new BigInt64Array(count);
  for (let at = 0; at < count; at++) {
    const k = at % 2;
    label[at] = BigInt(k);
    // Two clusters at (±0.6, 0.5), on a fixed spiral around their centres.
    data[2 * at] = (k === 0 ? -0.6 : 0.6) + 0.2 * Math.cos(2.4 * at) * Math.sqrt(at / count);
    data[2 * at + 1] = 0.5 + 0.2 * Math.sin(2.4 * at) * Math.sqrt(at / count);
  }
  const settings = { classes: 2, dataDeviation: 0.57 };
  const model = labelledDenoiser({ width: 2, hidden: [32, 32], ...settings });
  const losses: number[] = [];
  const run = train({
    model,
    sampler: shuffled(
      fromTensors({
        x: { dataType: 'float32', dims: [count, 2], data },
        label: { dataType: 'int64', dims: [count], data: label },
      }),
      { batchSize: 128 },
    ),
    reward: denoisingLoss({ column: 'x', ...settings }),
    updateRule: adam({ learningRate: 5e-3 }),
    steps: 200,
    backend,
  });
  for await (const event of run) if (event.type === 'step') losses.push(event.metrics['loss'] as number);
  const { params } = await run.result();
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
  expect(mean(losses.slice(-50))).toBeLessThan(0.6 * mean(losses.slice(0, 10)));
  const asked = Array.from({ length: 40 }, (_, at) => at % 2);
  const { state } = await generate({
    models: { denoiser: { model, values: params } },
    inputs: { label: labels(...asked) },
    sampler: all.adaptiveProjectedGuidance({
      shape: [2],
      nullLabel: 2,
      steps: 12,
      scale: 3,
      normThreshold: 0.5,
      ...noise,
    }),
    backend,
  }).result();
  const x = numbers(state['x']);
  expect(asked.filter((k, at) => Math.sign(x[2 * at] as number) === (k === 0 ? -1 : 1)).length).toBeGreaterThanOrEqual(
    38,
  );
});

test('the Fréchet distance of normal distributions: means, variances, and covariances that do not commute', () => {
  const points = (...values: readonly (readonly number[])[]): Float32Array[] =>
    values.map((row) => Float32Array.from(row));
  // Variances 1·(4/3) and 9·(4/3), means 0 and 2: (2 − 0)² + (√12 − √(4/3))².
  const [left, right] = [points([-1], [1], [-1], [1]), points([-1], [5], [-1], [5])];
  expect(frechetDistance(left, right)).toBeCloseTo(4 + (Math.sqrt(12) - Math.sqrt(4 / 3)) ** 2, 5);
  expect(frechetDistance(left, left)).toBeCloseTo(0, 6);
  const first = points([2, 1], [-2, 1], [2, -1], [-2, -1]);
  const second = points([3, 1], [1, 3], [-3, -1], [-1, -3]);
  // C₁ = diag(16/3, 4/3), C₂ = [[20/3, 4], [4, 20/3]]; of 2 × 2 matrices, tr M^½ = √(tr M + 2·√det M) with M = C₁C₂.
  const [trace, determinant] = [(16 / 3 + 4 / 3) * (20 / 3), (64 / 9) * ((20 / 3) ** 2 - 16)];
  const expected = 20 / 3 + 40 / 3 - 2 * Math.sqrt(trace + 2 * Math.sqrt(determinant));
  expect(frechetDistance(first, second)).toBeCloseTo(expected, 4);
});
