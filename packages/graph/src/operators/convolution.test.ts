import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Graph } from '../graph.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import {
  conv,
  convInteger,
  convolutionWindow,
  convTranspose,
  transposedConvolutionWindow,
  col2Im,
  deformConv,
  qLinearConv,
} from './convolution.js';
import { dynamicQuantizeLinear } from './quantisation.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

const axesOf = <T>(axes: number, value: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(value, { minLength: axes, maxLength: axes });

const windows = fc.integer({ min: 1, max: 3 }).chain((axes) =>
  fc.record({
    batch: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 3 }),
    inputsPerGroup: fc.integer({ min: 1, max: 2 }),
    outputsPerGroup: fc.integer({ min: 1, max: 2 }),
    sizes: axesOf(axes, fc.integer({ min: 5, max: 8 })),
    kernel: axesOf(axes, fc.integer({ min: 1, max: 3 })),
    strides: axesOf(axes, fc.integer({ min: 1, max: 3 })),
    dilations: axesOf(axes, fc.integer({ min: 1, max: 2 })),
    pads: axesOf(2 * axes, fc.integer({ min: 0, max: 2 })),
    autoPad: fc.constantFrom('NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'),
    withBias: fc.boolean(),
  }),
);

describe('Conv', () => {
  test('inferred shapes are those of the runtime, and follow from symbolic ones', async () => {
    await fc.assert(
      fc.asyncProperty(windows, async (one) => {
        const { batch, group, inputsPerGroup, outputsPerGroup, sizes, kernel, strides, autoPad } = one;
        const same = autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER';
        const options = {
          group,
          strides,
          dilations: same ? undefined : one.dilations,
          pads: autoPad === 'NOTSET' ? one.pads : undefined,
          autoPad,
        };
        await expectRuntimeTypes(
          (graph, size) => {
            const x = graph.input('x', 'float32', [
              size('batch'),
              group * inputsPerGroup,
              ...sizes.map((_, axis) => size(`d${axis}`)),
            ]);
            const w = graph.input('w', 'float32', [group * outputsPerGroup, inputsPerGroup, ...kernel]);
            return [
              conv(x, w, one.withBias ? graph.input('b', 'float32', [group * outputsPerGroup]) : undefined, options),
            ];
          },
          { batch, ...Object.fromEntries(sizes.map((size, axis) => [`d${axis}`, size])) },
        );
      }),
      { numRuns: 60 },
    );
  });

  test('dilated SAME padding, which the runtime lacks, becomes explicit pads', async () => {
    await expectRuntimeTypes((graph) => {
      const x = graph.input('x', 'float32', [1, 2, 7]);
      const y = conv(x, graph.input('w', 'float32', [3, 2, 3]), undefined, {
        autoPad: 'SAME_LOWER',
        dilations: [2],
        strides: [2],
      });
      // ceil(7 / 2) = 4 windows need (4 - 1) * 2 + 5 = 11 elements: 4 of padding.
      expect(y.producer?.ints('pads')).toEqual([2, 2]);
      expect(shapeText(y.shape)).toBe('[1, 3, 4]');
      return [y];
    });
  });

  test('the resolved window says where SAME puts odd padding', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [1, 1, 8]);
    const w = graph.input('w', 'float32', [1, 1, 4]);
    const pads = (autoPad: 'SAME_UPPER' | 'SAME_LOWER') => {
      const window = convolutionWindow(conv(x, w, undefined, { autoPad }).producer as never);
      return [window.padsBegin, window.padsEnd];
    };
    expect(pads('SAME_UPPER')).toEqual([[1], [2]]);
    expect(pads('SAME_LOWER')).toEqual([[2], [1]]);
  });

  test('errors name the expression and the way out', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['n', 3, 4, 4]);
    const weights = (...shape: number[]): Tensor => graph.input('w' + shape.join('x'), 'float32', shape);
    expect(() => conv(x, weights(8, 4, 3, 3))).toThrow(
      /channels of \[n, 3, 4, 4\] against weights \[8, 4, 3, 3\] in 1 group: 3 and 4 differ, in Conv/,
    );
    expect(() => conv(x, weights(8, 3, 5, 5))).toThrow(
      /spans 5 elements on spatial axis 0, but the padded input has only 4/,
    );
    expect(() => conv(x, weights(8, 3, 3))).toThrow(/differ in rank/);
    expect(() => conv(x, weights(4, 1, 3, 3), undefined, { group: 3 })).toThrow(
      /4 output channels do not divide into 3 groups/,
    );
    expect(() => conv(x, weights(1, 3, 2, 2), undefined, { strides: [0, 1] })).toThrow(/strides holds 0/);
    expect(() => conv(x, weights(2, 3, 1, 1), undefined, { pads: [1, 1] })).toThrow(
      /pads \[1, 1\] has 2 entries, not 4/,
    );
    expect(() => conv(x, weights(2, 3, 2, 1), undefined, { pads: [0, 0, 0, 0], autoPad: 'VALID' })).toThrow(
      /both pads and auto_pad/,
    );
  });
});

