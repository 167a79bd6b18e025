import {
  add,
  conv,
  elu,
  flatten,
  gelu,
  gemm,
  hardSigmoid,
  layerNormalization,
  leakyRelu,
  matMul,
  mul,
  relu,
  reshape,
  shapeOf,
  sigmoid,
  simplifiedLayerNormalization,
  softmax,
  softplus,
  softsign,
  tanh,
  transpose,
  type Node,
  type Tensor,
} from '@updraft/graph';
import { byDecomposition } from '../decomposition.js';
import type { DerivativeContext, DerivativeRule } from '../derivative.js';

const plus = (x: Tensor, addend: Tensor | undefined): Tensor => (addend === undefined ? x : add(x, addend));

/** A factor of FusedMatMul as the product reads it. */
function factor(x: Tensor, node: Node, side: 'A' | 'B'): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  const last = x.rank - 1;
  const rolled = node.int(`transBatch${side}`) !== 0 && x.rank > 2 ? [...axes.slice(1, last), 0, last] : axes;
  const [rows, columns] = [rolled[last - 1], rolled[last]] as [number, number];
  const order = node.int(`trans${side}`) !== 0 && x.rank > 1 ? [...rolled.slice(0, -2), columns, rows] : rolled;
  return order.every((axis, at) => axis === at) ? x : transpose(x, order);
}

/** The activation that a fused node ends with. */
function activated(context: DerivativeContext, x: Tensor, alpha: number | undefined, beta: number | undefined): Tensor {
  const name = context.node.attribute('activation', 'string') ?? '';
  switch (name) {
    case '':
      return x;
    case 'Relu':
      return relu(x);
    case 'Sigmoid':
      return sigmoid(x);
    case 'Tanh':
      return tanh(x);
    case 'Softplus':
      return softplus(x);
    case 'Softsign':
      return softsign(x);
    case 'LeakyRelu':
      return leakyRelu(x, alpha);
    case 'Elu':
      return elu(x, alpha);
    case 'HardSigmoid':
      return hardSigmoid(x, { alpha, beta });
    default:
      return context.fail(
        `the fused activation ${name} has no derivative here`,
        'Apply the activation as a node of its own.',
      );
  }
}

function fusedGemm(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  const product = gemm(context.input(0), context.input(1), node.inputs[2], {
    alpha: node.float('alpha'),
    beta: node.float('beta'),
    transposeA: node.int('transA') !== 0,
    transposeB: node.int('transB') !== 0,
  });
  return [
    activated(
      context,
      product,
      node.attribute('activation_alpha', 'float'),
      node.attribute('activation_beta', 'float'),
    ),
  ];
}

function fusedConv(context: DerivativeContext): readonly Tensor[] {
  const { node } = context;
  const autoPad = node.attribute('auto_pad', 'string');
  const result = conv(context.input(0), context.input(1), node.inputs[2], {
    ...(autoPad === undefined ? {} : { autoPad: autoPad as 'NOTSET' }),
    kernelShape: node.optionalInts('kernel_shape'),
    strides: node.optionalInts('strides'),
    dilations: node.optionalInts('dilations'),
    pads: node.optionalInts('pads'),
    group: node.int('group'),
  });
  const [alpha, beta] = node.attribute('activation_params', 'floats') ?? [];
  return [activated(context, plus(result, node.inputs[3]), alpha, beta)];
}

/** Input, skip and bias; `normalise` takes their sum. Statistics have no derivative, the sum has. */
const skipped = (
  operator: string,
  biasIndex: number,
  normalise: (sum: Tensor, context: DerivativeContext) => Tensor,
): DerivativeRule =>
  byDecomposition(
    operator,
    (context) => {
      const sum = plus(add(context.input(0), context.input(1)), context.node.inputs[biasIndex]);
      return [normalise(sum, context), undefined, undefined, sum];
    },
    { notes: 'statistics have no derivative' },
  );

export const microsoftRules: readonly DerivativeRule[] = [
  byDecomposition('com.microsoft.Gelu', ({ input }) => [gelu(input(0))]),
  byDecomposition('com.microsoft.FastGelu', ({ input, node }) => [gelu(plus(input(0), node.inputs[1]), 'tanh')]),
  byDecomposition('com.microsoft.BiasGelu', ({ input }) => [gelu(add(input(0), input(1)))]),
  byDecomposition('com.microsoft.QuickGelu', ({ input, node }) => [
    mul(input(0), sigmoid(mul(input(0), node.float('alpha')))),
  ]),
  // One softmax over all axes from `axis` on.
  byDecomposition(
    'com.microsoft.BiasSoftmax',
    ({ input, node }) => [reshape(softmax(flatten(add(input(0), input(1)), node.int('axis')), 1), shapeOf(input(0)))],
    { notes: 'ONNX Runtime has kernels for GPUs only' },
  ),
  byDecomposition('com.microsoft.FusedMatMul', ({ input, node }) => {
    const product = matMul(factor(input(0), node, 'A'), factor(input(1), node, 'B'));
    const alpha = node.float('alpha');
    return [alpha === 1 ? product : mul(product, alpha)];
  }),
  byDecomposition('com.microsoft.FusedGemm', fusedGemm, { notes: 'activations with at most two parameters' }),
  byDecomposition('com.microsoft.FusedConv', fusedConv, { notes: 'activations with at most two parameters' }),
  skipped('com.microsoft.SkipLayerNormalization', 4, (sum, { input, node }) =>
    layerNormalization(sum, input(2), node.inputs[3], { axis: -1, epsilon: node.float('epsilon') }),
  ),
  skipped('com.microsoft.SkipSimplifiedLayerNormalization', 3, (sum, { input, node }) =>
    simplifiedLayerNormalization(sum, input(2), { axis: -1, epsilon: node.float('epsilon') }),
  ),
];
