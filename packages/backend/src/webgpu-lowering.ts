import {
  cast,
  exp,
  greater,
  less,
  log,
  negativeLogLikelihoodLoss,
  reduceMax,
  reduceMean,
  reduceSum,
  rewrite,
  sqrt,
  sub,
  type Graph,
  type Node,
  type RewriteContext,
  type RewriteRule,
  type Tensor,
} from '@updraft/graph';

/**
 * Operators that the WebGPU provider of ONNX Runtime 1.30 has no kernel for, or not in this form, written out in others
 * that it has: their tensors would travel to the CPU and back at every step. Each takes the node's inputs and gives its
 * outputs, or undefined where the node may stay.
 */
const LOWERED: Readonly<
  Record<string, (node: Node, inputs: readonly (Tensor | undefined)[]) => readonly (Tensor | undefined)[] | undefined>
> = {
  LogSoftmax: (node, [x]) => [logSoftmax(x as Tensor, node.int('axis'))],
  SoftmaxCrossEntropyLoss(node, [scores, labels, weights]) {
    const logProbabilities = logSoftmax(scores as Tensor, 1);
    const ignoreIndex = node.attribute('ignore_index', 'int');
    const loss = negativeLogLikelihoodLoss(logProbabilities, labels as Tensor, {
      ...(weights === undefined ? {} : { weights }),
      ...(ignoreIndex === undefined ? {} : { ignoreIndex: Number(ignoreIndex) }),
      reduction: node.string('reduction') as 'none' | 'sum' | 'mean',
    });
    return [loss, logProbabilities];
  },
  BatchNormalization(node, inputs) {
    if (node.int('training_mode') !== 1) return undefined;
    const [x, scale, bias, runningMean, runningVariance] = inputs as readonly Tensor[] as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const axes = x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
    const perChannel = (value: Tensor): Tensor => value.reshape([-1, ...axes.slice(1).map(() => 1)]);
    const mean = reduceMean(x, axes, { keepDims: true });
    const centred = sub(x, mean);
    const variance = reduceMean(centred.mul(centred), axes, { keepDims: true });
    const normalised = centred.div(sqrt(variance.add(node.float('epsilon'))));
    const momentum = node.float('momentum');
    const moved = (running: Tensor, batch: Tensor): Tensor =>
      running.mul(momentum).add(batch.reshape([-1]).mul(1 - momentum));
    return [
      normalised.mul(perChannel(scale)).add(perChannel(bias)),
      moved(runningMean, mean),
      moved(runningVariance, variance),
    ];
  },
  Sign: (_, [x]) => [
    sub(cast(greater(x as Tensor, 0), (x as Tensor).dataType), cast(less(x as Tensor, 0), (x as Tensor).dataType)),
  ],
  Sum: (_, inputs) => [(inputs as readonly Tensor[]).reduce((left, right) => left.add(right))],
  Mean: (_, inputs) => [(inputs as readonly Tensor[]).reduce((left, right) => left.add(right)).div(inputs.length)],
};

/** As the kernel of the CPU: what is largest is taken off first, so that nothing overflows. */
function logSoftmax(x: Tensor, axis: number): Tensor {
  const shifted = sub(x, reduceMax(x, [axis], { keepDims: true }));
  return sub(shifted, log(reduceSum(exp(shifted), [axis], { keepDims: true })));
}

const lowering: RewriteRule = {
  name: 'webgpu',
  start: () => ({
    replace: ({ node, inputs }: RewriteContext) =>
      node.outputs[0]?.dataType === 'float32' ? LOWERED[node.key]?.(node, inputs) : undefined,
  }),
};

/** A program for WebGPU: the same values up to rounding, from kernels that run there. */
export const lowerForWebgpu = (graph: Graph): Graph => rewrite(graph, [lowering]).graph;
