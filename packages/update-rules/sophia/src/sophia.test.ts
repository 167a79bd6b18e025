import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  compareResult,
  CoreError,
  createContainer,
  mapValues,
  PluginRegistry,
  probeUpdateRule,
  RandomStream,
  scalarAt,
  train,
  type ProbeResult,
  type Tolerance,
  type UpdateRule,
} from '@updraft/core';
import { fromTensors, shuffled } from '@updraft/data';
import { crossEntropy, meanAbsoluteError, mlp } from '@updraft/nn';
import { accumulate, chain, partition, schedules, sgd } from '@updraft/rules';
import { tensor } from '@updraft/graph';
import { testUpdateRule, traceUpdateRule } from '@updraft/testing';
import { hutchinsonDiagonal, SophiaG, sophiaG, SophiaH, sophiaH, winRate } from './index.js';

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8'));

// Steps of one length on the way, and Newton steps at the end.
const falling = (from: number, steps: number) => schedules.linear({ from, to: from / 100, steps });
const parabola = { options: { learningRate: falling(0.1, 400), weightDecay: 0 } };
testUpdateRule(SophiaG, {
  options: { learningRate: 0.05, rho: 4, k: 3 },
  golden: [read('sophia.json')],
  // All batches of the kit have one size.
  constantState: ['scale'],
  gradientsOnly: false,
  parabola,
  rosenbrock: { options: { learningRate: falling(0.02, 2000), weightDecay: 0, rho: 0.01 } },
});
const linear = 'gradients that are given come from a linear loss, which has no curvature; below there is one that has';
testUpdateRule(SophiaH, {
  options: { learningRate: 0.05, k: 3 },
  constantState: ['hessian'],
  gradientsOnly: false,
  noisy: true,
  waive: { schedules: linear, 'options-matter': linear },
  parabola: { options: { ...parabola.options, rho: 1, distribution: 'rademacher' } },
  rosenbrock: { options: { learningRate: falling(0.02, 2000), weightDecay: 0 } },
});

/** A network and data, with options under which some elements are clipped and some are not. */
const task = () => {
  const random = RandomStream.fromSeed(3);
  const x = new Float32Array(24 * 2);
  random.fillNormal(x);
  const label = Array.from({ length: 24 }, (_, row) => ((x[2 * row] as number) > (x[2 * row + 1] as number) ? 1 : 0));
  const data = fromTensors({ x: tensor(Array.from(x), 'float32', [24, 2]), label: tensor(label, 'int64') });
  return {
    model: mlp({ input: [2], hidden: [4], classes: 2, column: 'x' }),
    reward: crossEntropy(),
    sampler: shuffled(data, { batchSize: 10 }),
    options: { learningRate: 0.05, rho: 3, k: 2 },
  };
};
for (const Rule of [SophiaG, SophiaH])
  testUpdateRule(Rule, {
    task,
    options: task().options,
    noisy: true,
    gradientsOnly: false,
    constantState: Rule === SophiaG ? ['scale'] : [],
  });

const cases = (
  read('sophia.cases.json') as {
    readonly cases: readonly {
      readonly name: string;
      readonly plugin: string;
      readonly input: Readonly<Record<string, unknown>>;
      readonly expected: unknown;
      readonly tolerance: Tolerance | number;
    }[];
  }
).cases;

