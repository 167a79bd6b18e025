import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Graph } from '../graph.js';
import { shapeText } from '../shape.js';
import { affineGrid, gridSample, resize, type ResizeOptions } from './resize.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

describe('resize', () => {
  test('sizes and scales in every mode', async () => {
    const cases = fc.record({
      h: fc.integer({ min: 2, max: 9 }),
      w: fc.integer({ min: 2, max: 9 }),
      mode: fc.constantFrom('nearest', 'linear', 'cubic'),
      coordinateTransformationMode: fc.constantFrom(
        'half_pixel',
        'half_pixel_symmetric',
        'pytorch_half_pixel',
        'align_corners',
        'asymmetric',
      ),
      nearestMode: fc.constantFrom('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
      target: fc.oneof(
        fc.record({ sizes: fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 })) }),
        fc.record({ scales: fc.tuple(fc.constantFrom(0.5, 1, 1.5, 2, 0.75, 3), fc.constantFrom(0.5, 1, 1.25, 2)) }),
      ),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ h, w, target, ...modes }) => {
        await expectRuntimeTypes(
          (graph, size) => [
            resize(graph.input('x', 'float32', [1, 2, size('h'), size('w')]), { ...modes, ...target, axes: [2, -1] }),
          ],
          { h, w },
        );
      }),
      { numRuns: 60 },
    );
  });

  test('scales that are no short fraction, and one factor for all sizes', async () => {
    const cases = fc.record({
      h: fc.integer({ min: 2, max: 40 }),
      w: fc.integer({ min: 2, max: 40 }),
      options: fc.oneof<fc.Arbitrary<ResizeOptions>[]>(
        fc.record({
          scales: fc.tuple(fc.double({ min: 0.5, max: 3, noNaN: true }), fc.constantFrom(0.7, 1.1, 2.3, 1 / 3 + 0.5)),
        }),
        fc.record({
          sizes: fc.tuple(fc.integer({ min: 2, max: 60 }), fc.integer({ min: 2, max: 60 })),
          keepAspectRatioPolicy: fc.constantFrom('not_larger', 'not_smaller'),
        }),
      ),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ h, w, options }) => {
        await expectRuntimeTypes(
          (graph, size) => [
            resize(graph.input('x', 'float32', [1, 1, size('h'), size('w')]), {
              ...options,
              axes: [2, 3],
              mode: 'linear',
            }),
          ],
          { h, w },
          { symbolic: false },
        );
      }),
      { numRuns: 60 },
    );
  });

  test('cropping and antialiasing', async () => {
    await expectRuntimeTypes(
      (graph, size) => {
        const x = graph.input('x', 'float32', [1, 1, size('h'), 7]);
        return [
          resize(x, {
            scales: [1, 1, 0.5, 2],
            mode: 'linear',
            coordinateTransformationMode: 'tf_crop_and_resize',
            region: [0, 0, 0.2, 0.1, 1, 1, 0.7, 0.9],
          }),
          resize(x, { sizes: [1, 1, 4, 3], mode: 'linear', antialias: true }),
        ];
      },
      { h: 6 },
    );
  });

  test('symbolic sizes', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 3, 'h', 'w']);
    expect(shapeText(resize(x, { scales: [1, 1, 2, 0.5] }).shape)).toBe('[n, 3, 2*h, floor((w)/(2))]');
    expect(shapeText(resize(x, { scales: [1, 1, 0.3, 1] }).shape)).toMatch(/^\[n, 3, resized\w*, w\]$/);
  });

  test('errors', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 3, 'h', 'w']);
    expect(() => resize(x, {})).toThrow(/neither scales nor sizes/);
    expect(() => resize(x, { sizes: [2, 2], scales: [1, 1], axes: [2, 3] })).toThrow(/both scales and sizes/);
    expect(() => resize(x, { sizes: [2, 2] })).toThrow(/number of resized axes and of sizes: 4 and 2 differ/);
    expect(() => resize(x, { sizes: [2, 0], axes: [2, 3] })).toThrow(/a size is 0/);
    expect(() => resize(x, { scales: [2, -1], axes: [2, 3] })).toThrow(/a scale is -1/);
    expect(() => resize(x, { sizes: [2], axes: [4] })).toThrow(/axis 4 is out of range/);
    expect(() =>
      resize(x, { sizes: [2, 2], axes: [2, 3], coordinateTransformationMode: 'tf_crop_and_resize' }),
    ).toThrow(/needs a region/);
  });
});

test('grids', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), 2, size('h'), 7]);
      return [
        gridSample(x, graph.input('grid', 'float32', [size('n'), 3, size('q'), 2]), { paddingMode: 'reflection' }),
        gridSample(graph.input('volume', 'float32', [1, 2, 3, 4, 5]), graph.input('grid3', 'float32', [1, 2, 2, 2, 3])),
        affineGrid(graph.input('theta', 'float32', [size('n'), 2, 3]), [2, 3, 4, 5], { alignCorners: true }),
      ];
    },
    { n: 2, h: 5, q: 4 },
  );
  const graph = new Graph();
  const x = graph.input('x', 'float32', [2, 1, 4, 4]);
  expect(() => gridSample(x, graph.input('a', 'float32', [2, 3, 3, 3]))).toThrow(
    /coordinates per point: 2 and 3 differ/,
  );
  expect(() => gridSample(x, graph.input('b', 'float32', [2, 3, 2]))).toThrow(/do not fit/);
  expect(() => affineGrid(graph.input('c', 'float32', [2, 4, 5]), [2, 1, 3, 3])).toThrow(/neither 2 nor 3 rows/);
});
