import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  frozen,
  modelSpecs,
  probeUpdateRule,
  train,
  trainBlackBox,
  type Layer,
  type Sampler,
  type UpdateRule,
} from '@updraft/core';
import { UpdraftError, type Tensor } from '@updraft/graph';
import * as nn from '@updraft/nn';
import { parseProbeCases, runProbeCase, testUpdateRule } from '@updraft/testing';
import * as all from './index.js';
import {
  coordinator,
  padPrompt,
  promptedModel,
  scratchEncoder,
  SpsaGc,
  spsa,
  spsaGc,
  type CoordinatorOptions,
} from './index.js';

jest.setTimeout(120_000);

testUpdateRule(SpsaGc, {
  noisy: true,
  separable: false,
  gradientsOnly: false,
  options: { a: 0.02, avg: 2 },
  parabola: { options: { a: 0.05, avg: 5 } },
  rosenbrock: { options: { a: 2e-3, c: 1e-3, alpha: 0.2, avg: 5 } },
});

const cases = parseProbeCases(
  JSON.parse(readFileSync(new URL('../golden/blackvip.json', import.meta.url), 'utf8')) as unknown,
);

describe('the card of BlackVIP', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ device: 'cpu' });
  });
  afterAll(() => backend.dispose());

  test.each(cases)('$name', async (one) => {
    await runProbeCase(one, { exports: all, others: [nn], backend });
  });

  /** First step of a rule on a formula of w. */
  const step = async (rule: UpdateRule, loss: string, w: readonly number[], noise?: readonly (readonly number[])[]) => {
    const { steps } = await probeUpdateRule(
      rule,
      {
        params: { w },
        model: { type: 'expression', loss },
        batches: [{}],
        ...(noise === undefined ? {} : { noise: { 'Delta/w': [noise] } }),
      },
      { backend },
    );
    const [first] = steps as unknown as {
      readonly state: Readonly<Record<string, number[]>>;
      readonly noise: Readonly<Record<string, number[][]>>;
    }[];
    return { estimate: first?.state['momentum/w'] as number[], drawn: first?.noise['Delta/w'] as number[][] };
  };

  test.each([
    [1, 1],
    [0.5, 1],
  ] as const)('on a linear loss all signs of |Δ| = (%d, %d) average to the gradient', async (first, second) => {
    const signs = [[1, 1], [1, -1], [-1, 1], [-1, -1]] as const; // prettier-ignore
    const deltas = signs.map(([left, right]) => [left * first, right * second]);
    const { estimate } = await step(spsaGc({ avg: 4, c: 0.25 }), '2 * w[0] - w[1]', [0.5, 0.25], deltas);
    expect(estimate[0]).toBeCloseTo(2, 5);
    expect(estimate[1]).toBeCloseTo(-1, 5);
  });

  test('on a quadratic the estimate does not depend on c', async () => {
    const found = [];
    for (const c of [0.01, 0.1, 1])
      found.push((await step(spsa({ avg: 1, c }), '3 * w[0]^2 + w[0] * w[1]', [1, -2], [[0.75, -0.5]])).estimate);
    // ∇L = (4, 1), so ∇L·Δ = 2.5.
    for (const estimate of found)
      [2.5 / 0.75, -5].forEach((value, at) => {
        expect(estimate[at]).toBeCloseTo(value, 3);
      });
  });

  test('directions are of the law that is asked for', async () => {
    const w = new Array<number>(2000).fill(0);
    const { drawn } = await step(spsaGc({ avg: 5 }), 'sum(w)', w);
    const values = drawn.flat();
    expect(values).toHaveLength(10_000);
    for (const value of values) {
      expect(Math.abs(value)).toBeGreaterThanOrEqual(0.5);
      expect(Math.abs(value)).toBeLessThanOrEqual(1);
    }
    const mean = (of: (value: number) => number): number =>
      values.reduce((sum, value) => sum + of(value), 0) / values.length;
    // Standard errors are 0.0076, 0.0014 and 0.0025; E|1/Δ| = 2 ln 2.
    expect(Math.abs(mean((value) => value))).toBeLessThan(0.03);
    expect(Math.abs(mean(Math.abs) - 0.75)).toBeLessThan(0.006);
    expect(Math.abs(mean((value) => 1 / Math.abs(value)) - 2 * Math.log(2))).toBeLessThan(0.012);
    const { drawn: signs } = await step(spsaGc({ avg: 2, distribution: 'rademacher' }), 'sum(w)', w);
    expect([...new Set(signs.flat())].sort()).toEqual([-1, 1]);
  });

  const features: Layer = nn.sequential(nn.flatten, (_scope, x) => x.slice([0], [768], [1]));
  const specsOf = (options: CoordinatorOptions) =>
    Object.values(
      modelSpecs(promptedModel({ imageShape: options.imageShape, prompt: coordinator(options), blackBox: nn.flatten }))
        .params,
    );

  test('of 224 × 224 images and 768 features the default coordinator trains 9,920 numbers, 800 of them the trigger', () => {
    const specs = specsOf({ imageShape: [3, 224, 224], encoder: features });
    const sizes = Object.fromEntries(specs.map(({ name, shape }) => [name, shape.reduce((a, b) => a * b, 1)]));
    expect(Object.values(sizes).reduce((a, b) => a + b)).toBe(9920);
    expect(sizes['coordinator.trigger']).toBe(800);
  });

  test('with an encoder that is trained there is no trigger', () => {
    const specs = specsOf({ imageShape: [3, 224, 224], encoder: scratchEncoder() });
    expect(specs.map(({ name }) => name)).not.toContain('coordinator.trigger');
    expect(specs.find(({ name }) => name === 'coordinator.encoder.conv.weight')?.shape).toEqual([32, 3, 3, 3]);
    expect(specs.find(({ name }) => name === 'coordinator.up.weight')?.shape).toEqual([32, 2, 2, 2]);
  });

  test('sizes that do not fit are refused', () => {
    expect(() => specsOf({ imageShape: [1, 20, 20], encoder: nn.flatten })).toThrow(/not 5 doublings/);
    expect(() => specsOf({ imageShape: [1, 8, 8], encoder: nn.flatten, channels: [4], sourceChannels: 3 })).toThrow(
      UpdraftError,
    );
    expect(() => specsOf({ imageShape: [1, 8, 8], encoder: nn.flatten, channels: [4], triggerDim: 3 })).toThrow(
      /do not fill/,
    );
  });

  test('a black box is asked for outputs only, and nothing but the prompt is trained', async () => {
    const box = nn.mlp({ input: [1, 4, 4], hidden: [8], classes: 3 });
    const values = Object.fromEntries(
      Object.entries(modelSpecs(box).params).map(([name, { shape }]) => {
        const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) =>
          Math.sin(3 * at + name.length),
        );
        return [name, { dataType: 'float32', dims: shape, data }] as const;
      }),
    );
    const trained = frozen(box, values);
    const model = promptedModel({
      imageShape: [1, 4, 4],
      prompt: padPrompt({ imageShape: [1, 4, 4], padSize: 1, clip: false }),
      blackBox: (scope, image) => trained(scope, { image })['logits'] as Tensor,
    });
    expect(Object.keys(modelSpecs(model).params)).toEqual(['frame.top', 'frame.bottom', 'frame.left', 'frame.right']);
    const image = Float32Array.from({ length: 96 }, (_, at) => Math.cos(at));
    const sampler: Sampler = {
      columns: {
        image: { dataType: 'float32', shape: ['batch', 1, 4, 4] },
        label: { dataType: 'int64', shape: ['batch'] },
      },
      draw: () => ({
        columns: {
          image: { dataType: 'float32', dims: [6, 1, 4, 4], data: image },
          label: { dataType: 'int64', dims: [6], data: BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n) },
        },
        size: 6,
      }),
      state: () => null,
      restore: () => undefined,
    };
    const rule = spsaGc({ a: 0.05 });
    /** Refuses everything that needs a backward pass. */
    const forwardOnly: UpdateRule = {
      init: (context) => rule.init(context),
      update: (context) =>
        rule.update(
          new Proxy(context, {
            get(target, key): unknown {
              if (['grads', 'gradsAt', 'hvp', 'perSampleGrads', 'tap'].includes(String(key)))
                throw new Error(`asked for ${String(key)}`);
              const value: unknown = Reflect.get(target, key, target);
              return typeof value === 'function' ? (value.bind(target) as unknown) : value;
            },
          }) as Parameters<typeof rule.update>[0],
        ),
    };
    const losses: number[] = [];
    const run = train({
      model,
      sampler,
      reward: nn.crossEntropy(),
      updateRule: forwardOnly,
      backend,
      steps: 60,
      seed: 2,
    });
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    expect(losses.at(-1)).toBeLessThan(0.9 * (losses[0] as number));
  });

  test('with a callback for the black box it takes the steps that it takes in a graph', async () => {
    const [first, second] = [Float32Array.of(0.5, -1, 2), Float32Array.of(0.25)];
    const initial = {
      w: { dataType: 'float32', dims: [3], data: first },
      b: { dataType: 'float32', dims: [1], data: second },
    } as const;
    const rule = spsaGc({ a: 0.1, c: 0.1, avg: 3 });
    const { steps } = await probeUpdateRule(
      rule,
      {
        params: { w: [...first], b: [...second] },
        model: { type: 'expression', loss: '2 * w[0]^2 + (w[1] - b[0])^2 + 0.5 * w[2]^2 + sin(b[0])' },
        batches: [{}],
        steps: 5,
        seed: 3,
      },
      { backend },
    );
    const { params } = await trainBlackBox({
      params: initial,
      updateRule: rule,
      backend,
      steps: 5,
      seed: 3,
      lossAt: async ({ w, b }) => {
        const [x, y, z] = Array.from(w?.data as Float32Array) as [number, number, number];
        const offset = b?.data[0] as number;
        return Promise.resolve(2 * x ** 2 + (y - offset) ** 2 + 0.5 * z ** 2 + Math.sin(offset));
      },
    }).result();
    const last = (steps as unknown as { readonly params: { readonly w: number[]; readonly b: number[] } }[])[4]?.params;
    Array.from(params['w']?.data as Float32Array).forEach((value, at) => {
      expect(value).toBeCloseTo(last?.w[at] as number, 4);
    });
    expect(params['b']?.data[0]).toBeCloseTo(last?.b[0] as number, 4);
    expect(last?.w[0]).not.toBeCloseTo(0.5, 2);
  });
});
