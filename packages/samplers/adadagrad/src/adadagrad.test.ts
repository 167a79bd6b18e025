import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  createContainer,
  RandomStream,
  defineModel,
  MemoryCheckpointStore,
  train,
  type Model,
  type TrainOptions,
  type UpdateRule,
} from '@updraft/core';
import { fromArrays, fromTensors, provideDataset, teacherTask, type Dataset } from '@updraft/data';
import type { Tensor, TensorData } from '@updraft/graph';
import { crossEntropy, dense, meanSquaredError, mlp } from '@updraft/nn';
import { chain, momentum } from '@updraft/rules';
import { parseProbeCases, runProbeCase, testSampler, testUpdateRule, type FeedbackMaker } from '@updraft/testing';
import * as all from './index.js';
import {
  AdaGrad,
  AdaGradNorm,
  AdaptiveBatch,
  adaGrad,
  adaptiveBatch,
  batchStatistics,
  gradientStatistics,
} from './index.js';

jest.setTimeout(120_000);

const golden = JSON.parse(readFileSync(new URL('../golden/adadagrad.json', import.meta.url), 'utf8')) as unknown;

const positions: TensorData<'float32'> = {
  dataType: 'float32',
  dims: [40, 2],
  data: Float32Array.from({ length: 80 }, (_, at) => at / 10),
};
/** Gradients of the examples around (1, −0.5, 0.7), with more and more noise. */
const noisyGradients: FeedbackMaker = ({ size }, step) => ({
  loss: 1,
  metrics: {},
  perExample: {
    'gradients/weight': {
      dataType: 'float32',
      dims: [size, 2],
      data: Float32Array.from(
        { length: 2 * size },
        (_, at) => (at % 2 ? -0.5 : 1) + 0.2 * step * Math.sin(2 * at + step),
      ),
    },
    'gradients/bias': {
      dataType: 'float32',
      dims: [size],
      data: Float32Array.from({ length: size }, (_, at) => 0.7 + 0.3 * step * Math.cos(5 * at + step)),
    },
  },
});

testSampler(AdaptiveBatch, {
  options: { eta: 0.5, initialBatch: 2, maxBatch: 30 },
  container: () => provideDataset(fromTensors({ x: positions })),
  candidates: () => ({ x: positions }),
  feedback: noisyGradients,
  effects: {
    theta: { value: 0.1, with: { test: 'ip' } },
    nu: { value: 0.1, with: { test: 'ip+orth' } },
    perTensor: { value: true, with: { test: 'ip+orth', nu: 0.4, theta: 0.3 } },
    maxBatch: { value: 5 },
    growth: { value: 1.1 },
    interval: { value: 3 },
    samples: { value: 10 },
    sizes: { value: 'powers-of-two' },
    test: { value: 'ip' },
  },
  waive: { trained: 'it wants a rule that reports statistics; with one it is stopped and resumed below' },
});

testUpdateRule(AdaGrad, { options: { learningRate: 0.5 }, effects: { epsilon: { value: 0.5 } } });
testUpdateRule(AdaGradNorm, {
  options: { learningRate: 0.5 },
  separable: false,
  effects: {
    epsilon: { value: 0.5, with: { granularity: 'row' } },
    outputAxis: { value: 'last', with: { granularity: 'row' } },
  },
});

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const candidates = ({ candidates: given }: Readonly<Record<string, unknown>>) =>
  given === undefined
    ? createContainer()
    : provideDataset(fromArrays({ x: { values: (given as { readonly x: readonly number[] }).x } }));

describe('golden values', () => {
  test.each(parseProbeCases(golden))('$name', async (one) => {
    await runProbeCase(one, { exports: all, backend, container: candidates });
  });
});

const data: Dataset = teacherTask({ parts: { train: 400 }, features: 6, hidden: 8, classes: 3, seed: 3 }).train;
const network: Model = mlp({ input: [6], hidden: [5], classes: 3, column: 'x' });
/** Of this model no layer is known: its matrix is multiplied element by element. */
const strange: Model = defineModel({
  name: 'strange',
  inputs: { x: { dataType: 'float32', shape: ['batch', 6] } },
  build: (scope, { x }) => {
    const weight = scope.parameter('weight', [6, 3], {
      initialize: () => Float32Array.from({ length: 18 }, (_, at) => Math.sin(at)),
    });
    const gain = scope.parameter('gain', [], { initialize: () => Float32Array.of(1.5) });
    return { logits: (x as Tensor).unsqueeze([2]).mul(weight).sum([1]).mul(gain) };
  },
});
const drawContext = { step: 1, random: RandomStream.fromSeed(0) };
type Step = { readonly metrics: Readonly<Record<string, number>>; readonly size: number; readonly rate: number };

