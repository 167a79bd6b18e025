import { gradients } from '@updraft/autodiff';
import * as g from '@updraft/graph';
import type { DataType, Graph, Tensor, TensorData } from '@updraft/graph';

/** An input of a case: values, or numbers in ±`scale` around `offset`. */
interface CaseInput {
  readonly shape: readonly number[];
  readonly values?: readonly number[];
  readonly offset?: number;
  readonly scale?: number;
  /** Default float32; these are the ones that are differentiated. */
  readonly dataType?: DataType;
}

/** One small representative use of an operator. */
export interface OperatorCase {
  readonly inputs: readonly CaseInput[];
  readonly build: (...inputs: Tensor[]) => readonly Tensor[];
  /** What an operator draws itself differs from device to device: only where it runs is looked at. */
  readonly random?: true;
}

/** A case as a graph with values for its inputs: the results of the operator, then gradients of a number made of them. */
export interface OperatorGraph {
  readonly graph: Graph;
  readonly values: Record<string, TensorData>;
}

const real = (...shape: number[]): CaseInput => ({ shape });
const positive = (...shape: number[]): CaseInput => ({ shape, offset: 1.6, scale: 0.5 });
const inside = (...shape: number[]): CaseInput => ({ shape, scale: 0.8 });
const whole = (
  values: readonly number[],
  shape: readonly number[] = [values.length],
  dataType: DataType = 'int64',
): CaseInput => ({ shape, values, dataType });
const flags = (...values: number[]): CaseInput => whole(values, [values.length], 'bool');

const unary = (f: (x: Tensor) => Tensor, x: CaseInput = real(2, 3)): OperatorCase => ({
  inputs: [x],
  build: (value) => [f(value as Tensor)],
});
const binary = (f: (a: Tensor, b: Tensor) => Tensor, spec = real): OperatorCase => ({
  inputs: [spec(2, 3), { ...spec(3), offset: (spec(3).offset ?? 0) + 0.37 }],
  build: (a, b) => [f(a as Tensor, b as Tensor)],
});
const using = (inputs: readonly CaseInput[], build: (...inputs: Tensor[]) => readonly Tensor[]): OperatorCase => ({
  inputs,
  build,
});
/** An operator without a function of its own. */
function applied(
  operator: string,
  operands: readonly (Tensor | undefined)[],
  attributes: g.AttributeValues = {},
  outputs = 1,
): readonly Tensor[] {
  const dot = operator.lastIndexOf('.');
  const schema = g.standardOperators().find(operator.slice(0, Math.max(0, dot)), operator.slice(dot + 1));
  if (schema === undefined) throw new Error(`no operator ${operator}`);
  return g.applyNode(schema, operands, attributes, { outputs }).outputs as readonly Tensor[];
}
const drawn = (operator: string, x: CaseInput, attributes: g.AttributeValues = {}): OperatorCase => ({
  inputs: [x],
  build: (value) => applied(operator, [value], attributes),
  random: true,
});

const IMAGE = real(1, 2, 6, 6);
const QUERY = real(1, 2, 3, 4);
const ROWS = real(2, 3, 4);

