import { describe, expect, test } from '@jest/globals';
import { Graph, resize, type ResizeOptions } from '@updraft/graph';
import { gradients } from '../gradients.js';
import { expectDerivatives } from './testing/central-differences.js';

const COORDINATES = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
  'tf_crop_and_resize',
] as const;

const CASES: readonly [string, readonly number[], ResizeOptions][] = [
  ...COORDINATES.flatMap((coordinateTransformationMode): [string, readonly number[], ResizeOptions][] => {
    const region =
      coordinateTransformationMode === 'tf_crop_and_resize' ? { region: [0, 0, -0.2, 0.1, 1, 1, 0.7, 1.2] } : {};
    const common = { coordinateTransformationMode, ...region };
    return [
      ...(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const).flatMap(
        (nearestMode): [string, readonly number[], ResizeOptions][] => [
          [
            `nearest ${coordinateTransformationMode} ${nearestMode} up`,
            [1, 2, 3, 2],
            { ...common, nearestMode, sizes: [1, 2, 6, 5] },
          ],
          [
            `nearest ${coordinateTransformationMode} ${nearestMode} down`,
            [1, 1, 5, 4],
            { ...common, nearestMode, sizes: [1, 1, 3, 2] },
          ],
        ],
      ),
      [
        `linear ${coordinateTransformationMode} up`,
        [1, 2, 3, 2],
        { ...common, mode: 'linear', scales: [1, 1, 2.6, 1.5] },
      ],
      [
        `linear ${coordinateTransformationMode} down`,
        [1, 1, 5, 4],
        { ...common, mode: 'linear', scales: [1, 1, 0.6, 0.8] },
      ],
      [`cubic ${coordinateTransformationMode}`, [1, 1, 4, 5], { ...common, mode: 'cubic', scales: [1, 1, 1.5, 0.7] }],
    ];
  }),
  [
    'linear, one value',
    [1, 1, 3, 3],
    { mode: 'linear', sizes: [1, 1, 1, 1], coordinateTransformationMode: 'align_corners' },
  ],
  ['linear, three axes', [1, 1, 2, 3, 2], { mode: 'linear', sizes: [1, 1, 3, 4, 3] }],
  ['linear, some axes', [1, 2, 3, 2], { mode: 'linear', axes: [2, 3], scales: [2, 1.5] }],
  [
    'cubic, outside excluded',
    [1, 1, 4, 3],
    { mode: 'cubic', excludeOutside: true, cubicCoefficient: -0.5, scales: [1, 1, 2, 1.5] },
  ],
  ['not larger', [1, 1, 4, 3], { mode: 'linear', sizes: [7, 8], axes: [2, 3], keepAspectRatioPolicy: 'not_larger' }],
  ['not smaller', [1, 1, 4, 3], { mode: 'linear', sizes: [7, 8], axes: [2, 3], keepAspectRatioPolicy: 'not_smaller' }],
];

describe('the gradient of Resize is the transpose of what the runtime does', () => {
  test.each(CASES)('%s', async (_, shape, options) => {
    // Linear in its input: large steps lose nothing.
    await expectDerivatives([{ shape }], (x) => [resize(x, options)], {
      dataType: 'float32',
      step: 1,
      tolerance: 1e-5,
      orders: [1],
    });
  });
});

test('second order, through a nonlinear function', async () => {
  await expectDerivatives(
    [{ shape: [1, 1, 2, 3] }],
    (x) => [resize(x, { mode: 'linear', scales: [1, 1, 2, 2] }).tanh()],
    {
      dataType: 'float32',
    },
  );
});

test('unknown sizes are named', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [1, 1, 'height', 4]);
  expect(() => gradients(resize(x, { scales: [1, 1, 2, 2] }), [x])).toThrow(/sizes of axis 2 must be known/);
});
