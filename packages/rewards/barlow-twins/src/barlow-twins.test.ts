import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { gradients } from '@updraft/autodiff';
import { createBackend, type Backend } from '@updraft/backend';
import { train, type Batch, type Sampler } from '@updraft/core';
import { fromTensors, pixelNoise, provideDataset, randomRoll, type Dataset } from '@updraft/data';
import { Graph, readElement, tensor, type Tensor, type TensorData } from '@updraft/graph';
import { dense, flatten, relu, sequential } from '@updraft/nn';
import { momentum } from '@updraft/rules';
import { parseProbeCases, runProbeCase, testReward, testSampler } from '@updraft/testing';
import * as all from './index.js';
import {
  BarlowTwins,
  barlowTwins,
  crossCorrelation,
  encoderModel,
  linearProbe,
  paperRate,
  paperUpdateRule,
  paperViews,
  projector,
  twinModel,
  TwinViews,
  twinViews,
} from './index.js';

const golden = JSON.parse(readFileSync(new URL('../golden/barlow-twins.json', import.meta.url), 'utf8')) as unknown;
const embeddings = { dataType: 'float32', shape: ['batch', 3] } as const;

testReward(BarlowTwins, {
  // A larger ε than the default, so that batches of one and three are no special case of rounding.
  options: { epsilon: 0.01, lambda: 0.1 },
  objective: { columns: {}, outputs: { zA: embeddings, zB: embeddings }, mean: false },
  golden: [golden],
});

const images = (count: number): Dataset =>
  fromTensors({
    image: {
      dataType: 'float32',
      dims: [count, 1, 2, 2],
      data: Float32Array.from({ length: count * 4 }, (_, at) => at),
    },
    label: { dataType: 'int64', dims: [count], data: BigInt64Array.from({ length: count }, (_, at) => BigInt(at % 2)) },
  });

testSampler(TwinViews, {
  options: { batchSize: 3, augmentA: [{ type: 'noise', deviation: 0.5 }], augmentB: [{ type: 'roll', pixels: 1 }] },
  effects: {
    augmentA: { value: [] },
    augmentB: { value: [{ type: 'scale', from: 2, to: 2 }] },
    column: { value: 'label' },
    seed: { value: 5 },
    epochs: { value: 1 },
  },
  unbounded: ['seed'],
  passes: { examples: 10, dropsLast: true },
  container: () => provideDataset(images(10)),
});

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const numbers = (value: TensorData | undefined): number[] =>
  Array.from({ length: value?.data.length ?? 0 }, (_, at) => readElement(value as TensorData, at));

const cases = parseProbeCases(JSON.parse(readFileSync(new URL('../golden/probe.json', import.meta.url), 'utf8')));
test.each(cases.map((one) => [one.name, one] as const))('in a probe: %s', async (_, one) => {
  const container = () =>
    provideDataset(
      fromTensors({
        x: tensor([
          [1, 2],
          [3, 4],
          [5, 6],
        ]),
      }),
    );
  await runProbeCase(one, { exports: all, backend, ...(one.plugin === 'twin-views' ? { container } : {}) });
});

