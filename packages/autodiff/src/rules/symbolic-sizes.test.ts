import { expect, test } from '@jest/globals';
import {
  attention,
  encodeModel,
  einsum,
  gatherND,
  Graph,
  gridSample,
  gru,
  loop,
  lstm,
  readElement,
  rotaryEmbedding,
  skipLayerNormalization,
  tanh,
  type Tensor,
  type TensorData,
} from '@updraft/graph';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { checkpoint } from '../checkpoint.js';
import { gradients } from '../gradients.js';

/** Shapes with the names of symbolic sizes, and what is computed from inputs of these shapes. */
interface Case {
  readonly name: string;
  readonly shapes: readonly (readonly (number | string)[])[];
  readonly build: (...inputs: Tensor[]) => Tensor;
  readonly indices?: readonly number[];
}

const SIZES: Readonly<Record<string, number>> = { batch: 2, time: 3 };

const CASES: readonly Case[] = [
  {
    name: 'LSTM',
    shapes: [
      ['time', 'batch', 2],
      [1, 8, 2],
      [1, 8, 2],
      [1, 16],
    ],
    build: (x, w, r, bias) => lstm(x, w, r, { bias }).sequence,
  },
  {
    name: 'GRU, both directions',
    shapes: [
      ['time', 'batch', 2],
      [2, 6, 2],
      [2, 6, 2],
    ],
    build: (x, w, r) => gru(x, w, r, { direction: 'bidirectional' }).hidden,
  },
  {
    name: 'Loop',
    shapes: [['batch', 3], [3]],
    build: (x, w) =>
      loop({ count: 3, state: [x] }, (_, [value]) => ({ state: [tanh((value as Tensor).mul(w))] })).state[0] as Tensor,
  },
  {
    name: 'Attention, grouped and causal',
    shapes: [
      ['batch', 'time', 8],
      ['batch', 'time', 4],
      ['batch', 'time', 4],
    ],
    build: (q, k, v) => attention(q, k, v, { queryHeads: 4, keyValueHeads: 2, causal: true }),
  },
  {
    name: 'RotaryEmbedding',
    shapes: [
      ['batch', 2, 'time', 4],
      ['batch', 'time', 2],
      ['batch', 'time', 2],
    ],
    build: (x, cos, sin) => rotaryEmbedding(x, cos, sin),
  },
  {
    name: 'Einsum',
    shapes: [
      ['batch', 'time', 3],
      [3, 2],
    ],
    build: (x, w) => einsum('bti,ij->bj', x, w),
  },
  { name: 'Einsum over everything', shapes: [['batch', 'time']], build: (x) => einsum('bt->', x).exp() },
  {
    name: 'GatherND',
    shapes: [
      ['batch', 3, 2],
      ['batch', 2, 1],
    ],
    indices: [1],
    build: (x, at) => gatherND(x, at, { batchDims: 1 }),
  },
  {
    name: 'SkipLayerNormalization',
    shapes: [['batch', 'time', 4], ['batch', 'time', 4], [4]],
    build: (x, skip, scale) => skipLayerNormalization(x, skip, scale),
  },
  {
    name: 'GridSample',
    shapes: [
      ['batch', 1, 3, 3],
      ['batch', 'time', 2, 2],
    ],
    build: (x, grid) => gridSample(x, grid),
  },
  {
    name: 'checkpoint',
    shapes: [
      ['batch', 3],
      [3, 3],
    ],
    build: (x, w) => checkpoint((value) => tanh(einsum('bi,ij->bj', value, w)), [x] as const),
  },
];

/** First-order gradients and gradients of the sum of their squares. */
async function derivatives({ shapes, build, indices = [] }: Case, symbolic: boolean): Promise<number[][]> {
  const graph = new Graph('case');
  const dims = shapes.map((shape) => shape.map((dim) => (typeof dim === 'number' ? dim : (SIZES[dim] as number))));
  const inputs = shapes.map((shape, index) =>
    graph.input(
      `v${index}`,
      indices.includes(index) ? 'int64' : 'float32',
      symbolic ? shape : (dims[index] as number[]),
    ),
  );
  const wanted = inputs.filter((_, index) => !indices.includes(index));
  const value = build(...inputs);
  const first = gradients(value.mul(value).sum(), wanted);
  const norm = first.map((gradient) => gradient.mul(gradient).sum()).reduce((left, right) => left.add(right));
  const outputs = [...first, ...gradients(norm, wanted)].map((gradient, index) =>
    graph.output(gradient.mul(1), `g${index}`),
  );
  const session = await InferenceSession.create(encodeModel(graph), { logSeverityLevel: 4, intraOpNumThreads: 1 });
  const feeds = dims.map((shape, index) => {
    const count = shape.reduce((product, size) => product * size, 1);
    return indices.includes(index)
      ? new RuntimeTensor(
          'int64',
          BigInt64Array.from({ length: count }, (_, at) => BigInt(at % 3)),
          shape,
        )
      : new RuntimeTensor(
          'float32',
          Float32Array.from({ length: count }, (_, at) => Math.sin(1.3 * at + index)),
          shape,
        );
  });
  const used = new Set(session.inputNames);
  const results = await session.run(
    Object.fromEntries(feeds.map((feed, index) => [`v${index}`, feed] as const).filter(([name]) => used.has(name))),
  );
  await session.release();
  return outputs.map(({ name }) => {
    const { type, dims: shape, data } = results[name] as RuntimeTensor;
    const tensor = { dataType: type, dims: shape, data } as unknown as TensorData;
    return Array.from({ length: (data as Float32Array).length }, (_, at) => readElement(tensor, at));
  });
}

test.each(CASES)('$name: symbolic sizes give the derivatives of known ones', async (one) => {
  const [known, symbolic] = [await derivatives(one, false), await derivatives(one, true)];
  known.forEach((expected, index) => {
    const found = symbolic[index] as number[];
    expect(found.length).toBe(expected.length);
    expected.forEach((value, at) => {
      expect(found[at]).toBeCloseTo(value, 3);
    });
  });
});
