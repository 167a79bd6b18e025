import { describe, test } from '@jest/globals';
import { affineGrid, gridSample } from '@updraft/graph';
import { expectDerivatives } from './testing/central-differences.js';

const paddings = ['zeros', 'border', 'reflection'] as const;
const CASES = paddings.flatMap((paddingMode) =>
  [false, true].flatMap((alignCorners) =>
    (['linear', 'nearest'] as const).map(
      (mode) =>
        [
          `${mode}, ${paddingMode}, ${alignCorners ? 'corners' : 'edges'}`,
          { mode, paddingMode, alignCorners },
        ] as const,
    ),
  ),
);
/** Away from the centres of elements, where derivatives jump; some of them outside. */
const POINTS = [-0.31, 0.17, 0.57, -0.83, 1.13, 0.41, -1.21, 0.77];

describe('derivatives of GridSample are central differences', () => {
  test.each(CASES)('%s', async (_, options) => {
    await expectDerivatives(
      [{ shape: [1, 2, 3, 4] }, { shape: [1, 2, 2, 2], values: POINTS }],
      (x, grid) => [gridSample(x, grid, options)],
      {
        dataType: 'float32',
        step: 5e-3,
        tolerance: 5e-3,
      },
    );
  });

  test('three axes', async () => {
    await expectDerivatives(
      [{ shape: [2, 1, 2, 2, 3] }, { shape: [2, 1, 1, 1, 3], values: POINTS.slice(0, 6) }],
      (x, grid) => [gridSample(x, grid)],
      {
        dataType: 'float32',
        step: 5e-3,
        tolerance: 5e-3,
      },
    );
  });
});

describe('derivatives of AffineGrid are central differences', () => {
  test.each([
    ['two axes', [2, 2, 3], [2, 1, 3, 4], false],
    ['two axes, corners', [2, 2, 3], [2, 1, 3, 4], true],
    ['three axes', [1, 3, 4], [1, 1, 2, 3, 2], false],
  ] as const)('%s', async (_, shape, size, alignCorners) => {
    await expectDerivatives([{ shape }], (theta) => [affineGrid(theta, [...size], { alignCorners })], {
      dataType: 'float32',
      tolerance: 1e-4,
    });
  });
});