describe('Sophia', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ device: 'cpu' });
  });
  afterAll(() => backend.dispose());

  const probe = (rule: UpdateRule, input: unknown): Promise<ProbeResult> =>
    probeUpdateRule(rule, input, { backend, reward: () => crossEntropy() });

  test.each(cases)('$plugin: $name', async ({ plugin, input: { options, ...input }, expected, tolerance }) => {
    const make = plugin === 'sophia-g' ? sophiaG : sophiaH;
    const found = await probe(make(options as object), input);
    const limits = typeof tolerance === 'number' ? { absolute: tolerance, relative: 0 } : tolerance;
    const { problems, compared } = compareResult(found, expected, limits);
    expect(problems).toEqual([]);
    expect(compared).toBeGreaterThan(0);
  });

  const first = { w: tensor([0.5, -1.5, 0.25, 2]) };
  const gradients = [
    [0.5, -1, 0, 2],
    [-0.1, 3, 0, -0.5],
    [-0.7, -2, 0, 0.01],
  ];
  const trace = async (rule: () => UpdateRule): Promise<number[][]> =>
    (
      await traceUpdateRule({
        backend,
        rule,
        params: first,
        gradients: gradients.map((values) => ({ w: tensor(values) })),
      })
    ).map(({ w }) => Array.from(w?.data as Float32Array));

  test('without curvature every step is the sign of the momentum, of length η', async () => {
    const steps = await trace(() => sophiaG({ learningRate: 0.125, weightDecay: 0, rho: 0 }));
    let expected = Array.from(first.w.data as Float32Array);
    const m = [0, 0, 0, 0];
    gradients.forEach((values, index) => {
      expected = expected.map((value, at) => {
        m[at] = 0.965 * (m[at] as number) + 0.035 * (values[at] as number);
        return value - 0.125 * Math.sign(m[at]);
      });
      expect(steps[index]).toEqual(expected);
    });
    // A linear loss has no Hessian: the other estimator finds nothing.
    expect(await trace(() => sophiaH({ learningRate: 0.125, weightDecay: 0 }))).toEqual(steps);
    // In the order of the script the first k steps have no curvature either.
    expect(await trace(() => sophiaG({ learningRate: 0.125, weightDecay: 0, refresh: 'after', k: 3 }))).toEqual(steps);
  });

  test('no element moves by more than η(1 + λ|θ|), whatever the curvature', async () => {
    const [learningRate, weightDecay] = [0.1, 0.5];
    for (const rho of [0.01, 1, 100]) {
      let before = Array.from(first.w.data as Float32Array);
      for (const after of await trace(() => sophiaG({ learningRate, weightDecay, rho, k: 1 }))) {
        after.forEach((value, at) => {
          const old = before[at] as number;
          expect(Math.abs(value - old)).toBeLessThanOrEqual(learningRate * (1 + weightDecay * Math.abs(old)) + 1e-6);
        });
        before = after;
      }
    }
  });

  // Figure 2 of the paper: a flat direction, and a valley with a hill beside it.
  const landscape = { type: 'expression', loss: '8 * (x - 1)^2 * (1.3 * x^2 + 2 * x + 1) + 0.5 * (y - 4)^2' };
  const walk = async (rule: UpdateRule, steps: number): Promise<{ x: number; y: number; loss: number }[]> => {
    const found = await probe(rule, { model: landscape, params: { x: 0.3, y: 0 }, steps });
    return (found['steps'] as { params: { x: number; y: number }; loss: number }[]).map(({ params, loss }) => ({
      ...params,
      loss,
    }));
  };
  const loss = ({ x, y }: { x: number; y: number }): number =>
    8 * (x - 1) ** 2 * (1.3 * x ** 2 + 2 * x + 1) + 0.5 * (y - 4) ** 2;

  test('on the landscape of the paper it is soon in the lowest valley', async () => {
    // clip(g / max(h, ε), −0.3, 0.3) in terms of this form: η = ρ = 0.3; directions of signs meet the diagonal exactly.
    const exact = { beta1: 0, beta2: 0, k: 1, weightDecay: 0, distribution: 'rademacher' } as const;
    const steps = await walk(sophiaH({ ...exact, learningRate: 0.3, rho: 0.3 }), 14);
    [
      [0.6, 0.3],
      [0.9, 0.6],
      [1.02128085, 0.9],
      [1.00069063, 1.2],
    ].forEach(([x, y], index) => {
      expect(steps[index]?.x).toBeCloseTo(x as number, 5);
      expect(steps[index]?.y).toBeCloseTo(y as number, 5);
    });
    const last = steps[13] as { x: number; y: number };
    expect(last.x).toBeCloseTo(1, 3);
    expect(last.y).toBeCloseTo(4, 3);
    expect(loss(last)).toBeLessThan(1e-3);
    expect(loss(steps[12] as { x: number; y: number })).toBeGreaterThan(1e-3);
  });

  test('there, gradient descent is slow or thrown out, signs circle, and Newton climbs the hill', async () => {
    const slow = (await walk(sgd({ learningRate: 0.01 }), 300)).at(-1) as { x: number; y: number };
    expect(slow.y).toBeCloseTo(3.804, 3);
    expect(loss(slow)).toBeCloseTo(0.019, 3);
    const thrown = (await walk(sgd({ learningRate: 0.05 }), 300)).at(-1) as { x: number; y: number };
    expect(thrown.x).toBeLessThan(-0.4);
    expect(loss(thrown)).toBeCloseTo(5.8, 0);
    const signs = sophiaH({ beta1: 0, rho: 0, weightDecay: 0, learningRate: 0.1 });
    // Back and forth over the bottom; rounding decides on which side it turns (x = 0.9 or 1.1).
    const circling = (await walk(signs, 300)).slice(-2).map(loss);
    expect([0.308, 0.382].map((side) => Math.abs(Math.max(...circling) - side) < 6e-3)).toContain(true);
    expect(Math.min(...circling)).toBeLessThan(0.01);
    const estimate = hutchinsonDiagonal({ distribution: 'rademacher' });
    const newton: UpdateRule = {
      init: () => ({}),
      update: (context) => {
        const { diagonal } = estimate(context);
        const step = (param: (typeof context.params)[string], name: string) =>
          param.sub((context.grads[name] as typeof param).div(diagonal[name] as typeof param));
        return { params: mapValues(context.params, step) };
      },
    };
    const top = (await walk(newton, 300)).at(-1) as { x: number; y: number };
    expect(top.x).toBeCloseTo(0, 4);
    expect(loss(top)).toBeCloseTo(8, 4);
  });

  const regression = {
    params: {
      w: [
        [0.5, -0.25, 0],
        [0.1, 0.2, -0.3],
      ],
    },
    model: { type: 'expression', outputs: { logits: 'x @ w' } },
    batches: [
      {
        x: [
          [1, 2],
          [0.5, -1],
          [-2, 0.25],
        ],
        label: [0, 0, 0],
      },
    ],
    reward: 'cross-entropy',
    options: {},
  };
  const hessian = async (seed: number, batch = regression.batches[0]): Promise<number[]> => {
    const { options: _, ...input } = regression;
    const found = await probe(sophiaG({ beta2: 0, batchTokens: 1 }), { ...input, batches: [batch], seed });
    return ((found['steps'] as unknown as { state: Record<string, number[][]> }[])[0]?.state['hessian/w'] ?? []).flat();
  };

  test('targets are drawn from the model: those of the data do not matter, the mean is the Gauss–Newton diagonal', async () => {
    expect(await hessian(1, { ...(regression.batches[0] as { x: number[][] }), label: [2, 1, 0] })).toEqual(
      await hessian(1),
    );
    const count = 400;
    const sums = [0, 0, 0, 0, 0, 0];
    for (let seed = 0; seed < count; seed++)
      (await hessian(seed)).forEach((value, at) => {
        // B = 3.
        sums[at] = (sums[at] as number) + (3 * value) / count;
      });
    const { x } = regression.batches[0] as { x: number[][] };
    const w = regression.params.w;
    const expected = [0, 0, 0, 0, 0, 0];
    for (const row of x) {
      const powers = [0, 1, 2].map((column) =>
        Math.exp(row.reduce((sum, value, at) => sum + value * (w[at]?.[column] as number), 0)),
      );
      const total = powers.reduce((a, b) => a + b);
      row.forEach((value, at) => {
        powers.forEach((power, column) => {
          const p = power / total;
          expected[at * 3 + column] = (expected[at * 3 + column] as number) + (p * (1 - p) * value ** 2) / 3;
        });
      });
    }
    // Five standard errors of squares whose deviation is about their mean.
    expected.forEach((value, at) => {
      expect(Math.abs((sums[at] as number) / value - 1)).toBeLessThan(0.3);
    });
  });

  test('a reward that cannot draw targets is refused by name, and serves Sophia-H', async () => {
    const { options: _, ...rest } = regression;
    const input = { ...rest, reward: 'absolute', batches: [{ x: [[1, 2]], target: [[1, 0, 0]] }] };
    const run = (rule: UpdateRule): Promise<ProbeResult> =>
      probeUpdateRule(rule, input, { backend, reward: () => meanAbsoluteError({ output: 'logits' }) });
    await expect(run(sophiaG())).rejects.toThrow(CoreError);
    await expect(run(sophiaG())).rejects.toThrow(/how targets are drawn/);
    await expect(run(sophiaH())).resolves.toHaveProperty('steps');
  });

  test('in a partition it is the same rule, and under accumulation it counts its own steps', async () => {
    const { options: _, ...input } = regression;
    const make = (): UpdateRule => sophiaG({ learningRate: 0.1, k: 2 });
    const alone = await probe(make(), { ...input, steps: 4 });
    const within = chain(partition({ rules: { all: make(), none: sgd() }, assign: () => 'all' }));
    const parted = await probe(within, { ...input, steps: 4 });
    expect((parted['final'] as { params: unknown }).params).toEqual((alone['final'] as { params: unknown }).params);
    const gathered = await probe(accumulate(make(), 2), { ...input, steps: 6 });
    const phases = (gathered['steps'] as { phase: string }[]).map(({ phase }) => phase);
    expect(phases).toEqual(['gather', 'apply:refresh', 'gather', 'apply:step', 'gather', 'apply:refresh']);
  });

  test('a group of a partition sees the curvature of its own parameters alone', async () => {
    const input = {
      model: {
        type: 'quadratic',
        A: [
          [2, 1],
          [1, -0.5],
        ],
      },
      params: { x: [1], y: [2] },
      noise: { 'own/hutchinson/x': [[-1]] },
    };
    const rules = { own: sophiaH({ beta2: 0, distribution: 'rademacher' }), rest: sgd() };
    const found = await probe(partition({ rules, assign: ({ name }) => (name === 'x' ? 'own' : 'rest') }), input);
    // Directions of y are 0, so that its coupling to x is not seen.
    expect(found['steps']).toMatchObject([{ state: { 'own/hessian/x': [2] } }]);
  });

  test('the win rate of a state is the metric of its last step', async () => {
    const given = { 'momentum/w': tensor([1, -1, 0.5, 0]), 'hessian/w': tensor([2, 0.4, 0.6, 0]) };
    expect(winRate(given, { rho: 1 })).toBe(0.5);
    expect(winRate(given, { rho: 1, batchTokens: 3 })).toBe(0.75);
    expect(() => winRate({ 'mean/w': tensor([1]) }, { rho: 1 })).toThrow(/no momentum/);
    const { options, ...network } = task();
    const run = train({ ...network, backend, steps: 7, updateRule: chain(sophiaG({ ...options, k: 3 })) });
    let last = NaN;
    for await (const event of run) if (event.type === 'step') last = event.metrics['winRate'] as number;
    expect(last).toBeGreaterThan(0);
    expect(last).toBeLessThan(1);
    expect(winRate((await run.result()).state, { rho: options.rho })).toBeCloseTo(last, 6);
  });

  test('the setting of the README is one that configurations take', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const { name, options } = JSON.parse(/```json\n([^`]+)```/.exec(readme)?.[1] ?? '') as {
      name: string;
      options: unknown;
    };
    const container = createContainer({ schedules: schedules.scheduleFrom });
    const rule = new PluginRegistry().use({ SophiaG, SophiaH }).create('update-rule', name, options, container);
    const made = (rule as SophiaG).options;
    expect(scalarAt(made.learningRate, 1000)).toBeCloseTo(3e-4, 12);
    expect(made).toMatchObject({ rho: 0.05, k: 10, beta1: 0.965, beta2: 0.99 });
  });
});