async function runOf(options: Pick<TrainOptions, 'sampler' | 'updateRule'> & Partial<TrainOptions>) {
  const steps: Step[] = [];
  let compiled = 0;
  const run = train({ model: network, reward: crossEntropy(), steps: 12, backend, ...options });
  for await (const event of run)
    if (event.type === 'step')
      steps.push({ metrics: { ...event.metrics }, size: event.batchSize, rate: event.scalars['learningRate'] ?? 0 });
    else if (event.type === 'compile') compiled++;
  return { steps, compiled, result: await run.result() };
}

describe('statistics of a step', () => {
  const BATCH = 12;
  /** Keeps the gradients of every example in its state. */
  const keepsGradients: UpdateRule = {
    init: ({ params, state }) =>
      Object.fromEntries(Object.values(params).map(({ name, shape }) => [name, state([BATCH, ...shape])])),
    update: (context) => ({ state: context.perSampleGrads() }),
  };
  const rowsOf = ({ data: values, dims }: TensorData): number[][] => {
    const numbers = Array.from(values as Float32Array);
    const width = numbers.length / (dims[0] as number);
    return Array.from({ length: dims[0] as number }, (_, row) => numbers.slice(row * width, (row + 1) * width));
  };

  test.each([
    ['dense layers, from inputs and output gradients', network],
    ['a model without known layers', strange],
  ])('%s: those of the gradients of every example', async (_, model) => {
    for (const kind of ['ip+orth', 'coord'] as const) {
      const { steps, result } = await runOf({
        model,
        sampler: adaptiveBatch(data, { initialBatch: BATCH }),
        updateRule: chain(batchStatistics(kind), keepsGradients, momentum({ learningRate: 0.1 })),
        steps: 1,
      });
      const gradients = Object.fromEntries(
        Object.entries(result.state)
          .filter(([path]) => path.startsWith('1/'))
          .map(([path, value]) => [path, rowsOf(value)]),
      );
      expect(Object.keys(gradients).length).toBe(model === network ? 4 : 2);
      const together = gradientStatistics(gradients);
      const apart = gradientStatistics(gradients, { perTensor: true });
      const expected =
        kind === 'coord'
          ? { coordinateRatio: together.coordinateRatio }
          : {
              innerProductVariance: together.innerProductVariance,
              orthogonalVariance: together.orthogonalVariance,
              tensorInnerProductVariance: apart.innerProductVariance,
              tensorOrthogonalVariance: apart.orthogonalVariance,
            };
      for (const [name, value] of Object.entries({
        gradientSquaredNorm: together.squaredNorm,
        gradientVariance: together.variance,
        ...expected,
      })) {
        expect(value).toBeGreaterThan(0);
        expect((steps[0]?.metrics[name] as number) / value).toBeCloseTo(1, 3);
      }
    }
  });

  test('the link reports at its interval only, and changes nothing', async () => {
    const sampler = () => adaptiveBatch(data, { initialBatch: 8, interval: 3, maxBatch: 8 });
    const plain = await runOf({ sampler: sampler(), updateRule: momentum({ learningRate: 0.1 }), steps: 7 });
    const linked = await runOf({
      sampler: sampler(),
      updateRule: chain(batchStatistics('norm', 3), momentum({ learningRate: 0.1 })),
      steps: 7,
    });
    expect(linked.steps.map(({ metrics }) => metrics['gradientVariance'] !== undefined)).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((step) => step % 3 === 1),
    );
    for (const [name, value] of Object.entries(plain.result.params))
      expect(Array.from(linked.result.params[name]?.data as Float32Array)).toEqual(
        Array.from(value.data as Float32Array),
      );
  });

  test('a rule that reports nothing, or too little, is told what to do', async () => {
    for (const updateRule of [adaGrad(), adaGrad({ statistics: 'norm' })])
      await expect(runOf({ sampler: adaptiveBatch(data, { test: 'ip' }), updateRule })).rejects.toThrow(
        /no statistics for the test "ip".*statistics: 'ip'/s,
      );
  });
});