/** Cases by qualified operator, in the order of the alphabet. */
export const OPERATOR_CASES: Readonly<Record<string, OperatorCase>> = {
  Abs: unary(g.abs),
  Acos: unary(g.acos, inside(2, 3)),
  Acosh: unary(g.acosh, { shape: [2, 3], offset: 2.2, scale: 0.6 }),
  Add: binary(g.add),
  AffineGrid: unary((x) => g.affineGrid(x, [2, 1, 3, 4]), real(2, 2, 3)),
  And: using([flags(1, 0, 1), flags(1, 1, 0)], (a, b) => [g.and(a as Tensor, b as Tensor)]),
  ArgMax: unary((x) => g.argMax(x, 1)),
  ArgMin: unary((x) => g.argMin(x, 1)),
  Asin: unary(g.asin, inside(2, 3)),
  Asinh: unary(g.asinh),
  Atan: unary(g.atan),
  Atanh: unary(g.atanh, inside(2, 3)),
  Attention: using([QUERY, QUERY, QUERY], (q, k, v) => [
    g.attention(q as Tensor, k as Tensor, v as Tensor, { causal: true }),
  ]),
  AveragePool: unary((x) => g.averagePool(x, { kernelShape: [2, 2], strides: [2, 2] }), IMAGE),
  BatchNormalization: using([real(2, 3, 2, 2), real(3), real(3)], (x, scale, bias) => [
    g.batchNormalizationTraining(
      x as Tensor,
      scale as Tensor,
      bias as Tensor,
      g.zerosLike(scale as Tensor),
      g.onesLike(scale as Tensor),
    ).output,
  ]),
  Bernoulli: drawn('Bernoulli', { shape: [4], offset: 0.5, scale: 0.4 }),
  BitShift: using([whole([1, 2, 3], [3], 'uint32'), whole([1, 0, 2], [3], 'uint32')], (a, b) => [
    g.bitShift(a as Tensor, b as Tensor, 'LEFT'),
  ]),
  BitwiseAnd: using([whole([5, 6], [2], 'int32'), whole([3, 3], [2], 'int32')], (a, b) => [
    g.bitwiseAnd(a as Tensor, b as Tensor),
  ]),
  BitwiseNot: using([whole([5, 6], [2], 'int32')], (a) => [g.bitwiseNot(a as Tensor)]),
  BitwiseOr: using([whole([5, 6], [2], 'int32'), whole([3, 3], [2], 'int32')], (a, b) => [
    g.bitwiseOr(a as Tensor, b as Tensor),
  ]),
  BitwiseXor: using([whole([5, 6], [2], 'int32'), whole([3, 3], [2], 'int32')], (a, b) => [
    g.bitwiseXor(a as Tensor, b as Tensor),
  ]),
  Cast: using([whole([1, 2, 3], [3], 'int32'), real(3)], (a, b) => [
    (a as Tensor).cast('float32').mul(b as Tensor),
    (b as Tensor)
      .cast('int32')
      .cast('float32')
      .mul(b as Tensor),
  ]),
  CastLike: using([whole([1, 2, 3], [3], 'int32'), real(3)], (a, b) => [
    (applied('CastLike', [a, b])[0] as Tensor).mul(b as Tensor),
  ]),
  Ceil: unary(g.ceil),
  Celu: unary((x) => g.celu(x, 0.7)),
  Clip: unary((x) => g.clip(x, -0.4, 0.5)),
  Col2Im: unary((x) => g.col2Im(x, [3, 3], [2, 2]), real(1, 8, 4)),
  Compress: using([real(2, 3), flags(0, 1, 1)], (x, kept) => [g.compress(x as Tensor, kept as Tensor, 1)]),
  Concat: using([real(2, 1), real(2, 3)], (a, b) => [g.concat([a as Tensor, b as Tensor], 1)]),
  ConstantOfShape: using([whole([2, 3])], (shape) => applied('ConstantOfShape', [shape])),
  Conv: using([IMAGE, real(3, 2, 3, 3), real(3)], (x, w, b) => [
    g.conv(x as Tensor, w as Tensor, b, { pads: [1, 1, 1, 1], strides: [2, 2] }),
  ]),
  ConvTranspose: using([real(1, 2, 3, 3), real(2, 3, 2, 2), real(3)], (x, w, b) => [
    g.convTranspose(x as Tensor, w as Tensor, b, { strides: [2, 2] }),
  ]),
  Cos: unary(g.cos),
  Cosh: unary(g.cosh),
  CumSum: unary((x) => g.cumSum(x, 1)),
  DFT: unary((x) => g.dft(x), real(1, 4, 1)),
  DeformConv: using([real(1, 2, 4, 4), real(2, 2, 2, 2), { shape: [1, 8, 3, 3], scale: 0.3 }], (x, w, offset) => [
    g.deformConv(x as Tensor, w as Tensor, offset as Tensor),
  ]),
  DepthToSpace: unary((x) => g.depthToSpace(x, 2), real(1, 4, 2, 2)),
  DequantizeLinear: using([whole([-100, 3, 7, 50], [4], 'int8'), positive(4)], (x, scale) => [
    g.dequantizeLinear(x as Tensor, scale as Tensor, { axis: 0 }),
  ]),
  Div: binary(g.div, positive),
  // The mask is drawn by the device: in inference form the operator passes its input on.
  Dropout: unary((x) => g.dropout(x)),
  DynamicQuantizeLinear: unary((x) => g.dynamicQuantizeLinear(x).scale),
  Einsum: using([real(2, 3, 4), real(2, 4, 2)], (a, b) => [g.einsum('bij,bjk->bik', a as Tensor, b as Tensor)]),
  Elu: unary((x) => g.elu(x, 1.3)),
  Equal: using([real(3), real(3)], (a, b) => [g.equal(a as Tensor, b as Tensor)]),
  Erf: unary(g.erf),
  Exp: unary(g.exp),
  Expand: unary((x) => x.expand([4, 2, 3]), real(2, 1)),
  EyeLike: unary((x) => g.eyeLike(x)),
  Flatten: unary((x) => x.flatten(2), real(2, 3, 2)),
  Floor: unary(g.floor),
  GRU: using([real(3, 2, 2), real(1, 6, 2), real(1, 6, 2)], (x, w, r) => [
    g.gru(x as Tensor, w as Tensor, r as Tensor).sequence,
  ]),
  Gather: using([real(4, 2), whole([0, 3, 3, 1])], (x, at) => [g.gather(x as Tensor, at as Tensor)]),
  GatherElements: using([real(3, 2), whole([0, 2, 2, 2], [2, 2])], (x, at) => [
    g.gatherElements(x as Tensor, at as Tensor),
  ]),
  GatherND: using([real(3, 2, 2), whole([0, 1, 2, 0], [2, 2])], (x, at) => [g.gatherND(x as Tensor, at as Tensor)]),
  Gelu: unary((x) => g.gelu(x)),
  Gemm: using([real(4, 3), real(4, 2), real(2)], (a, b, c) => [
    g.gemm(a as Tensor, b as Tensor, c, { alpha: 0.7, beta: 1.3, transposeA: true }),
  ]),
  GlobalAveragePool: unary(g.globalAveragePool, real(2, 2, 3, 2)),
  GlobalLpPool: unary((x) => g.globalLpPool(x, 2), real(1, 2, 3, 2)),
  GlobalMaxPool: unary(g.globalMaxPool, real(2, 2, 3, 2)),
  Greater: using([real(3), real(3)], (a, b) => [g.greater(a as Tensor, b as Tensor)]),
  GreaterOrEqual: using([real(3), real(3)], (a, b) => [g.greaterOrEqual(a as Tensor, b as Tensor)]),
  GridSample: using([real(1, 2, 3, 4), inside(1, 2, 2, 2)], (x, grid) => [g.gridSample(x as Tensor, grid as Tensor)]),
  GroupNormalization: using([real(2, 4, 3), real(4), real(4)], (x, s, b) => [
    g.groupNormalization(x as Tensor, s as Tensor, b as Tensor, { groups: 2 }),
  ]),
  HardSigmoid: unary((x) => g.hardSigmoid(x)),
  HardSwish: unary(g.hardSwish),
  Hardmax: unary((x) => g.hardmax(x)),
  Identity: unary((x) => x.identity()),
  If: using([real(2, 3), real(3)], (x, w) =>
    g.cond(
      (x as Tensor).sum().greater(0),
      () => [(x as Tensor).mul(w as Tensor)],
      () => [(x as Tensor).add(w as Tensor).exp()],
    ),
  ),
  InstanceNormalization: using([real(2, 2, 4), real(2), real(2)], (x, s, b) => [
    g.instanceNormalization(x as Tensor, s as Tensor, b as Tensor),
  ]),
  IsInf: unary((x) => g.isInf(x)),
  IsNaN: unary(g.isNaN),
  LRN: unary((x) => g.lrn(x, { size: 3, alpha: 0.5 }), real(1, 4, 2, 2)),
  LSTM: using([real(3, 2, 2), real(1, 8, 2), real(1, 8, 2)], (x, w, r) => [
    g.lstm(x as Tensor, w as Tensor, r as Tensor).sequence,
  ]),
  LayerNormalization: using([ROWS, real(4), real(4)], (x, s, b) => [
    g.layerNormalization(x as Tensor, s as Tensor, b as Tensor),
  ]),
  LeakyRelu: unary((x) => g.leakyRelu(x, 0.2)),
  Less: using([real(3), real(3)], (a, b) => [g.less(a as Tensor, b as Tensor)]),
  LessOrEqual: using([real(3), real(3)], (a, b) => [g.lessOrEqual(a as Tensor, b as Tensor)]),
  Log: unary(g.log, positive(2, 3)),
  LogSoftmax: unary((x) => g.logSoftmax(x)),
  Loop: using(
    [real(2, 3), real(3)],
    (x, w) =>
      g.loop({ count: 3, state: [x as Tensor] }, (_, [value]) => ({
        state: [(value as Tensor).mul(w as Tensor).tanh()],
      })).state,
  ),
  LpNormalization: unary((x) => g.lpNormalization(x, { axis: 1 })),
  LpPool: unary((x) => g.lpPool(x, { kernelShape: [2, 2], strides: [2, 2] }), positive(1, 2, 4, 4)),
  MatMul: using([real(2, 3, 4), real(4, 2)], (a, b) => [g.matMul(a as Tensor, b as Tensor)]),
  Max: binary(g.maximum),
  MaxPool: unary((x) => g.maxPool(x, { kernelShape: [2, 2], strides: [2, 2] }), IMAGE),
  MaxUnpool: using([real(1, 1, 2, 2), whole([1, 2, 9, 15], [1, 1, 2, 2])], (x, at) => [
    g.maxUnpool(x as Tensor, at as Tensor, { kernelShape: [2, 2], strides: [2, 2] }),
  ]),
  Mean: binary(g.mean),
  MeanVarianceNormalization: unary((x) => g.meanVarianceNormalization(x, [0, 2]), real(2, 2, 3)),
  Min: binary(g.minimum),
  Mish: unary(g.mish),
  Mod: binary((a, b) => g.mod(a, b, { fmod: true }), positive),
  Mul: binary(g.mul),
  Multinomial: drawn('Multinomial', real(1, 3), { sample_size: 2 }),
  Neg: unary(g.neg),
  NegativeLogLikelihoodLoss: using([real(3, 4), whole([1, 3, 0])], (x, y) => [
    g.negativeLogLikelihoodLoss(x as Tensor, y as Tensor),
  ]),
  NonZero: unary((x) => g.nonZero(x)),
  Not: using([flags(1, 0)], (x) => [g.not(x as Tensor)]),
  OneHot: using([whole([1, 0, 2]), real(2)], (at, values) => [g.oneHot(at as Tensor, 3, values as Tensor)]),
  Or: using([flags(1, 0, 0), flags(1, 1, 0)], (a, b) => [g.or(a as Tensor, b as Tensor)]),
  PRelu: using([real(2, 3), positive(3)], (x, slope) => [g.pRelu(x as Tensor, slope as Tensor)]),
  Pad: unary((x) => g.pad(x, [1, 0, 2, 1])),
  Pow: binary((a, b) => g.pow(a, b), positive),
  QuantizeLinear: unary((x) => g.quantizeLinear(x, x.graph.constant(0.1))),
  RMSNormalization: using([ROWS, real(4)], (x, s) => [g.rmsNormalization(x as Tensor, s as Tensor)]),
  RNN: using([real(3, 2, 2), real(1, 2, 2), real(1, 2, 2)], (x, w, r) => [
    g.rnn(x as Tensor, w as Tensor, r as Tensor).sequence,
  ]),
  RandomNormalLike: drawn('RandomNormalLike', real(4)),
  RandomUniformLike: drawn('RandomUniformLike', real(4)),
  Range: using([whole([0], []), whole([6], []), whole([2], [])], (a, b, c) => [
    g.rangeOf(a as Tensor, b as Tensor, c as Tensor),
  ]),
  Reciprocal: unary(g.reciprocal, positive(2, 3)),
  ReduceL1: unary((x) => g.reduceL1(x, [1])),
  ReduceL2: unary((x) => g.reduceL2(x, [1])),
  ReduceLogSum: unary((x) => g.reduceLogSum(x, [1]), positive(2, 3)),
  ReduceLogSumExp: unary((x) => g.reduceLogSumExp(x, [1])),
  ReduceMax: unary((x) => g.reduceMax(x, [1])),
  ReduceMean: unary((x) => g.reduceMean(x, [1])),
  ReduceMin: unary((x) => g.reduceMin(x, [1])),
  ReduceProd: unary((x) => g.reduceProd(x, [1])),
  ReduceSum: unary((x) => g.reduceSum(x, [1])),
  ReduceSumSquare: unary((x) => g.reduceSumSquare(x, [1])),
  Relu: unary(g.relu),
  Reshape: unary((x) => x.reshape([3, -1])),
  Resize: unary((x) => g.resize(x, { mode: 'linear', scales: [1, 1, 2, 2] }), real(1, 2, 3, 3)),
  ReverseSequence: using([real(4, 2, 2), whole([3, 2])], (x, lengths) => [
    g.reverseSequence(x as Tensor, lengths as Tensor, { timeAxis: 0, batchAxis: 1 }),
  ]),
  RoiAlign: using([IMAGE, { shape: [1, 4], values: [0.3, 0.6, 4.2, 3.7] }, whole([0])], (x, regions, batch) => [
    g.roiAlign(x as Tensor, regions as Tensor, batch as Tensor, { outputHeight: 2, outputWidth: 2, samplingRatio: 2 }),
  ]),
  RotaryEmbedding: using([QUERY, real(1, 3, 2), real(1, 3, 2)], (x, cos, sin) => [
    g.rotaryEmbedding(x as Tensor, cos as Tensor, sin as Tensor),
  ]),
  Round: unary(g.round),
  STFT: unary((x) => g.stft(x, { frameStep: 2, frameLength: 4 }), real(1, 8, 1)),
  Scan: using([real(4, 2, 3), real(2, 3), real(3, 3)], (x, h, w) => {
    const { state, outputs } = g.scan({ state: [h as Tensor], inputs: [x as Tensor] }, ([before], [row]) => {
      const next = g
        .matMul(before as Tensor, w as Tensor)
        .add(row as Tensor)
        .tanh();
      return { state: [next], outputs: [next.mul(next)] };
    });
    return [...state, ...outputs];
  }),
  ScatterElements: using([real(3, 2), whole([2, 0], [1, 2]), real(1, 2)], (x, at, updates) => [
    g.scatterElements(x as Tensor, at as Tensor, updates as Tensor, { reduction: 'add' }),
  ]),
  ScatterND: using([real(4, 2), whole([3, 1], [2, 1]), real(2, 2)], (x, at, updates) => [
    g.scatterND(x as Tensor, at as Tensor, updates as Tensor, { reduction: 'add' }),
  ]),
  Selu: unary((x) => g.selu(x)),
  Shape: using([real(2, 3)], (x) => [g.shapeNode(x as Tensor)]),
  Shrink: unary((x) => g.shrink(x, { lambd: 0.4, bias: 0.1 })),
  Sigmoid: unary(g.sigmoid),
  Sign: unary(g.sign),
  SimplifiedLayerNormalization: using([ROWS, real(4)], (x, s) => [
    g.simplifiedLayerNormalization(x as Tensor, s as Tensor),
  ]),
  Sin: unary(g.sin),
  Sinh: unary(g.sinh),
  Size: using([real(2, 3)], (x) => [g.sizeNode(x as Tensor)]),
  Slice: unary((x) => x.slice([1, 0], [3, 2], [0, 1]), real(4, 3)),
  Softmax: unary((x) => g.softmax(x)),
  SoftmaxCrossEntropyLoss: using([real(3, 4), whole([1, 3, 0])], (x, y) => [
    g.softmaxCrossEntropyLoss(x as Tensor, y as Tensor),
  ]),
  Softplus: unary(g.softplus),
  Softsign: unary(g.softsign),
  SpaceToDepth: unary((x) => g.spaceToDepth(x, 2), real(1, 2, 4, 2)),
  Split: unary(
    (x) => {
      const [a, b] = g.split(x, [1, 3], 1);
      return g.sub(b as Tensor, a as Tensor);
    },
    real(2, 4),
  ),
  Sqrt: unary(g.sqrt, positive(2, 3)),
  Squeeze: unary((x) => x.squeeze([1]), real(2, 1, 3)),
  Sub: binary(g.sub),
  Sum: binary(g.sum),
  Swish: unary((x) => g.swish(x, 1.2)),
  Tan: unary(g.tan, inside(2, 3)),
  Tanh: unary(g.tanh),
  ThresholdedRelu: unary((x) => g.thresholdedRelu(x, 0.33)),
  Tile: unary((x) => g.tile(x, [2, 3]), real(2, 2)),
  TopK: unary((x) => g.topK(x, 2, { axis: 1 }).values, real(2, 4)),
  Transpose: unary((x) => x.transpose([2, 0, 1]), real(2, 3, 2)),
  Trilu: unary((x) => g.trilu(x, { upper: true, diagonal: 1 }), real(3, 3)),
  Unique: unary((x) => g.unique(x).values),
  Unsqueeze: unary((x) => x.unsqueeze([0, 2])),
  Where: using([flags(1, 0, 1), real(2, 3), real(3)], (flag, a, b) => [
    g.where(flag as Tensor, a as Tensor, b as Tensor),
  ]),
  Xor: using([flags(1, 0, 0), flags(1, 1, 0)], (a, b) => [g.xor(a as Tensor, b as Tensor)]),
  'com.microsoft.Attention': using([real(1, 3, 4), real(4, 12), real(12)], (x, w, b) =>
    applied('com.microsoft.Attention', [x, w, b], { num_heads: 2 }),
  ),
  'com.microsoft.BiasGelu': using([real(2, 3), real(3)], (x, b) => [g.biasGelu(x as Tensor, b as Tensor)]),
  'com.microsoft.EmbedLayerNormalization': using(
    [
      whole([0, 4, 1, 2, 2, 3], [2, 3], 'int32'),
      whole([0, 0, 1, 1, 0, 1], [2, 3], 'int32'),
      real(5, 4),
      real(3, 4),
      real(2, 4),
      real(4),
      real(4),
    ],
    (...operands) => [applied('com.microsoft.EmbedLayerNormalization', operands, { epsilon: 1e-2 }, 2)[0] as Tensor],
  ),
  'com.microsoft.FastGelu': using([real(2, 3), real(3)], (x, b) => [g.fastGelu(x as Tensor, b as Tensor)]),
  'com.microsoft.FusedConv': using([real(1, 2, 4, 4), real(2, 2, 3, 3), real(2)], (x, w, b) => [
    g.fusedConv(x as Tensor, w as Tensor, b, { pads: [1, 1, 1, 1], activation: 'Relu' }),
  ]),
  'com.microsoft.FusedGemm': using([real(2, 3), real(3, 2), real(2)], (a, b, c) => [
    g.fusedGemm(a as Tensor, b as Tensor, c, { activation: 'Tanh' }),
  ]),
  'com.microsoft.FusedMatMul': using([real(3, 2), real(2, 3)], (a, b) => [
    g.fusedMatMul(a as Tensor, b as Tensor, { alpha: 0.5, transposeA: true, transposeB: true }),
  ]),
  'com.microsoft.Gelu': unary(g.microsoftGelu),
  'com.microsoft.MatMulNBits': using(
    [
      real(2, 32),
      whole(
        Array.from({ length: 48 }, (_, index) => (index * 37 + 11) % 256),
        [3, 2, 8],
        'uint8',
      ),
      { shape: [3, 2], offset: 0.02, scale: 0.01 },
    ],
    (x, w, s) => [g.matMulNBits(x as Tensor, w as Tensor, s as Tensor, { rows: 32, columns: 3, blockSize: 16 })],
  ),
  'com.microsoft.MultiHeadAttention': using([real(2, 2, 4), real(2, 3, 4), real(2, 3, 4)], (q, k, v) => [
    g.multiHeadAttention(q as Tensor, k as Tensor, v as Tensor, { heads: 2 }),
  ]),
  'com.microsoft.QuickGelu': unary((x) => g.quickGelu(x)),
  'com.microsoft.RotaryEmbedding': using(
    [real(1, 2, 3, 4), whole([4, 0, 2], [1, 3]), real(5, 2), real(5, 2)],
    (x, at, cos, sin) => [g.microsoftRotaryEmbedding(x as Tensor, at as Tensor, cos as Tensor, sin as Tensor)],
  ),
  'com.microsoft.SkipLayerNormalization': using([real(1, 2, 4), real(1, 2, 4), real(4)], (x, skip, scale) => [
    g.skipLayerNormalization(x as Tensor, skip as Tensor, scale as Tensor),
  ]),
  'com.microsoft.SkipSimplifiedLayerNormalization': using([real(1, 2, 4), real(1, 2, 4), real(4)], (x, skip, scale) => [
    g.skipSimplifiedLayerNormalization(x as Tensor, skip as Tensor, scale as Tensor),
  ]),
};

