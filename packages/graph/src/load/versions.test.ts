import { expect, test } from '@jest/globals';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { apply } from '../apply.js';
import type { AttributeValues } from '../apply.js';
import { emptyTensor, isFloat, tensor, writeElement, type DataType, type TensorData } from '../data-type.js';
import { Graph } from '../graph.js';
import { modelOf } from '../model.js';
import { standardOperators } from '../operators/index.js';
import type { OperatorSchema } from '../schema.js';
import { encodeModel } from '../serialise/encode.js';
import { EARLIEST_COMPATIBLE } from './operator-history.js';

/** Oldest opset that the runtime supports. */
const OLDEST_IN_RUNTIME = 7;

type Operand = TensorData | readonly number[] | undefined;
const f = (...dims: number[]): TensorData => {
  const value = emptyTensor<DataType>('float32', dims);
  for (let index = 0; index < dims.reduce((a, b) => a * b, 1); index++)
    writeElement(value, index, (((index + 3) * 7919) % 23) / 7 - 1.4);
  return value;
};
const ints = (values: number[], dims?: number[]): TensorData => tensor(values, 'int64', dims ?? [values.length]);
const bytes = (values: number[]): TensorData => tensor(values, 'uint8');
const one = (value: number): TensorData => tensor(value);
const flags = (values: number[]): TensorData => tensor(values, 'bool');

/** One application per operator: operands and attributes that every version has. */
const CASES: Readonly<Record<string, readonly [readonly Operand[], AttributeValues?, number?]>> = {
  Add: [[f(2, 3), f(3)]],
  ArgMax: [[f(2, 3)], { axis: 1 }],
  AveragePool: [[f(1, 2, 5, 5)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] }],
  BatchNormalization: [[f(2, 3, 4), f(3), f(3), f(3), tensor([1, 2, 3])], { epsilon: 0.01 }],
  Cast: [[f(4)], { to: 7 }],
  Clip: [[f(8), one(-0.5), one(0.5)]],
  Compress: [[f(3, 2), flags([1, 0, 1])], { axis: 0 }],
  Concat: [[f(2, 3), f(2, 1)], { axis: 1 }],
  ConstantOfShape: [[ints([2, 3])]],
  Conv: [[f(1, 2, 6), f(3, 2, 3), f(3)], { pads: [1, 1], strides: [2] }],
  ConvTranspose: [[f(1, 2, 5), f(2, 3, 3)], { strides: [2], output_padding: [1] }],
  CumSum: [[f(2, 3), tensor(1, 'int64', [])], { exclusive: 1, reverse: 1 }],
  DepthToSpace: [[f(1, 8, 2, 2)], { blocksize: 2 }],
  DequantizeLinear: [[bytes([1, 200, 30]), one(0.25), tensor(3, 'uint8', [])]],
  Div: [[f(2, 3), f(3)]],
  Dropout: [[f(2, 3)]],
  Elu: [[f(9)], { alpha: 0.7 }],
  Equal: [[ints([1, 2, 3]), ints([1, 5, 3])]],
  Erf: [[f(9)]],
  Expand: [[f(3, 1), ints([2, 3, 4])]],
  Flatten: [[f(2, 3, 4)], { axis: 2 }],
  GRU: [[f(3, 2, 4), f(1, 6, 4), f(1, 6, 2)], { hidden_size: 2 }, 2],
  Gather: [[f(4, 3), ints([3, 0, 1])], { axis: 0 }],
  GatherElements: [[f(3, 2), ints([1, 0], [1, 2])], { axis: 0 }],
  GatherND: [[f(3, 2), ints([1, 0], [1, 2])]],
  Gemm: [[f(2, 3), f(4, 3), f(4)], { alpha: 0.5, beta: 2, transB: 1 }],
  Greater: [[f(5), f(5)]],
  HardSigmoid: [[f(9)], { alpha: 0.3 }],
  InstanceNormalization: [[f(2, 3, 4), f(3), f(3)], { epsilon: 0.01 }],
  LRN: [[f(1, 5, 2, 2)], { size: 3 }],
  LSTM: [[f(3, 2, 4), f(1, 8, 4), f(1, 8, 2), f(1, 16)], { hidden_size: 2 }, 3],
  LeakyRelu: [[f(9)], { alpha: 0.2 }],
  LpPool: [[f(1, 2, 6)], { kernel_shape: [2], strides: [2], p: 2 }],
  MatMul: [[f(2, 3), f(3, 2)]],
  Max: [[f(2, 3), f(3)]],
  MaxPool: [[f(1, 2, 5, 5)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] }],
  Mean: [[f(2, 3), f(3)]],
  Mod: [[ints([5, -5, 7]), ints([3, 3, -4])]],
  Mul: [[f(2, 3), f(3)]],
  OneHot: [[ints([0, 2, 1]), tensor(3, 'int64', []), tensor([0, 5])], { axis: -1 }],
  PRelu: [[f(2, 3), f(3)]],
  Pad: [[f(2, 3), ints([1, 0, 0, 2]), one(7)]],
  Pow: [[f(2, 3), tensor([2, 2, 2])]],
  QuantizeLinear: [[f(9), one(0.1), tensor(3, 'uint8', [])]],
  RNN: [[f(3, 2, 4), f(1, 2, 4), f(1, 2, 2)], { hidden_size: 2 }, 2],
  ReduceL1: [[f(2, 3)]],
  ReduceMean: [[f(2, 3)], { keepdims: 0 }],
  ReduceMax: [[f(2, 3)]],
  ReduceSum: [[f(2, 3)]],
  Reshape: [[f(2, 3), ints([3, -1])]],
  Resize: [
    [f(1, 1, 3, 3), f(0), tensor([1, 1, 2, 1.5])],
    { mode: 'linear', coordinate_transformation_mode: 'half_pixel' },
  ],
  ScatterElements: [[f(3, 2), ints([1, 0], [1, 2]), f(1, 2)], { axis: 0 }],
  ScatterND: [[f(3, 2), ints([2, 0], [2, 1]), f(2, 2)]],
  Shape: [[f(2, 3)]],
  Sigmoid: [[f(9)]],
  Slice: [[f(4, 5), ints([3, 0]), ints([-5, 4]), ints([0, 1]), ints([-1, 2])]],
  SpaceToDepth: [[f(1, 2, 4, 4)], { blocksize: 2 }],
  Split: [[f(4, 2), ints([1, 3])], { axis: 0 }, 2],
  Squeeze: [[f(2, 1, 3)]],
  Sum: [[f(2, 3), f(3)]],
  Tanh: [[f(9)]],
  Tile: [[f(2, 3), ints([2, 1])]],
  TopK: [[f(2, 5), ints([2])], { axis: 1 }, 2],
  Transpose: [[f(2, 3, 4)], { perm: [2, 0, 1] }],
  Unsqueeze: [[f(2, 3), ints([0, 3])]],
  Where: [[flags([1, 0, 1]), f(3), f(2, 3)]],
};