describe('the loss of the card', () => {
  /** Loss and its gradient with respect to zA, in float64 and with ε = 0. */
  const evaluate = async (zA: number[][], zB: number[][], lambda = 0.0051) => {
    const graph = new Graph('loss');
    const [a, b] = [zA, zB].map((rows, at) => graph.input(`z${at}`, 'float64', [rows.length, 2])) as [Tensor, Tensor];
    const { loss } = barlowTwins({ epsilon: 0, lambda }).objective({
      batch: {},
      params: {},
      training: true,
      forward: () => ({ zA: a, zB: b }),
      scalar: (_, value) => graph.constant(tensor(value as number, 'float64', [])),
      noise: () => a,
    });
    graph.output(loss, 'loss');
    graph.output(gradients(loss, [a])[0] as Tensor, 'gradient');
    const program = await backend.compile(graph);
    const found = await program.run({ z0: tensor(zA, 'float64'), z1: tensor(zB, 'float64') });
    await program.dispose();
    return { loss: numbers(found['loss'])[0] as number, gradient: numbers(found['gradient']) };
  };
  const zA = [
    [0.3, -1.2],
    [1.1, 0.4],
    [-0.7, 2.1],
    [0.2, 0.9],
    [-1.6, -0.5],
  ];
  const zB = zA.map(([x = 0, y = 0], at) => [x + 0.3 * Math.sin(at), y - 0.2 * x]);

  test('scaling or shifting a feature changes nothing, so the gradient has no part along either', async () => {
    const { loss, gradient } = await evaluate(zA, zB);
    const moved = await evaluate(
      zA.map(([x = 0, y = 0]) => [7 * x + 3, 0.01 * y - 5]),
      zB,
    );
    expect(moved.loss).toBeCloseTo(loss, 10);
    for (const column of [0, 1]) {
      const own = zA.map((row, at) => [row[column] as number, gradient[2 * at + column] as number] as const);
      expect(own.reduce((sum, [, g]) => sum + g, 0)).toBeCloseTo(0, 12);
      expect(own.reduce((sum, [z, g]) => sum + z * g, 0)).toBeCloseTo(0, 12);
    }
  });

  test('equal views lose nothing where features do not repeat each other', async () => {
    const apart = [
      [1, 0],
      [0, 1],
      [-1, 0],
      [0, -1],
    ];
    // A variance with N − 1 would make C_ii = 3/4 here.
    expect((await evaluate(apart, apart)).loss).toBeCloseTo(0, 12);
  });

  test('both views count alike: the loss is symmetric', async () => {
    expect((await evaluate(zA, zB, 0.3)).loss).toBeCloseTo((await evaluate(zB, zA, 0.3)).loss, 12);
  });

  test('the closed form of the gradient: dL/dẑᴬ = ẑᴮ (dL/dC)ᵀ / N', async () => {
    // Standardised columns already, so that projecting out mean and scale is all that is left.
    const a = [
      [1, 1],
      [-1, 1],
      [1, -1],
      [-1, -1],
    ];
    const b = [
      [1, 1],
      [-1, -1],
      [1, 1],
      [-1, -1],
    ];
    // C = [[1, 1], [0, 0]]; dL/dC = [[0, 2λ], [0, −2]].
    const lambda = 0.25;
    const { loss, gradient } = await evaluate(a, b, lambda);
    expect(loss).toBeCloseTo(1 + lambda, 12);
    const raw = b.map(([p = 0, q = 0]) => [(0 * p + 2 * lambda * q) / 4, (0 * p - 2 * q) / 4]);
    const expected = raw.flatMap((row, at) =>
      row.map((value, column) => {
        const along =
          raw.reduce((sum, other, k) => sum + (other[column] as number) * (a[k]?.[column] as number), 0) / 4;
        return value - along * (a[at]?.[column] as number);
      }),
    );
    gradient.forEach((value, at) => {
      expect(value).toBeCloseTo(expected[at] as number, 12);
    });
  });

  test('the correlation matrix is rows of A against columns of B, and not symmetric', async () => {
    const graph = new Graph('correlation');
    const [a, b] = [graph.input('a', 'float32', [4, 2]), graph.input('b', 'float32', [4, 2])];
    graph.output(crossCorrelation(a, b, 0), 'C');
    const program = await backend.compile(graph);
    const { C } = await program.run({
      a: tensor([
        [1, 0],
        [0, 1],
        [-1, 0],
        [0, -1],
      ]),
      b: tensor([
        [1, 1],
        [0, 1],
        [-1, -1],
        [0, -1],
      ]),
    });
    await program.dispose();
    [1, Math.SQRT1_2, 0, Math.SQRT1_2].forEach((value, at) => {
      expect(numbers(C)[at]).toBeCloseTo(value, 6);
    });
  });
});

describe('twin views', () => {
  const draw = async (sampler: Sampler, steps = 1): Promise<Batch> => {
    const { RandomStream } = await import('@updraft/core');
    let batch: Batch | undefined;
    for (let step = 1; step <= steps; step++)
      batch = await sampler.draw({ step, random: RandomStream.fromSeed(1).split(String(step)) });
    return batch as Batch;
  };

  test('without distortions both views are the rows of their ids', async () => {
    const { columns, ids = [] } = await draw(twinViews(images(6), { batchSize: 4, seed: 3 }));
    expect(numbers(columns['xA'])).toEqual(ids.flatMap((id) => [0, 1, 2, 3].map((at) => 4 * Number(id) + at)));
    expect(numbers(columns['xB'])).toEqual(numbers(columns['xA']));
    expect(numbers(columns['label'])).toEqual(ids.map((id) => Number(id) % 2));
  });

  test('views are distorted independently, each by its own steps', async () => {
    const noise = [pixelNoise({ deviation: 1 })];
    const plain = await draw(twinViews(images(6), { batchSize: 4, seed: 3 }));
    const { columns } = await draw(twinViews(images(6), { batchSize: 4, seed: 3, augmentA: noise, augmentB: noise }));
    const noiseOf = (view: string) =>
      numbers(columns[view]).map((value, at) => value - (numbers(plain.columns[view])[at] as number));
    const [a, b] = [noiseOf('xA'), noiseOf('xB')];
    expect(Math.max(...a.map((value, at) => Math.abs(value - (b[at] as number))))).toBeGreaterThan(0.5);
    const rolled = await draw(twinViews(images(6), { batchSize: 4, seed: 3, augmentA: [randomRoll({ pixels: 1 })] }));
    expect(numbers(rolled.columns['xB'])).toEqual(numbers(plain.columns['xB']));
    // Rolling keeps the pixels of each image.
    for (let row = 0; row < 4; row++)
      expect(
        numbers(rolled.columns['xA'])
          .slice(4 * row, 4 * row + 4)
          .sort((p, q) => p - q),
      ).toEqual(numbers(plain.columns['xB']).slice(4 * row, 4 * row + 4));
  });

  test('a matrix of features works as well, and an unclear column is refused', async () => {
    const features = fromTensors({
      x: tensor([
        [1, 2],
        [3, 4],
        [5, 6],
      ]),
    });
    const { columns } = await draw(
      twinViews(features, { batchSize: 3, seed: 0, augmentA: [{ type: 'scale', from: 2, to: 2 }] }),
    );
    expect(columns['xA']?.dims).toEqual([3, 2]);
    expect(numbers(columns['xA'])).toEqual(numbers(columns['xB']).map((value) => 2 * value));
    expect(() => twinViews(fromTensors({ p: tensor([1]), q: tensor([1]) }), { batchSize: 1 })).toThrow(
      /several columns/,
    );
  });

  test("the paper's views take images of three channels and keep them in range", async () => {
    const colours = fromTensors({
      image: {
        dataType: 'float32',
        dims: [8, 3, 6, 6],
        data: Float32Array.from({ length: 8 * 108 }, (_, at) => (at % 101) / 100),
      },
    });
    const { columns } = await draw(twinViews(colours, { ...paperViews(), batchSize: 8, seed: 2 }));
    for (const view of ['xA', 'xB']) {
      const values = numbers(columns[view]);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...values)).toBeLessThanOrEqual(1);
    }
  });
});

