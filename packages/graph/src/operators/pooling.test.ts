import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { tensor } from '../data-type.js';
import { Graph } from '../graph.js';
import { shapeText } from '../shape.js';
import {
  averagePool,
  globalAveragePool,
  globalLpPool,
  globalMaxPool,
  lpPool,
  maxPool,
  maxPoolWithIndices,
  maxRoiPool,
  maxUnpool,
  poolingWindow,
  roiAlign,
} from './pooling.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

const axesOf = <T>(axes: number, value: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(value, { minLength: axes, maxLength: axes });

const poolings = fc.integer({ min: 1, max: 3 }).chain((axes) =>
  fc.record({
    sizes: axesOf(axes, fc.integer({ min: 5, max: 9 })),
    kernelShape: axesOf(axes, fc.integer({ min: 1, max: 3 })),
    strides: axesOf(axes, fc.integer({ min: 1, max: 4 })),
    dilations: axesOf(axes, fc.integer({ min: 1, max: 2 })),
    pads: axesOf(2 * axes, fc.integer({ min: 0, max: 2 })),
    autoPad: fc.constantFrom('NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'),
    ceilMode: fc.boolean(),
  }),
);

test('inferred shapes of windows are those of the runtime, and follow from symbolic ones', async () => {
  await fc.assert(
    fc.asyncProperty(poolings, async ({ sizes, kernelShape, strides, dilations, pads, autoPad, ceilMode }) => {
      const same = autoPad.startsWith('SAME');
      // Padding has to be smaller than the kernel.
      const fitting = pads.map((padding, index) => Math.min(padding, (kernelShape[index % sizes.length] ?? 1) - 1));
      const options = {
        kernelShape,
        strides,
        ceilMode,
        autoPad,
        dilations: same ? undefined : dilations,
        pads: autoPad === 'NOTSET' ? fitting : undefined,
      };
      await expectRuntimeTypes(
        (graph, size) => {
          const x = graph.input('x', 'float32', [size('n'), 2, ...sizes.map((_, axis) => size(`d${axis}`))]);
          const { values, indices } = maxPoolWithIndices(x, options);
          return [
            values,
            indices,
            maxPool(x, options),
            averagePool(x, { ...options, countIncludePad: true }),
            lpPool(x, options),
          ];
        },
        { n: 2, ...Object.fromEntries(sizes.map((size, axis) => [`d${axis}`, size])) },
      );
    }),
    { numRuns: 80 },
  );
});

test('global pooling, unpooling and regions', async () => {
  await expectRuntimeTypes(
    (graph, size) => {
      const x = graph.input('x', 'float32', [size('n'), 2, 6, size('w')]);
      const { values, indices } = maxPoolWithIndices(x, { kernelShape: [2, 2], strides: [2, 2] });
      const batch = graph.constant(tensor([0, 1, 0], 'int64'));
      const regions = graph.input('regions', 'float32', [3, 4]);
      const integerRegions = graph.constant(tensor([[0, 0, 0, 3, 3]]));
      return [
        globalAveragePool(x),
        globalMaxPool(x),
        globalLpPool(x, 1),
        maxUnpool(values, indices, { kernelShape: [2, 2], strides: [2, 2] }),
        maxUnpool(values, indices, { kernelShape: [2, 2], strides: [2, 2], outputShape: [2, 2, 7, 9] }),
        roiAlign(x, regions, batch, { outputHeight: 3, outputWidth: 2 }),
        maxRoiPool(x, integerRegions, { pooledShape: [2, 3] }),
      ];
    },
    { n: 2, w: 8 },
  );
});

describe('padding', () => {
  test('a last window must begin inside the input', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [1, 1, 'length']);
    const y = maxPool(x, { kernelShape: [2], strides: [3], ceilMode: true });
    expect(shapeText(y.shape)).toMatch(/min\(/);
    expect(
      shapeText(
        maxPool(graph.input('y', 'float32', [1, 1, 6]), { kernelShape: [1], strides: [5], ceilMode: true }).shape,
      ),
    ).toBe('[1, 1, 2]');
  });

  test('SAME with a symbolic size is an expression of it', () => {
    const graph = new Graph();
    const y = averagePool(graph.input('x', 'float32', [1, 1, 'length']), { kernelShape: [3], autoPad: 'SAME_UPPER' });
    const window = poolingWindow(y.producer as never);
    expect([window.padsBegin, window.padsEnd]).toEqual([[1], [1]]);
  });

  test('errors', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [1, 1, 6, 6]);
    expect(() => maxPool(x, { kernelShape: [2] })).toThrow(
      /kernel_shape \[2\] has 1 entries for the input \[1, 1, 6, 6\]/,
    );
    expect(() => maxPool(x, { kernelShape: [2, 2], pads: [2, 0, 0, 0] })).toThrow(
      /padding 2 is not smaller than the kernel size 2/,
    );
    expect(() => maxPool(x, { kernelShape: [9, 2] })).toThrow(/spans 9 elements/);
    expect(() => maxPool(x, { kernelShape: [0, 2] })).toThrow(/kernel \[0, 2\] is empty/);
    expect(() => globalMaxPool(graph.input('y', 'float32', [1, 2]))).toThrow(/has no spatial axis/);
  });
});
