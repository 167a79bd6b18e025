import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as g from '@updraft/graph';
import { gradients } from '../gradients.js';
import { evaluate } from './testing/central-differences.js';
import { applied } from './testing/applied.js';

interface Plain {
  readonly dims: readonly number[];
  readonly data: readonly number[];
  /** Whole numbers: indices. */
  readonly whole?: boolean;
}
interface GoldenCase {
  readonly name: string;
  readonly operator: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly inputs: readonly Plain[];
  readonly seeds: readonly Plain[];
  readonly outputs: readonly Plain[];
  readonly gradients: readonly Plain[];
}

const { cases } = JSON.parse(readFileSync(new URL('../../golden/derivatives.json', import.meta.url), 'utf8')) as {
  cases: readonly GoldenCase[];
};

type Inputs = readonly [g.Tensor, g.Tensor, g.Tensor, g.Tensor, g.Tensor, g.Tensor];
/** Options in the form that the operator's function takes; the file says what they are. */
type Options = never;
type Build = (inputs: Inputs, options: Options) => g.Tensor | readonly g.Tensor[];
const build = <T>(f: (inputs: Inputs, options: T) => g.Tensor | readonly g.Tensor[]): Build => f as Build;

const constant = (x: g.Tensor, value: number): g.Tensor => x.graph.constant(value, x.dataType);
const initial = ([, , , bias, initialHidden]: Inputs, options: object): object => ({ ...options, bias, initialHidden });
const reduction = (f: typeof g.reduceSum): Build =>
  build<{ axes: number[] }>(([x], { axes }) => f(x, axes, { keepDims: true }));
const loss = (f: typeof g.negativeLogLikelihoodLoss): Build =>
  build<{ weights: number[]; reduction: 'mean'; ignoreIndex: number }>(([x, y], { weights, ...rest }) =>
    f(x, y, { ...rest, weights: x.graph.constant(g.tensor(weights)) }),
  );