describe('batches that grow', () => {
  const growing = (options: all.AdaptiveBatchOptions = {}) =>
    adaptiveBatch(data, { eta: 1, initialBatch: 8, ...options });
  const rule = () => adaGrad({ learningRate: 0.3, statistics: 'norm' });

  test('every size is the one that the step before asks for; they never fall', async () => {
    const { steps, compiled } = await runOf({ sampler: growing(), updateRule: rule(), steps: 60 });
    steps.slice(1).forEach(({ size }, at) => {
      const { metrics, size: before } = steps[at] as Step;
      const wanted = Math.ceil((metrics['gradientVariance'] as number) / (metrics['gradientSquaredNorm'] as number));
      expect(size).toBe(Math.min(400, Math.max(before, wanted)));
    });
    const sizes = new Set(steps.map(({ size }) => size));
    expect(sizes.size).toBeGreaterThan(5);
    // Programs for the first two sizes, and one with a symbolic batch for all others.
    expect(compiled).toBeLessThanOrEqual(3);
  });

  test('powers of two are the only sizes, where asked for', async () => {
    const { steps } = await runOf({
      sampler: growing({ sizes: 'powers-of-two', maxBatch: 300 }),
      updateRule: rule(),
      steps: 60,
    });
    const sizes = [...new Set(steps.map(({ size }) => size))];
    expect(sizes.length).toBeGreaterThan(2);
    for (const size of sizes) expect(size === 300 || Number.isInteger(Math.log2(size))).toBe(true);
  });

  test('the run ends after so many examples, and schedules may count them', async () => {
    const sampler = growing({ samples: 2000 });
    const schedule = sampler.bySamples({ at: (count) => 1 / count });
    const { steps, result } = await runOf({
      sampler,
      updateRule: adaGrad({ learningRate: schedule, statistics: 'norm' }),
      steps: 10_000,
    });
    expect(result.reason).toBe('sampler-ended');
    const total = steps.reduce((sum, { size }) => sum + size, 0);
    expect(total).toBeGreaterThanOrEqual(2000);
    expect(total - (steps.at(-1)?.size as number)).toBeLessThan(2000);
    let before = 0;
    for (const { size, rate } of steps) {
      expect(rate).toBeCloseTo(1 / Math.max(1, before), 12);
      before += size;
    }
  });

  test('a run that was stopped goes on with the same sizes and ends with the same bits', async () => {
    const whole = await runOf({ sampler: growing(), updateRule: rule(), steps: 20 });
    const store = new MemoryCheckpointStore();
    const checkpoints = { store, every: 1_000_000 };
    const first = await runOf({ sampler: growing(), updateRule: rule(), steps: 9, checkpoints });
    const second = await runOf({ sampler: growing(), updateRule: rule(), steps: 20, checkpoints });
    expect([...first.steps, ...second.steps].map(({ size }) => size)).toEqual(whole.steps.map(({ size }) => size));
    for (const [name, value] of Object.entries(whole.result.params))
      expect(Array.from(second.result.params[name]?.data as Float32Array)).toEqual(
        Array.from(value.data as Float32Array),
      );
  });

  test('batches have different examples, and sizes that cannot be are refused', () => {
    const batch = adaptiveBatch(data, { initialBatch: 400 }).draw(drawContext);
    expect(new Set(batch?.ids).size).toBe(400);
    expect(() => adaptiveBatch(data, { initialBatch: 401 })).toThrow(/begin with 401 examples, and 400 are the most/);
    expect(() => adaptiveBatch(data, { maxBatch: 10 })).toThrow(/10 are the most/);
    expect(() => {
      adaptiveBatch(data, { maxBatch: 20 }).restore({ size: 21, drawn: 0 });
    }).toThrow(/none of an adaptive batch/);
  });
});

test('AdaGrad of gradients that stay 0 stays, with every ε and start', async () => {
  const still: Model = defineModel({
    name: 'still',
    inputs: { x: { dataType: 'float32', shape: ['batch', 6] } },
    build: (scope, { x }) => ({
      output: dense({ units: 1 })(scope, x as Tensor)
        .mul(0)
        .mean([1]),
    }),
  });
  for (const updateRule of [
    adaGrad({ epsilon: 0 }),
    all.adaGradNorm({ initialAccumulator: 0 }),
    all.adaGradNorm({ initialAccumulator: 0, granularity: 'row', epsilon: 0 }),
  ]) {
    const run = await runOf({
      model: still,
      sampler: adaptiveBatch(
        fromArrays({
          x: { values: [new Array<number>(6).fill(1), new Array<number>(6).fill(2)] },
          target: { values: [0, 0] },
        }),
        { initialBatch: 2 },
      ),
      reward: meanSquaredError(),
      updateRule,
      steps: 2,
    });
    for (const value of Object.values(run.result.params))
      for (const one of value.data as Float32Array) expect(Number.isFinite(one)).toBe(true);
  }
});