describe('ConvTranspose', () => {
  test('inferred shapes are those of the runtime, and follow from symbolic ones', async () => {
    const cases = windows.chain((one) =>
      fc.record({
        one: fc.constant(one),
        outputPadding: fc.tuple(...one.strides.map((stride) => fc.integer({ min: 0, max: stride - 1 }))),
        shrink: fc.option(axesOf(one.sizes.length, fc.integer({ min: 0, max: 3 })), { nil: undefined }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ({ one, outputPadding, shrink }) => {
        const { batch, group, inputsPerGroup, outputsPerGroup, sizes, kernel, strides, dilations, autoPad } = one;
        const outputShape = shrink?.map(
          (less, axis) =>
            ((sizes[axis] ?? 0) - 1) * (strides[axis] ?? 0) +
            ((kernel[axis] ?? 0) - 1) * (dilations[axis] ?? 0) +
            1 -
            less,
        );
        await expectRuntimeTypes(
          (graph, size) => {
            const x = graph.input('x', 'float32', [
              size('batch'),
              group * inputsPerGroup,
              ...sizes.map((_, axis) => size(`d${axis}`)),
            ]);
            const w = graph.input('w', 'float32', [group * inputsPerGroup, outputsPerGroup, ...kernel]);
            const pads = autoPad === 'NOTSET' && outputShape === undefined ? one.pads : undefined;
            return [
              convTranspose(x, w, undefined, { group, strides, dilations, outputPadding, autoPad, pads, outputShape }),
            ];
          },
          { batch, ...Object.fromEntries(sizes.map((size, axis) => [`d${axis}`, size])) },
        );
      }),
      { numRuns: 60 },
    );
  });

  test('the resolved window of an explicit output shape', () => {
    const graph = new Graph();
    const y = convTranspose(graph.input('x', 'float32', [1, 1, 5]), graph.input('w', 'float32', [1, 1, 3]), undefined, {
      strides: [2],
      outputShape: [8],
    });
    // (5 - 1) * 2 + 3 = 11 elements, 3 too many; ONNX: the begin gets the larger half unless SAME_UPPER.
    const window = transposedConvolutionWindow(y.producer as never);
    expect([window.padsBegin, window.padsEnd]).toEqual([[2], [1]]);
  });

  test('rejects what a convolution could not have made', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [1, 2, 5]);
    const w = graph.input('w', 'float32', [2, 1, 3]);
    expect(() => convTranspose(x, w, undefined, { outputPadding: [1] })).toThrow(
      /output_padding 1 is not smaller than stride 1/,
    );
    expect(() => convTranspose(x, w, undefined, { outputShape: [9] })).toThrow(
      /asks for 9 elements on spatial axis 0; the window reaches only 7/,
    );
    expect(() => convTranspose(x, w, undefined, { pads: [4, 4] })).toThrow(/pads leave -1 elements/);
  });
});

describe('other convolutions', () => {
  test('quantised and integer', async () => {
    await expectRuntimeTypes(
      (graph, size) => {
        const x = dynamicQuantizeLinear(graph.input('x', 'float32', [size('n'), 3, size('h')]));
        const w = dynamicQuantizeLinear(graph.input('w', 'float32', [4, 3, 2]));
        return [
          qLinearConv(x, w, x, undefined, { strides: [2] }),
          convInteger(x.values, w.values, { x: x.zeroPoint, weights: w.zeroPoint }, { pads: [1, 0] }),
        ];
      },
      { n: 2, h: 6 },
    );
  });

  test('deformable, and columns to image', async () => {
    await expectRuntimeTypes(
      (graph, size) => [
        deformConv(
          graph.input('x', 'float32', [size('n'), 4, 6, 6]),
          graph.input('w', 'float32', [2, 4, 3, 3]),
          graph.input('o', 'float32', [size('n'), 18, 4, 4]),
          { mask: graph.input('m', 'float32', [size('n'), 9, 4, 4]) },
        ),
        col2Im(graph.input('c', 'float32', [size('n'), 12, 9]), [5, 5], [2, 2], { dilations: [2, 2] }),
      ],
      { n: 2 },
    );
  });
});