/** Reproducible numbers in [-1, 1] without a period of a small size. */
const noise = (index: number): number => {
  const value = Math.sin((index + 1) * 12.9898) * 43758.5453;
  return 2 * (value - Math.floor(value)) - 1;
};

function materialise(
  { shape, values, offset = 0, scale = 1, dataType = 'float32' }: CaseInput,
  seed: number,
): TensorData {
  const data = g.emptyTensor(dataType, shape);
  for (let index = 0; index < g.elementCount(shape); index++)
    g.writeElement(data, index, values?.[index] ?? offset + scale * noise(seed + index));
  return data;
}

/** Σ (y + y²/2)·w with fixed weights: quadratic, so that every element counts with a factor of its own. */
function numberOf(outputs: readonly Tensor[]): Tensor | undefined {
  const parts = outputs
    .filter(({ dataType }) => dataType === 'float32')
    .map((y) => {
      const quadratic = y.mul(y.mul(0.5).add(1));
      if (!g.isStaticShape(y.shape)) return quadratic.sum();
      const weights = g.emptyTensor('float32', y.shape);
      for (let index = 0; index < g.elementCount(y.shape); index++)
        g.writeElement(weights, index, 1 + noise(index + 500));
      return quadratic.mul(y.graph.constant(weights)).sum();
    });
  return parts.length === 0 ? undefined : parts.reduce((left, right) => left.add(right));
}

/** The graph of a case; gradients are left out where asked to, or where the operator has none. */
export function operatorGraph(operator: string, options: { readonly gradients: boolean }): OperatorGraph {
  const { inputs, build } = OPERATOR_CASES[operator] as OperatorCase;
  const graph = new g.Graph(operator);
  const data = inputs.map((input, index) => materialise(input, 100 * index));
  const operands = data.map(({ dataType, dims }, index) => graph.input(`input${index}`, dataType, dims));
  const outputs = build(...operands);
  outputs.forEach((output, index) => graph.output(output.identity(), `output${index}`));
  const differentiated = operands.filter(({ dataType }) => dataType === 'float32');
  const value = options.gradients && differentiated.length > 0 ? numberOf(outputs) : undefined;
  if (value !== undefined)
    gradients(value, differentiated).forEach((gradient, index) =>
      graph.output(gradient.identity(), `gradient${index}`),
    );
  return { graph, values: Object.fromEntries(data.map((one, index) => [`input${index}`, one])) };
}