/** How each operator of the file is built from its inputs and options. */
const BUILDERS: Readonly<Record<string, Build>> = {
  Abs: ([x]) => g.abs(x),
  AffineGrid: build<{ size: number[]; alignCorners: boolean }>(([x], { size, ...rest }) => g.affineGrid(x, size, rest)),
  Attention: build<{ causal?: boolean; scale?: number }>(([q, k, v, mask], options) =>
    g.attention(q, k, v, { ...options, mask }),
  ),
  AveragePool: build<g.PoolingOptions>(([x], options) => g.averagePool(x, options)),
  BatchNormalization: build<{ training: boolean; epsilon: number }>(([x, scale, bias, mean, variance], options) =>
    options.training
      ? g.batchNormalizationTraining(x, scale, bias, g.zerosLike(scale), g.onesLike(scale), options).output
      : g.batchNormalization(x, scale, bias, mean, variance, options),
  ),
  Celu: build<{ alpha: number }>(([x], { alpha }) => g.celu(x, alpha)),
  Clip: build<{ low: number; high: number }>(([x], { low, high }) => g.clip(x, constant(x, low), constant(x, high))),
  Col2Im: build<{ imageShape: number[]; blockShape: number[] }>(([x], { imageShape, blockShape, ...rest }) =>
    g.col2Im(x, imageShape, blockShape, rest),
  ),
  Conv: build<g.ConvolutionOptions>(([x, w, b], options) => g.conv(x, w, b, options)),
  ConvTranspose: build<g.TransposedConvolutionOptions>(([x, w, b], options) => g.convTranspose(x, w, b, options)),
  CumSum: build<{ axis: number; exclusive: boolean; reverse: boolean }>(([x], options) =>
    g.cumSum(x, options.axis, options),
  ),
  DFT: build<g.DftOptions>(([x], options) => g.dft(x, options)),
  DepthToSpace: build<{ block: number }>(([x], { block }) => g.depthToSpace(x, block, 'CRD')),
  Einsum: build<{ equation: string }>(([a, b], { equation }) => g.einsum(equation, a, b)),
  Elu: build<{ alpha: number }>(([x], { alpha }) => g.elu(x, alpha)),
  GRU: build<object>((inputs, options) => {
    // PyTorch resets the product, not the state.
    const { sequence, hidden } = g.gru(inputs[0], inputs[1], inputs[2], {
      ...initial(inputs, options),
      linearBeforeReset: true,
    });
    return [sequence, hidden];
  }),
  Gather: ([x, indices]) => g.gather(x, indices),
  Gelu: build<{ approximate: 'none' | 'tanh' }>(([x], { approximate }) => g.gelu(x, approximate)),
  GridSample: build<object>(([x, grid], options) => g.gridSample(x, grid, options)),
  GroupNormalization: build<{ groups: number; epsilon: number }>(([x, scale, bias], options) =>
    g.groupNormalization(x, scale, bias, options),
  ),
  HardSigmoid: build<{ alpha: number; beta: number }>(([x], options) => g.hardSigmoid(x, options)),
  HardSwish: ([x]) => g.hardSwish(x),
  InstanceNormalization: build<{ epsilon: number }>(([x, scale, bias], options) =>
    g.instanceNormalization(x, scale, bias, options),
  ),
  LRN: build<{ size: number }>(([x], options) => g.lrn(x, options)),
  LSTM: build<object>((inputs, options) => {
    const { sequence, hidden, cell } = g.lstm(inputs[0], inputs[1], inputs[2], {
      ...initial(inputs, options),
      initialCell: inputs[5],
    });
    return [sequence, hidden, cell];
  }),
  LayerNormalization: build<g.LayerNormalizationOptions>(([x, scale, bias], options) =>
    g.layerNormalization(x, scale, bias, options),
  ),
  LeakyRelu: build<{ alpha: number }>(([x], { alpha }) => g.leakyRelu(x, alpha)),
  LogSoftmax: build<{ axis: number }>(([x], { axis }) => g.logSoftmax(x, axis)),
  LpNormalization: build<{ axis: number; p: 1 | 2 }>(([x], options) => g.lpNormalization(x, options)),
  LpPool: build<g.PoolingOptions>(([x], options) => g.lpPool(x, options)),
  Max: ([a, b]) => g.maximum(a, b),
  MaxPool: build<g.MaxPoolOptions>(([x], options) => g.maxPool(x, options)),
  MaxUnpool: build<{ kernelShape: number[]; strides: number[]; outputShape: number[] }>(([x, indices], options) =>
    g.maxUnpool(x, indices, options),
  ),
  Min: ([a, b]) => g.minimum(a, b),
  Mish: ([x]) => g.mish(x),
  Mod: ([a, b]) => g.mod(a, b, { fmod: true }),
  NegativeLogLikelihoodLoss: loss(g.negativeLogLikelihoodLoss),
  PRelu: ([x, slope]) => g.pRelu(x, slope),
  Pad: build<{ pads: number[]; mode: 'constant' }>(([x], { pads, mode }) => g.pad(x, pads, { mode })),
  Pow: ([base, exponent]) => g.pow(base, exponent),
  RMSNormalization: build<g.LayerNormalizationOptions>(([x, scale], options) => g.rmsNormalization(x, scale, options)),
  RNN: build<object>((inputs, options) => {
    const { sequence, hidden } = g.rnn(inputs[0], inputs[1], inputs[2], initial(inputs, options));
    return [sequence, hidden];
  }),
  ReduceL1: reduction(g.reduceL1),
  ReduceL2: reduction(g.reduceL2),
  ReduceMax: reduction(g.reduceMax),
  ReduceMin: reduction(g.reduceMin),
  ReduceProd: reduction(g.reduceProd),
  Relu: ([x]) => g.relu(x),
  Resize: build<g.ResizeOptions>(([x], options) => g.resize(x, options)),
  Round: ([x]) => g.round(x),
  STFT: build<{ frameStep: number }>(([x, window], { frameStep }) => g.stft(x, { frameStep, window, frameLength: 4 })),
  ScatterElements: build<{ axis: number; reduction: 'add' }>(([x, indices, updates], options) =>
    g.scatterElements(x, indices, updates, options),
  ),
  Selu: ([x]) => g.selu(x),
  Shrink: build<{ bias: number; lambd: number }>(([x], options) => g.shrink(x, options)),
  Sign: ([x]) => g.sign(x),
  Softmax: build<{ axis: number }>(([x], { axis }) => g.softmax(x, axis)),
  SoftmaxCrossEntropyLoss: loss(g.softmaxCrossEntropyLoss),
  Softplus: ([x]) => g.softplus(x),
  Softsign: ([x]) => g.softsign(x),
  ThresholdedRelu: build<{ alpha: number }>(([x], { alpha }) => g.thresholdedRelu(x, alpha)),
  TopK: build<{ k: number }>(([x], { k }) => g.topK(x, k).values),
};

const tensorOf = ({ dims, data, whole }: Plain): g.TensorData =>
  g.tensor([...data], whole === true ? 'int64' : 'float32', [...dims]);
