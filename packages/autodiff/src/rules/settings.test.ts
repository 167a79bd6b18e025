import { expect, test } from '@jest/globals';
import { col2Im, deformConv, dft, Graph, roiAlign, stft, type Dim, type Tensor } from '@updraft/graph';
import { gradients } from '../gradients.js';

/** The message of the error that differentiating gives. */
function refusal(shapes: readonly (readonly (number | string)[])[], build: (...inputs: Tensor[]) => Tensor): string {
  const graph = new Graph();
  const inputs = shapes.map((shape, index) => graph.input(`v${index}`, 'float32', shape as readonly (number & Dim)[]));
  try {
    gradients(build(...inputs), inputs.slice(0, 1));
  } catch (error) {
    return String(error);
  }
  return 'none';
}
const batch = (x: Tensor): Tensor => x.graph.constant(0, 'int64').reshape([1]);

test.each([
  [
    'the maximum of samples',
    refusal(
      [
        [1, 1, 4, 4],
        [1, 4],
      ],
      (x, regions) => roiAlign(x, regions as Tensor, batch(x as Tensor), { mode: 'max', samplingRatio: 2 }),
    ),
    /RoiAlign.*maximum of samples has no derivative.*mode avg/s,
  ],
  [
    'samples that adapt',
    refusal(
      [
        [1, 1, 4, 4],
        [1, 4],
      ],
      (x, regions) => roiAlign(x, regions as Tensor, batch(x as Tensor)),
    ),
    /RoiAlign.*adapts to the region.*sampling ratio/s,
  ],
  [
    'an image of unknown size',
    refusal(
      [
        [1, 1, 'height', 4],
        [1, 1, 2, 2],
        [1, 8, 3, 3],
      ],
      (x, w, offset) => deformConv(x, w as Tensor, offset as Tensor),
    ),
    /DeformConv.*all sizes but the batch must be known/s,
  ],
  [
    'an unknown number of channels',
    refusal([[1, 'rows', 4]], (x) => col2Im(x, [3, 3], [2, 2])),
    /Col2Im.*number of channels must be known/s,
  ],
  [
    'a signal of unknown length',
    refusal([[1, 'length', 1]], (x) => dft(x)),
    /DFT.*length of the signal must be known/s,
  ],
  [
    'frames of a signal of unknown length',
    refusal([[1, 'length', 1]], (x) => stft(x, { frameStep: 2, frameLength: 4 })),
    /STFT.*length of the signal must be known/s,
  ],
])('%s is refused with the operator and the way out', (_, message, expected) => {
  expect(message).toMatch(expected);
});