async function compute(graph: Graph, opset: number): Promise<number[][]> {
  const session = await InferenceSession.create(
    encodeModel(modelOf(graph, { opsets: new Map([['', opset]]), irVersion: 8 })),
    {
      graphOptimizationLevel: 'disabled',
      logSeverityLevel: 4,
      intraOpNumThreads: 1,
    },
  );
  const feeds: Record<string, RuntimeTensor> = {};
  for (const [input, data] of feedsOf.get(graph) ?? [])
    feeds[input] = new RuntimeTensor(data.dataType as 'float32', data.data as Float32Array, [...data.dims]);
  const results = await session.run(feeds);
  await session.release();
  return graph.outputs.map(({ name }) => {
    const { data } = results[name] as RuntimeTensor;
    return Array.from(data as Float32Array, Number);
  });
}

const feedsOf = new WeakMap<Graph, Map<string, TensorData>>();

test.each(Object.entries(CASES))(
  '%s means in its oldest accepted version what it means today',
  async (type, [operands, attributes, outputs]) => {
    const schema = standardOperators().find('', type) as OperatorSchema;
    const earliest = EARLIEST_COMPATIBLE[type] ?? schema.since;
    expect(earliest).toBeLessThan(schema.since);
    const graph = new Graph(type);
    const feeds = new Map<string, TensorData>();
    const inputs = operands.map((operand, index) => {
      if (operand === undefined) return undefined;
      const data = operand as TensorData;
      // Shapes and the like are constants; data are inputs, which nothing can fold away.
      if (!isFloat(data.dataType) || index > 0) return graph.constant(data);
      const input = graph.input(`x${index}`, data.dataType, data.dims);
      feeds.set(input.name, data);
      return input;
    });
    const made = apply(schema, inputs, attributes ?? {}, { graph, outputs: outputs ?? 1 });
    for (const output of made.producer?.outputs ?? []) if (output !== undefined) graph.output(output);
    feedsOf.set(graph, feeds);
    const [today, then] = [await compute(graph, 21), await compute(graph, Math.max(OLDEST_IN_RUNTIME, earliest))];
    expect(today.length).toBeGreaterThan(0);
    today.forEach((values, index) => {
      expect(then[index]).toHaveLength(values.length);
      // Kernels of different versions may sum in another order.
      values.forEach((value, at) => {
        expect(then[index]?.[at]).toBeCloseTo(value, 5);
      });
    });
  },
);

test('the table of versions fits the schemas', () => {
  const operators = standardOperators();
  for (const [type, earliest] of Object.entries(EARLIEST_COMPATIBLE))
    expect(operators.find('', type)?.since).toBeGreaterThan(earliest);
});
