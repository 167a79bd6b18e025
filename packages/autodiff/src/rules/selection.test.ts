import { describe, test } from '@jest/globals';
import { compress, gatherND, reverseSequence } from '@updraft/graph';
import { expectDerivatives, type Build, type InputSpec } from './testing/central-differences.js';

const indices = (shape: readonly number[], values: readonly number[]): InputSpec => ({
  shape,
  dataType: 'int64',
  values,
});
const flags = (...values: number[]): InputSpec => ({ shape: [values.length], dataType: 'bool', values });

const CASES: readonly [string, readonly InputSpec[], Build][] = [
  ['GatherND', [{ shape: [3, 2, 2] }, indices([3, 2], [0, 1, 2, -1, 0, 1])], (x, at) => [gatherND(x, at)]],
  [
    'GatherND, one batch axis',
    [{ shape: [2, 3, 2] }, indices([2, 2, 1], [0, 2, 2, 2])],
    (x, at) => [gatherND(x, at, { batchDims: 1 })],
  ],
  [
    'GatherND, two batch axes',
    [{ shape: [2, 2, 3] }, indices([2, 2, 1], [0, 1, 2, -3])],
    (x, at) => [gatherND(x, at, { batchDims: 2 })],
  ],
  [
    'ReverseSequence',
    [{ shape: [4, 2, 2] }, indices([2], [3, 2])],
    (x, lengths) => [reverseSequence(x, lengths, { timeAxis: 0, batchAxis: 1 })],
  ],
];

/** Sizes of their outputs are unknown: the sum over squares is what is checked. */
const COMPRESSED: readonly [string, readonly InputSpec[], Build][] = [
  ['Compress, flat', [{ shape: [2, 3] }, flags(0, 1, 1, 0, 1, 0)], (x, kept) => [compress(x, kept)]],
  ['Compress, axis 1', [{ shape: [2, 3] }, flags(0, 1, 1)], (x, kept) => [compress(x, kept, 1)]],
  ['Compress, condition too short', [{ shape: [2, 4] }, flags(1, 0, 1)], (x, kept) => [compress(x, kept, -1)]],
  ['Compress, nothing left', [{ shape: [2, 3] }, flags(0, 0)], (x, kept) => [compress(x, kept, 0)]],
];

describe('gradients of selections are central differences', () => {
  test.each(CASES)('%s', async (_, inputs, build) => {
    await expectDerivatives(inputs, (...values) => build(...values).map((value) => value.mul(value)));
  });
  test.each(COMPRESSED)('%s', async (_, inputs, build) => {
    await expectDerivatives(inputs, (...values) => build(...values).map((value) => value.mul(value).mul(value).sum()));
  });
});
