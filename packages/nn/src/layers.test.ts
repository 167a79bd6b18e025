import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { defineModel, inferenceGraph, modelSpecs, PREFIX, Scope, Tracer, type Layer, type Model } from '@updraft/core';
import { Graph, tensor, type TensorData } from '@updraft/graph';
import {
  attention,
  batchNorm,
  convolution,
  dropout,
  gpt,
  groupNorm,
  gru,
  layerNorm,
  lenet,
  lstm,
  mlp,
  resnet,
  rmsNorm,
  rotaryEmbedding,
  unet,
  vit,
} from './index.js';

interface Stored {
  readonly dims: readonly number[];
  readonly data: readonly number[];
}
interface GoldenCase {
  readonly name: string;
  readonly x: Stored;
  readonly params: Readonly<Record<string, Stored>>;
  readonly y: Stored;
}
const golden = JSON.parse(readFileSync(new URL('../golden/layers.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly GoldenCase[];
};

const LAYERS: Readonly<Record<string, Layer>> = {
  'attention-causal': attention({ heads: 2, causal: true }),
  attention: attention({ heads: 2 }),
  lstm: lstm({ units: 6 }),
  gru: gru({ units: 6 }),
  'layer-norm': layerNorm(),
  'rms-norm': rmsNorm(),
  'group-norm': groupNorm({ groups: 2 }),
  'batch-norm-training': batchNorm(),
  convolution: convolution({ channels: 6, kernelSize: 3, stride: 2, padding: 1, groups: 2 }),
};

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const stored = ({ dims, data }: Stored): TensorData => ({ dataType: 'float32', dims, data: Float32Array.from(data) });

/** Run a layer on values, with its parameters given. */
async function apply(
  layer: Layer,
  x: TensorData,
  params: Readonly<Record<string, TensorData>>,
  training: boolean,
): Promise<TensorData> {
  const graph = new Graph('layer');
  const tracer = new Tracer(graph);
  const input = graph.input('x', 'float32', x.dims);
  graph.output(layer(new Scope(tracer, training), input), 'y');
  const program = await backend.compile(graph);
  const feeds = Object.fromEntries(
    program.inputs.map(({ name }) => {
      const variable = tracer.variables.get(name.slice(PREFIX.variable.length));
      return [
        name,
        name === 'x' ? x : (variable?.spec.initial ?? (params[name.slice(PREFIX.param.length)] as TensorData)),
      ];
    }),
  );
  const { y } = await program.run(feeds);
  await program.dispose();
  return y as TensorData;
}

describe('layers give what PyTorch gives', () => {
  test.each(golden.cases.map((one) => [one.name, one] as const))('%s', async (name, one) => {
    const params = Object.fromEntries(Object.entries(one.params).map(([key, value]) => [key, stored(value)]));
    const y = await apply(LAYERS[name] as Layer, stored(one.x), params, name.endsWith('training'));
    expect(y.dims).toEqual(one.y.dims);
    one.y.data.forEach((value, index) => {
      expect(Math.abs((y.data[index] as number) - value)).toBeLessThan(2e-5);
    });
  });
});

describe('attention', () => {
  test('shared key-value heads equal full heads with repeated weights', async () => {
    const value = (count: number, phase: number): Float32Array =>
      Float32Array.from({ length: count }, (_, index) => Math.sin(index * 1.7 + phase) * 0.4);
    const x: TensorData = { dataType: 'float32', dims: [1, 3, 8], data: value(24, 0) };
    // Queries of 4 heads of size 2; one key and one value head, or the same ones four times.
    const [query, key, content] = [value(64, 1), value(16, 2), value(16, 3)];
    const joined = (repeats: number): TensorData => {
      const width = 8 + 4 * repeats;
      const data = new Float32Array(8 * width);
      for (let row = 0; row < 8; row++) {
        data.set(query.subarray(row * 8, row * 8 + 8), row * width);
        for (let copy = 0; copy < repeats; copy++) {
          data.set(key.subarray(row * 2, row * 2 + 2), row * width + 8 + copy * 2);
          data.set(content.subarray(row * 2, row * 2 + 2), row * width + 8 + (repeats + copy) * 2);
        }
      }
      return { dataType: 'float32', dims: [8, width], data };
    };
    const run = (repeats: number): Promise<TensorData> =>
      apply(
        attention({ heads: 4, keyValueHeads: repeats, bias: false }),
        x,
        {
          'attention.qkv.weight': joined(repeats),
          'attention.output.weight': { dataType: 'float32', dims: [8, 8], data: value(64, 5) },
        },
        false,
      );
    const [shared, full] = [await run(1), await run(4)];
    full.data.forEach((expected, index) => {
      expect(shared.data[index] as number).toBeCloseTo(expected as number, 5);
    });
  });

  test('rotary products depend on the distance of positions alone', async () => {
    const row = [0.3, -0.7, 1.1, 0.2];
    const x: TensorData = tensor([[[row, row, row, row]]]);
    const y = await apply((_scope, input) => rotaryEmbedding(input), x, {}, false);
    const at = (position: number): number[] =>
      Array.from({ length: 4 }, (_, index) => y.data[position * 4 + index] as number);
    const product = (a: readonly number[], b: readonly number[]): number =>
      a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
    expect(product(at(0), at(1))).toBeCloseTo(product(at(2), at(3)), 5);
    expect(product(at(0), at(2))).toBeCloseTo(product(at(1), at(3)), 5);
    expect(at(0)).toEqual(row.map((value) => expect.closeTo(value, 6)));
  });
});

describe('reference models', () => {
  const image = [1, 28, 28];
  // Parameters counted by hand.
  const block = (width: number): number =>
    4 * width +
    (width * 3 * width + 3 * width) +
    (width * width + width) +
    (width * 4 * width + 4 * width) +
    (4 * width * width + width);
  test.each<[string, Model, number]>([
    ['mlp', mlp({ input: [784], hidden: [512, 512], classes: 10 }), 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10],
    ['lenet', lenet({ input: image, classes: 10 }), 16 * 25 + 16 + 32 * 16 * 25 + 32 + 512 * 128 + 128 + 128 * 10 + 10],
    [
      'gpt',
      gpt({ vocabulary: 256, context: 128, width: 128, depth: 4, heads: 4 }),
      256 * 128 + 128 * 128 + 4 * block(128) + 2 * 128,
    ],
    [
      'vit',
      vit({ input: image, classes: 10, patchSize: 7, width: 32, depth: 2, heads: 4 }),
      49 * 32 + 32 + 16 * 32 + 2 * block(32) + 64 + 32 * 10 + 10,
    ],
  ])('%s has as many parameters as counted by hand', (_, model, count) => {
    const { params } = modelSpecs(model);
    expect(Object.values(params).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(count);
  });

  test.each<[string, Model]>([
    ['resnet', resnet({ input: image, classes: 10, width: 8 })],
    ['vit', vit({ input: image, classes: 10, patchSize: 7, width: 16, depth: 1, heads: 2 })],
    [
      'gpt with rotary positions and shared heads',
      gpt({ vocabulary: 32, context: 8, width: 16, depth: 1, heads: 4, keyValueHeads: 2, rotary: true, tied: false }),
    ],
    ['unet', unet({ input: [1, 16, 16], width: 8, levels: 2, classes: 10 })],
  ])('%s gives finite outputs of the right shape for any batch', async (_, model) => {
    const { params, variables } = modelSpecs(model);
    const values = Object.fromEntries([
      ...Object.values(params).map((spec) => {
        const size = spec.shape.reduce((a, b) => a * b, 1);
        return [
          spec.name,
          {
            dataType: 'float32',
            dims: spec.shape,
            data: Float32Array.from({ length: size }, (_unused, index) => Math.sin(index) * 0.1),
          },
        ];
      }),
      ...Object.values(variables).map(({ name, initial }) => [name, initial]),
    ]) as Record<string, TensorData>;
    const program = await backend.compile(inferenceGraph(model, values));
    for (const batch of [1, 3]) {
      const feeds = Object.fromEntries(
        Object.entries(model.inputs).map(([name, { dataType, shape }]) => {
          const dims = shape.map((dim) => (typeof dim === 'number' ? dim : batch));
          const size = dims.reduce((a, b) => a * b, 1);
          const data =
            dataType === 'int64'
              ? new BigInt64Array(size).fill(3n)
              : Float32Array.from({ length: size }, (_unused, index) => Math.cos(index));
          return [name, { dataType, dims, data } as TensorData];
        }),
      );
      const [output] = Object.values(await program.run(feeds)) as [TensorData];
      expect(output.dims[0]).toBe(batch);
      expect((output.data as Float32Array).every(Number.isFinite)).toBe(true);
    }
    await program.dispose();
  });
});

describe('dropout', () => {
  test('keeps the mean in training and is nothing in inference', async () => {
    const model = defineModel({
      name: 'd',
      inputs: { x: { dataType: 'float32', shape: ['batch', 1000] } },
      build: (scope, inputs) => dropout(0.25)(scope, inputs['x']!),
    });
    const graph = new Graph('dropout');
    const tracer = new Tracer(graph);
    const x = graph.input('x', 'float32', [1, 1000]);
    graph.output(model.build(new Scope(tracer, true), { x })['output']!, 'y');
    const program = await backend.compile(graph);
    const ones: TensorData = { dataType: 'float32', dims: [1, 1000], data: new Float32Array(1000).fill(1) };
    const mask: TensorData = {
      dataType: 'float32',
      dims: [1, 1000],
      data: Float32Array.from({ length: 1000 }, (_, index) => index / 1000),
    };
    const { y } = await program.run({ x: ones, 'noise/dropout.mask': mask });
    // Exactly three quarters of the mask values reach the rate.
    expect((y?.data as Float32Array).reduce((a, b) => a + b, 0)).toBeCloseTo(1000, 2);
    const still = inferenceGraph(model, {});
    expect(still.nodes.map(({ type }) => type)).toEqual(['Identity']);
    await program.dispose();
  });
});
