import { conv, convolutionWindow, isStatic, type Node, type Tensor } from '@updraft/graph';
import type { Tap } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';

/** A layer z = x·Wᵀ as plain matrices. */
export interface LayerRows {
  /**
   * What the weight is multiplied with, [b, n]: one row for each application. All leading axes are one; rows of a
   * convolution are its patches, in the order (channel, kernel position) of its weight.
   */
  readonly rows: Tensor;
  /** A tensor of the shape of the parameter (its gradient) as a matrix [m, n] from n inputs to m outputs. */
  toMatrix(value: Tensor): Tensor;
  /** The opposite of `toMatrix`. */
  fromMatrix(matrix: Tensor): Tensor;
}

const MATRIX_PRODUCTS = ['MatMul', 'Gemm'];

/** Whether a tap is of a layer that `layerRows` knows: a matrix product or a convolution with the parameter as weight. */
export const isWeightTap = ({ operator, output, weight }: Tap): boolean =>
  (MATRIX_PRODUCTS.includes(operator) && (output.producer as Node).inputs.indexOf(weight) < 2) ||
  (operator === 'Conv' && (output.producer as Node).inputs[1] === weight);

const swap = (value: Tensor): Tensor => value.transpose([1, 0]);

/**
 * The layer of a tap as matrices.
 *
 * @param param The parameter that was tapped.
 * @throws CoreError for other operators, batches of matrices as weights, and convolutions in groups.
 */
export function layerRows(tap: Tap, param: Tensor): LayerRows {
  const node = tap.output.producer as Node;
  const refuse = (what: string): never => {
    throw new CoreError('tap', `The layer "${node.name}" (${tap.operator}) has no input rows: ${what}.`, {
      hint: 'Tap the weight of a dense layer, or of a convolution without groups.',
    });
  };
  if (!isWeightTap(tap)) refuse('it is neither a matrix product nor a convolution with the parameter as its weight');
  if (tap.operator === 'Conv') {
    if (node.int('group') !== 1) refuse('its channels are in groups');
    if (tap.weight !== param) refuse('its weight is a transposed parameter');
    const outputs = param.shape[0] as number;
    return {
      rows: patchRows(node),
      toMatrix: (value) => value.reshape([outputs, -1]),
      fromMatrix: (matrix) => matrix.reshape(param.shape as readonly number[]),
    };
  }
  if (param.rank !== 2) refuse(`its weight has ${param.rank} axes`);
  const isRight = node.inputs[1] === tap.weight;
  const isGemm = tap.operator === 'Gemm';
  // Of W·x, the columns of x are the rows.
  const rowsAreRows = isRight !== (isGemm && node.int(isRight ? 'transA' : 'transB') === 1);
  if (!rowsAreRows && tap.input.rank !== 2) refuse('its inputs are columns of a batch of matrices');
  const inputsFirst = isRight !== (isGemm && node.int(isRight ? 'transB' : 'transA') === 1);
  const flipped = inputsFirst === (tap.weight === param);
  const orient = flipped ? swap : (value: Tensor): Tensor => value;
  const width = tap.input.shape[tap.input.rank - 1];
  return {
    rows: !rowsAreRows ? swap(tap.input) : tap.input.rank === 2 ? tap.input : tap.input.reshape([-1, width as number]),
    toMatrix: orient,
    fromMatrix: orient,
  };
}

/** Patches that a convolution multiplies its weight with: by a convolution that picks one element of each patch. */
function patchRows(node: Node): Tensor {
  const [x, weight] = node.inputs as readonly [Tensor, Tensor];
  const [, channels, ...kernel] = weight.shape as readonly number[];
  if (channels === undefined || !kernel.every(isStatic))
    throw new CoreError('tap', `The convolution "${node.name}" has no fixed kernel.`);
  const { strides, dilations, padsBegin, padsEnd } = convolutionWindow(node);
  const taps = kernel.reduce((a, b) => a * b, 1);
  // Kernel p of every channel is 1 at position p and 0 elsewhere.
  const picks = new Float32Array(channels * taps * taps);
  for (let channel = 0; channel < channels; channel++)
    for (let position = 0; position < taps; position++) picks[(channel * taps + position) * taps + position] = 1;
  const selection = x.graph.constant({ dataType: 'float32', dims: [channels * taps, 1, ...kernel], data: picks });
  const pads = [...padsBegin, ...padsEnd];
  const fixed = pads.every(isStatic);
  const patches = conv(x, selection.cast(x.dataType), undefined, {
    strides,
    dilations,
    group: channels,
    ...(fixed ? { pads: pads } : { autoPad: node.string('auto_pad') as 'SAME_UPPER' }),
  });
  // [batch, n, positions…] → [batch · positions, n]
  const axes = kernel.map((_, axis) => axis + 2);
  return patches.transpose([0, ...axes, 1]).reshape([-1, channels * taps]);
}