const numbersOf = (value: g.TensorData | undefined): number[] =>
  value === undefined ? [] : Array.from({ length: value.data.length }, (_, at) => g.readElement(value, at));

/** Relative to the largest number: the golden ones are float64, these float32. */
function expectClose(found: readonly (g.TensorData | undefined)[], expected: readonly Plain[], what: string): void {
  expected.forEach(({ data }, index) => {
    const numbers = numbersOf(found[index]);
    expect({ what, index, count: numbers.length }).toEqual({ what, index, count: data.length });
    const scale = Math.max(1, ...data.map(Math.abs));
    data.forEach((value, at) => {
      expect(Math.abs((numbers[at] as number) - value) / scale).toBeLessThan(5e-6);
    });
  });
}

describe('derivatives have the conventions of PyTorch', () => {
  test.each(cases.map((one) => [one.operator, one.name, one] as const))('%s: %s', async (operator, _, one) => {
    const builder = BUILDERS[operator];
    if (builder === undefined) throw new Error(`no builder for ${operator}`);
    const inputs = one.inputs.map(tensorOf);
    const results = (values: readonly g.Tensor[]): readonly g.Tensor[] => {
      const built = builder(values as unknown as Inputs, one.options as Options);
      return Array.isArray(built) ? (built as readonly g.Tensor[]) : [built as g.Tensor];
    };
    expectClose(await evaluate(inputs, (...values) => results(values)), one.outputs, 'output');
    const found = await evaluate(inputs, (...values) =>
      gradients(
        results(values),
        values.filter((__, index) => one.inputs[index]?.whole !== true),
        { outputGradients: one.seeds.map((seed) => (values[0] as g.Tensor).graph.constant(tensorOf(seed))) },
      ),
    );
    expectClose(found, one.gradients, 'gradient');
  });
});

describe('conventions that are not those of PyTorch', () => {
  test('the square root has the derivative 0 at 0', async () => {
    const [gradient] = await evaluate([g.tensor([0, 4])], (x) =>
      gradients(g.sqrt(x as g.Tensor).sum(), [x as g.Tensor]),
    );
    expect(numbersOf(gradient)).toEqual([0, 0.25]);
  });

  test('clipping passes the gradient of values at its bounds', async () => {
    const [gradient] = await evaluate([g.tensor([-2, -1, 0, 1, 2])], (x) =>
      gradients(g.clip(x as g.Tensor, -1, 1).sum(), [x as g.Tensor]),
    );
    expect(numbersOf(gradient)).toEqual([0, 1, 1, 1, 0]);
  });

  test.each([
    ['Max', [3, 3, 3]],
    ['Min', [3, 3, 3]],
  ])('ties of three operands of %s share equally', async (operator, operands) => {
    const found = await evaluate(
      operands.map((value) => g.tensor([value])),
      (...values) => gradients((applied(operator, values)[0] as g.Tensor).sum(), values),
    );
    for (const value of found) expect(numbersOf(value)[0]).toBeCloseTo(1 / 3, 6);
  });

  test('a global maximum shares between ties', async () => {
    const [gradient] = await evaluate([g.tensor([1, 5, 5, 0], 'float32', [1, 1, 4])], (x) =>
      gradients(g.globalMaxPool(x as g.Tensor).sum(), [x as g.Tensor]),
    );
    expect(numbersOf(gradient)).toEqual([0, 0.5, 0.5, 0]);
  });

  test('dropout passes the gradient where it passed the value, scaled alike', async () => {
    const x = g.tensor(Array.from({ length: 200 }, (_, at) => at + 1));
    const [output, mask, gradient] = await evaluate([x], (value) => {
      const dropped = g.dropoutWithMask(value as g.Tensor, { ratio: 0.25, trainingMode: true, seed: 3 });
      return [
        dropped.output,
        dropped.mask.cast('float32'),
        gradients(dropped.output.mul(value as g.Tensor).sum(), [value as g.Tensor])[0] as g.Tensor,
      ];
    });
    const kept = numbersOf(mask);
    expect(new Set(kept)).toEqual(new Set([0, 1]));
    // d/dx Σ x·(m·x / 0.75) = 2·m·x / 0.75.
    numbersOf(gradient).forEach((value, at) => {
      expect(value).toBeCloseTo((2 * (kept[at] as number) * (at + 1)) / 0.75, 2);
      expect(numbersOf(output)[at]).toBeCloseTo(((kept[at] as number) * (at + 1)) / 0.75, 2);
    });
  });
});