describe('the models', () => {
  const encoder = sequential(flatten, dense({ units: 5 }), relu);
  const data = images(32);

  test('one set of weights for both passes; the encoder takes them', async () => {
    const model = twinModel({ input: [1, 2, 2], encoder, projector: projector([6, 4]) });
    const { params, variables } = await train({
      model,
      sampler: twinViews(data, { batchSize: 16, seed: 0, augmentA: [pixelNoise({ deviation: 1 })] }),
      reward: barlowTwins(),
      updateRule: momentum({ learningRate: 1e-3 }),
      backend,
      steps: 2,
    }).result();
    expect(Object.keys(params).sort()).toEqual([
      'encoder.dense.bias',
      'encoder.dense.weight',
      'projector.dense.weight',
      'projector.dense1.weight',
      'projector.norm.bias',
      'projector.norm.gain',
    ]);
    expect(Object.keys(variables).sort()).toEqual(['projector.norm.runningMean', 'projector.norm.runningVariance']);
    const accuracies = await linearProbe({
      backend,
      model: encoderModel({ input: [1, 2, 2], encoder }),
      values: params,
      train: data,
      test: data,
      steps: 5,
    });
    expect(accuracies.trainAccuracy).toBe(accuracies.testAccuracy);
  });

  test('the linear probe separates what is separable', async () => {
    // Two classes on either side of a line.
    const x = Float32Array.from({ length: 80 }, (_, at) => (at % 2 === 0 ? Math.sin(at) : at % 4 === 1 ? 2 : -2));
    const label = BigInt64Array.from({ length: 40 }, (_, at) => ((x[2 * at + 1] as number) > 0 ? 1n : 0n));
    const set = fromTensors({
      image: { dataType: 'float32', dims: [40, 2], data: x },
      label: { dataType: 'int64', dims: [40], data: label },
    });
    const model = encoderModel({ input: [2], encoder: (_, input) => input.mul(1) });
    const { testAccuracy } = await linearProbe({ backend, model, values: {}, train: set, test: set, steps: 50 });
    expect(testAccuracy).toBe(1);
    await expect(
      linearProbe({ backend, model, values: {}, train: set, test: fromTensors({ image: tensor([[1, 2]]) }) }),
    ).rejects.toThrow(/no column "label"/);
  });
});

describe("the paper's schedule", () => {
  test('warm-up from 0, cosine to a thousandth', () => {
    const { at } = paperRate({ batchSize: 2048, steps: 1000, warmUpSteps: 100, factor: 0.2 });
    // By hand: base 8, times 0.2.
    expect(at(1)).toBe(0);
    expect(at(51)).toBeCloseTo(0.8, 12);
    expect(at(101)).toBeCloseTo(1.6, 12);
    expect(at(551)).toBeCloseTo(1.6 * (0.5 + 0.0005), 12);
    expect(at(1001)).toBeCloseTo(0.0016, 12);
    expect(paperRate({ batchSize: 256, steps: 10, warmUpSteps: 0, factor: 0.0048 }).at(1)).toBeCloseTo(0.0048, 12);
  });

  test('kernels and biases have rates of their own', async () => {
    const encoder = sequential(flatten, dense({ units: 4 }));
    const start = await train({
      model: twinModel({ input: [1, 2, 2], encoder, projector: projector([3]) }),
      sampler: twinViews(images(8), { batchSize: 8, seed: 0, augmentB: [pixelNoise({ deviation: 1 })] }),
      reward: barlowTwins(),
      updateRule: paperUpdateRule({ batchSize: 256, steps: 10, warmUpSteps: 1 }),
      backend,
      steps: 1,
    }).result();
    // The first rate is 0: only the velocities move.
    expect(numbers(start.params['encoder.dense.bias'])).toEqual([0, 0, 0, 0]);
    const states = Object.keys(start.state).sort();
    expect(states).toEqual([
      'others/velocity/encoder.dense.bias',
      'weights/velocity/encoder.dense.weight',
      'weights/velocity/projector.dense.weight',
    ]);
  });
});
