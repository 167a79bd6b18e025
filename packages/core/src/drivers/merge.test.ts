import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import type { Tensor, TensorData } from '@updraft/graph';
import { mean, median, sgd, trimmedMean } from '@updraft/rules';
import type { Aggregator } from '../contracts/aggregator.js';
import type { Reward } from '../contracts/reward.js';
import type { StateSpec } from '../contracts/update-rule.js';
import { aggregate, initAggregator } from '../program/aggregation.js';
import { mapValues } from '../tree.js';
import { merge, type MergeOptions } from './merge.js';
import { CycleSampler, pointModel, rows } from './testing/quadratic.js';
import { train } from './train.js';

// Machines that run checks are busy.
jest.setTimeout(60_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const numbers = (value: TensorData | undefined): number[] => [...((value as TensorData).data as Float32Array)];
const vector = (...values: readonly number[]): TensorData<'float32'> => ({
  dataType: 'float32',
  dims: [values.length],
  data: Float32Array.from(values),
});
const models = [
  { a: vector(1, 2), b: rows([[10], [0]]) },
  { a: vector(3, -2), b: rows([[20], [1]]) },
  { a: vector(5, 60), b: rows([[0], [5]]) },
];
const merged = async (aggregator: Aggregator, extra: Partial<MergeOptions> = {}): Promise<number[][]> => {
  const { values } = await merge({ models, aggregator, backend, ...extra });
  return [numbers(values['a']), numbers(values['b'])];
};

describe('merge', () => {
  test('means, medians and trimmed means are those by hand', async () => {
    const [a, b] = await merged(mean());
    for (const [index, value] of [3, 20].entries()) expect(a?.[index]).toBeCloseTo(value, 5);
    for (const [index, value] of [10, 2].entries()) expect(b?.[index]).toBeCloseTo(value, 5);
    const weighted = await merged(mean(), { weights: [1, 3, 0] });
    expect(weighted).toEqual([
      [2.5, -1],
      [17.5, 0.75],
    ]);
    expect(await merged(median())).toEqual([
      [3, 2],
      [10, 1],
    ]);
    expect(await merged(median(), { models: models.slice(0, 2) })).toEqual([
      [2, 0],
      [15, 0.5],
    ]);
    expect(await merged(trimmedMean({ trim: 0.34 }))).toEqual([
      [3, 2],
      [10, 1],
    ]);
    expect(await merged(mean(), { models: models.slice(0, 1), weights: [0.3] })).toEqual([
      [1, 2],
      [10, 0],
    ]);
  });

  test('float64 is averaged in float64, and what is no float stays', async () => {
    const with64 = [1 / 3, 1e15 + 1].map((value) => ({
      x: { dataType: 'float64', dims: [1], data: Float64Array.of(value) } as TensorData,
      steps: { dataType: 'int64', dims: [], data: BigInt64Array.of(7n) } as TensorData,
    }));
    const { values } = await merge({ models: with64, aggregator: mean(), backend });
    expect(values['x']?.data[0]).toBe((1 / 3) * 0.5 + (1e15 + 1) * 0.5);
    expect(values['steps']?.data[0]).toBe(7n);
    const unequal = [
      with64[0]!,
      { ...with64[1]!, steps: { dataType: 'int64', dims: [], data: BigInt64Array.of(8n) } as TensorData },
    ];
    await expect(merge({ models: unequal, aggregator: mean(), backend })).rejects.toThrow(
      /model "1".*"steps" \(int64\) differs/,
    );
  });

  test('an aggregator of changes sees the base, and roles', async () => {
    // Task arithmetic: base + Σ (model − base).
    const arithmetic: Aggregator = {
      combine({ current, metric }, sources) {
        metric('sources', sources[0]!.weight.mul(0).add(sources.length));
        expect(sources.map(({ id }) => id)).toEqual(['maths', 'code', 'law']);
        return {
          values: mapValues(sources[0]!.values, (_, name) =>
            sources
              .map(({ values }) => values[name]!.sub(current![name]!))
              .reduce((left, right) => left.add(right), current![name]!),
          ),
          outputs: { weights: sources[1]!.weight },
        };
      },
    };
    const { values, metrics, outputs } = await merge({
      models,
      aggregator: arithmetic,
      backend,
      ids: ['maths', 'code', 'law'],
      weights: [1, 2, 3],
      base: { a: vector(1, 1), b: rows([[1], [1]]) },
    });
    expect(numbers(values['a'])).toEqual([7, 58]);
    expect(numbers(values['b'])).toEqual([28, 4]);
    expect([metrics, numbers(outputs['weights'])]).toEqual([{ sources: 3 }, [2]]);
  });

  test.each([
    [{ models: [] }, /0 models are to be merged/],
    [{ weights: [1] }, /3 models, 1 weights and 3 ids/],
    [{ weights: [0, 0, 0] }, /weights are 0, 0, 0/],
    [{ weights: [1, Number.NaN, 1] }, /weights are 1, NaN, 1/],
    [{ models: [models[0]!, { a: vector(1, 2) }] }, /model "1" cannot be merged: its values lack "b"/],
    [{ models: [models[0]!, { ...models[1]!, a: vector(1, 2, 3) }] }, /"a" is float32\[3\], not float32\[2\]/],
    [
      { models: [models[0]!, { ...models[1]!, a: vector(1, Infinity) }], ids: ['x', 'y'] },
      /model "y".*"a" holds Infinity at index 1/,
    ],
    [{ base: { a: vector(1, 2) } }, /base cannot be merged/],
    [{ ids: ['x', 'x', 'y'] }, /Two sources have the id "x"/],
    [{ aggregator: { ...mean(), policy: { minimum: 4 }, combine: mean().combine } as Aggregator }, /needs 4/],
  ] as [Partial<MergeOptions>, RegExp][])('what cannot be merged is refused: %#', async (extra, message) => {
    await expect(merge({ models, aggregator: mean(), backend, ...extra })).rejects.toThrow(message);
  });
});

describe('aggregation inside a graph', () => {
  /** The loss of the mean of two predictions: once by an aggregator, once written out. */
  const reward = (
    fuse: (left: Tensor, right: Tensor, context: Parameters<NonNullable<Reward['objective']>>[0]) => Tensor,
  ): Reward => ({
    objective(context) {
      const x = context.forward()['output'] as Tensor;
      const prediction = fuse(x.mul(2), x.square(), context);
      return {
        loss: prediction
          .sub(context.batch['target'] as Tensor)
          .square()
          .mean(),
      };
    },
  });
  const options = {
    model: pointModel(2),
    updateRule: sgd({ learningRate: 0.1 }),
    backend,
    steps: 20,
    initial: { x: vector(0.5, 1) },
  };

  test('an objective may aggregate, and gradients go through it', async () => {
    const target = rows([[1, 2]]);
    const run = (by: Reward) =>
      train({ ...options, backend, reward: by, sampler: new CycleSampler({ target }, 1) }).result();
    const [fused, plain] = [
      await run(
        reward(
          (left, right, context) =>
            aggregate(mean(), [{ values: { y: left }, weight: 3 }, { values: { y: right } }], context).values[
              'y'
            ] as Tensor,
        ),
      ),
      await run(reward((left, right) => left.mul(0.75).add(right.mul(0.25)))),
    ];
    numbers(plain.params['x']).forEach((value, index) => {
      expect(numbers(fused.params['x'])[index]).toBeCloseTo(value, 6);
    });
    expect(fused.loss).toBeLessThan(1e-3);
  });

  const counting: Aggregator<{ count: StateSpec }> = {
    init: (context) => ({ count: context.state([]) }),
    combine: (context, [first]) => ({ values: first!.values, state: { count: context.state.count.add(1) } }),
  };
  test('state is kept by who aggregates', async () => {
    const rule = {
      init: () => initAggregator(counting, { g: { dataType: 'float32', shape: [2] } }),
      update(context: Parameters<ReturnType<typeof sgd>['update']>[0]) {
        const { state } = aggregate(counting, [{ values: { g: context.grads['x'] as Tensor } }], context, {
          state: context.state as unknown as { count: Tensor },
        });
        return { params: context.params, state: state as unknown as { velocity: Record<string, Tensor> } };
      },
    };
    const { state } = await train({
      ...options,
      backend,
      updateRule: rule as never,
      reward: reward((left) => left),
      sampler: new CycleSampler({ target: rows([[1, 2]]) }, 1),
      steps: 3,
    }).result();
    expect(numbers(state['count'])).toEqual([3]);
  });

  const inObjective = (
    build: (left: Tensor, right: Tensor, context: Parameters<NonNullable<Reward['objective']>>[0]) => Tensor,
  ) =>
    train({
      ...options,
      backend,
      reward: reward(build),
      sampler: new CycleSampler({ target: rows([[1, 2]]) }, 1),
      steps: 1,
    }).result();
  const returning = (values: (source: Tensor) => Record<string, Tensor>): Aggregator => ({
    combine: (_, [first]) => ({ values: values(first!.values['y']!) }),
  });
  test.each([
    ['none', (_l, _r, context) => aggregate(mean(), [], context).values['y']!, /no source to aggregate/],
    ['empty', (_l, _r, context) => aggregate(mean(), [{ values: {} }], context).values['y']!, /sources are empty/],
    [
      'names',
      (l, r, context) => aggregate(mean(), [{ values: { y: l } }, { values: { z: r } }], context).values['y']!,
      /"1" has "z".*first has not/,
    ],
    [
      'missing',
      (l, r, context) => aggregate(mean(), [{ values: { y: l, z: l } }, { values: { y: r } }], context).values['y']!,
      /"z" among the values of the source "1" is missing/,
    ],
    [
      'shape',
      (l, r, context) =>
        aggregate(mean(), [{ values: { y: l } }, { values: { y: r.unsqueeze([0]) } }], context).values['y']!,
      /is float32\[1, 2\]; the first source has float32\[2\]/,
    ],
    [
      'weight',
      (l, _r, context) => aggregate(mean(), [{ values: { y: l }, weight: -1 }], context).values['y']!,
      /weight of the source "0" is -1/,
    ],
    [
      'weight shape',
      (l, _r, context) => aggregate(mean(), [{ values: { y: l }, weight: l }], context).values['y']!,
      /weight of the source "0" is float32\[2\]/,
    ],
    [
      'own',
      (l, _r, context) => aggregate(mean(), [{ values: { y: l } }], context, { own: 1 }).values['y']!,
      /own source is number 1 of 1/,
    ],
    [
      'state',
      (l, _r, context) => aggregate(counting, [{ values: { y: l } }], context).values['y']!,
      /keeps state \(count\)/,
    ],
    [
      'result name',
      (l, _r, context) =>
        aggregate(
          returning((y) => ({ y, w: y })),
          [{ values: { y: l } }],
          context,
        ).values['y']!,
      /returned "w"/,
    ],
    [
      'result shape',
      (l, _r, context) =>
        aggregate(
          returning((y) => ({ y: y.sum() })),
          [{ values: { y: l } }],
          context,
        ).values['y']!,
      /returned float32\[\] for "y"/,
    ],
    [
      'no result',
      (l, _r, context) =>
        aggregate(
          returning(() => ({})),
          [{ values: { y: l } }],
          context,
        ).values['y']!,
      /returned nothing for "y"/,
    ],
  ] as [string, Parameters<typeof inObjective>[0], RegExp][])('mistakes are named: %s', async (_, build, message) => {
    await expect(inObjective(build)).rejects.toThrow(message);
  });
});
