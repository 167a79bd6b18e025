import { describe, test } from '@jest/globals';
import * as g from '@updraft/graph';
import {
  expectDerivatives,
  type Build,
  type DifferenceOptions,
  type InputSpec,
} from './testing/central-differences.js';

type Case = readonly [name: string, inputs: readonly InputSpec[], build: Build, options?: DifferenceOptions];

/** Kernels that the runtime has for float32 alone are checked in float32. */
const SINGLE: DifferenceOptions = { dataType: 'float32', orders: [1] };
const SINGLE_TWICE: DifferenceOptions = { dataType: 'float32' };
const FIRST: DifferenceOptions = { orders: [1] };

const of = (...shape: number[]): InputSpec => ({ shape });
const positive = (...shape: number[]): InputSpec => ({ shape, offset: 1.6, scale: 0.5 });
const inside = (...shape: number[]): InputSpec => ({ shape, scale: 0.8 });
const integers = (values: readonly number[], shape: readonly number[] = [values.length]): InputSpec => ({
  shape,
  values,
  dataType: 'int64',
});

const unary = (
  name: string,
  f: (x: g.Tensor) => g.Tensor,
  x: InputSpec = of(10, 20),
  options?: DifferenceOptions,
): Case => [name, [x], (value: g.Tensor) => [f(value)], ...(options === undefined ? [] : [options])] as unknown as Case;

/** Broadcasts in every direction. */
const PAIRS: readonly (readonly [number[], number[]])[] = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [[3], [2, 3]],
  [
    [2, 1],
    [1, 3],
  ],
  [[], [2, 2]],
  [
    [2, 1, 2],
    [3, 1],
  ],
  [
    [1, 1],
    [2, 2],
  ],
];
const binary = (
  name: string,
  f: (a: g.Tensor, b: g.Tensor) => g.Tensor,
  spec: (...shape: number[]) => InputSpec = of,
  options?: DifferenceOptions,
): Case[] =>
  PAIRS.map(
    ([a, b]) =>
      [
        `${name} ${JSON.stringify(a)} ${JSON.stringify(b)}`,
        [spec(...a), { ...spec(...b), offset: (spec(...b).offset ?? 0) + 0.37 }],
        (x: g.Tensor | undefined, y: g.Tensor | undefined) => [f(x as g.Tensor, y as g.Tensor)],
        options,
      ] as unknown as Case,
  );

const elementwise: readonly Case[] = [
  unary('Abs', g.abs),
  unary('Neg', g.neg),
  unary('Reciprocal', g.reciprocal, positive(10, 20)),
  unary('Sqrt', g.sqrt, positive(10, 20)),
  unary('Exp', g.exp),
  unary('Log', g.log, positive(10, 20)),
  unary('Sin', g.sin),
  unary('Cos', g.cos),
  unary('Tan', g.tan, inside(10, 20), SINGLE),
  unary('Asin', g.asin, inside(10, 20), SINGLE),
  unary('Acos', g.acos, inside(10, 20), SINGLE),
  unary('Atan', g.atan, of(10, 20), SINGLE),
  unary('Sinh', g.sinh, of(10, 20), SINGLE),
  unary('Cosh', g.cosh, of(10, 20), SINGLE),
  unary('Tanh', g.tanh),
  unary('Asinh', g.asinh, of(10, 20), SINGLE),
  unary('Acosh', g.acosh, { shape: [10, 20], offset: 2.2, scale: 0.6 }, SINGLE),
  unary('Atanh', g.atanh, inside(10, 20), SINGLE),
  unary('Erf', g.erf, of(10, 20), SINGLE_TWICE),
  unary('Sigmoid', g.sigmoid),
  unary('Softplus', g.softplus, of(10, 20), SINGLE),
  unary('Softsign', g.softsign, of(2, 3), SINGLE),
  unary('Relu', g.relu, of(10, 20)),
  unary('LeakyRelu', (x) => g.leakyRelu(x, 0.2), of(2, 3), SINGLE),
  unary('Elu', (x) => g.elu(x, 1.3), of(2, 3), SINGLE),
  unary('Selu', (x) => g.selu(x), of(2, 3), SINGLE),
  unary('Celu', (x) => g.celu(x, 0.7), of(10, 20), SINGLE),
  unary('ThresholdedRelu', (x) => g.thresholdedRelu(x, 0.33), of(2, 3), SINGLE),
  unary('HardSigmoid', (x) => g.hardSigmoid(x), of(2, 3), SINGLE),
  unary('HardSwish', g.hardSwish, { shape: [2, 3], scale: 4 }, SINGLE),
  unary('Gelu', (x) => g.gelu(x), of(10, 20), SINGLE_TWICE),
  unary('Gelu, tanh', (x) => g.gelu(x, 'tanh'), of(10, 20), SINGLE_TWICE),
  unary('Mish', g.mish, of(10, 20), SINGLE),
  unary('Clip', (x) => g.clip(x, -0.4, 0.5)),
  unary('Identity', (x) => x.identity()),
  unary('Cast', (x) => x.cast('float32').cast(x.dataType), of(2, 3), { ...FIRST, step: 1e-2, tolerance: 1e-3 }),
  ...binary('Add', g.add),
  ...binary('Sub', g.sub),
  ...binary('Mul', g.mul),
  ...binary('Div', g.div, positive),
  ...binary('Pow', (a, b) => g.pow(a, b), positive),
  ...binary('Max', (a, b) => g.maximum(a, b)),
  ...binary('Min', (a, b) => g.minimum(a, b)),
  ...binary('Mod', (a, b) => g.mod(a, b, { fmod: true }), positive, FIRST),
  ...binary('Where', (a, b) => g.where(a.greater(0), a.mul(2), b)),
  ...binary('Sum', (a, b) => g.sum(a, b, a)),
  ...binary('Mean', (a, b) => g.mean(a, b, b), of, SINGLE),
  ['PRelu', [of(2, 3), positive(3)], (x, slope) => [g.pRelu(x as g.Tensor, slope as g.Tensor)], SINGLE],
];

const AXES: readonly (readonly number[] | undefined)[] = [undefined, [0], [1], [-1], [0, 2], [0, 1, 2]];
const reductions: readonly Case[] = (
  [
    ['ReduceSum', g.reduceSum, of, undefined],
    ['ReduceMean', g.reduceMean, of, undefined],
    ['ReduceMax', g.reduceMax, of, undefined],
    ['ReduceMin', g.reduceMin, of, undefined],
    ['ReduceProd', g.reduceProd, of, SINGLE_TWICE],
    ['ReduceL1', g.reduceL1, of, SINGLE],
    ['ReduceL2', g.reduceL2, of, SINGLE_TWICE],
    ['ReduceLogSum', g.reduceLogSum, positive, SINGLE],
    ['ReduceLogSumExp', g.reduceLogSumExp, of, undefined],
    ['ReduceSumSquare', g.reduceSumSquare, of, undefined],
  ] as const
).flatMap(([name, f, spec, options]) =>
  AXES.flatMap((axes) =>
    [true, false].map(
      (keepDims) =>
        [
          `${name} over ${JSON.stringify(axes ?? 'all')}${keepDims ? ', kept' : ''}`,
          [spec(2, 3, 2)],
          (x: g.Tensor | undefined) => [f(x as g.Tensor, axes, { keepDims })],
          options,
        ] as unknown as Case,
    ),
  ),
);

const products: readonly Case[] = [
  ...(
    [
      [
        [2, 3],
        [3, 2],
      ],
      [[3], [3, 2]],
      [[2, 3], [3]],
      [[3], [3]],
      [
        [2, 2, 3],
        [3, 2],
      ],
      [
        [2, 3],
        [2, 3, 2],
      ],
      [
        [2, 1, 2, 3],
        [3, 3, 1],
      ],
      [
        [2, 2, 3],
        [2, 3, 1],
      ],
    ] as const
  ).map(
    ([a, b]) =>
      [
        `MatMul ${JSON.stringify(a)} ${JSON.stringify(b)}`,
        [of(...a), of(...b)],
        (x: g.Tensor | undefined, y: g.Tensor | undefined) => [g.matMul(x as g.Tensor, y as g.Tensor)],
      ] as unknown as Case,
  ),
  ...[false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      [[2], [3, 1], [3, 2], []].map(
        (bias) =>
          [
            `Gemm ${transposeA ? 'Aᵀ' : 'A'} ${transposeB ? 'Bᵀ' : 'B'} + ${JSON.stringify(bias)}`,
            [transposeA ? of(4, 3) : of(3, 4), transposeB ? of(2, 4) : of(4, 2), of(...bias)],
            (a: g.Tensor | undefined, b: g.Tensor | undefined, c: g.Tensor | undefined) => [
              g.gemm(a as g.Tensor, b as g.Tensor, c, { alpha: 0.7, beta: 1.3, transposeA, transposeB }),
            ],
          ] as unknown as Case,
      ),
    ),
  ),
  unary('Softmax', (x) => g.softmax(x, 1), of(2, 3, 2)),
  unary('LogSoftmax', (x) => g.logSoftmax(x, -1), of(2, 3)),
  unary('CumSum', (x) => g.cumSum(x, 1), of(2, 3)),
  unary('CumSum, backward and exclusive', (x) => g.cumSum(x, 0, { reverse: true, exclusive: true }), of(3, 2)),
];

const shapes: readonly Case[] = [
  unary('Reshape', (x) => x.reshape([3, -1]), of(2, 3)),
  unary('Flatten', (x) => x.flatten(2), of(2, 3, 2)),
  unary('Transpose', (x) => x.transpose([2, 0, 1]), of(2, 3, 2)),
  unary('Transpose, all', (x) => x.transpose(), of(2, 3)),
  unary('Squeeze', (x) => x.squeeze([1]), of(2, 1, 3)),
  unary('Unsqueeze', (x) => x.unsqueeze([0, 2]), of(2, 3)),
  unary('Expand', (x) => x.expand([4, 2, 3]), of(2, 1)),
  ['Concat', [of(2, 1), of(2, 3), of(2, 2)], (...parts) => [g.concat(parts, 1)]],
  unary('Split', (x) => g.sub(g.split(x, [1, 3], 1)[1] as g.Tensor, g.split(x, [1, 3], 1)[0] as g.Tensor), of(2, 4)),
  unary('Slice', (x) => x.slice([1, 0], [3, 2], [0, 1]), of(4, 3)),
  unary('Slice, steps', (x) => x.slice([1], [7], [0], [2]), of(8)),
  unary('Slice, backward', (x) => x.slice([-1], [-9], [0], [-1]), of(5)),
  unary('Slice, backward in steps', (x) => x.slice([6], [0], [0], [-3]), of(8)),
  unary('Pad', (x) => g.pad(x, [1, 0, 2, 1], { value: 0.5 }), of(2, 3)),
  unary('Pad, cropping', (x) => g.pad(x, [-1, 1, 0, -1]), of(3, 3)),
  unary('Pad, reflect', (x) => g.pad(x, [1, 2, 1, 1], { mode: 'reflect' }), of(3, 4)),
  unary('Pad, edge', (x) => g.pad(x, [2, 0, 1, 3], { mode: 'edge' }), of(2, 3)),
  unary('Pad, wrap', (x) => g.pad(x, [1, 2], { mode: 'wrap' }), of(4)),
  [
    'Pad, its constant',
    [of(2), { shape: [] }],
    (x, value) => [g.pad(x as g.Tensor, [1, 2], { value: value as g.Tensor })],
  ],
  unary('Tile', (x) => g.tile(x, [2, 3]), of(2, 2)),
  unary('DepthToSpace, DCR', (x) => g.depthToSpace(x, 2), of(1, 4, 2, 1), SINGLE),
  unary('DepthToSpace, CRD', (x) => g.depthToSpace(x, 2, 'CRD'), of(1, 8, 1, 2), SINGLE),
  unary('SpaceToDepth', (x) => g.spaceToDepth(x, 2), of(1, 2, 4, 2), SINGLE),
  unary('Trilu, upper', (x) => g.trilu(x, { upper: true, diagonal: 1 }), of(3, 3)),
  unary('Trilu, lower', (x) => g.trilu(x, { upper: false }), of(2, 3, 2)),
  ['Gather', [of(4, 2), integers([0, 3, 3, -2])], (x, at) => [g.gather(x as g.Tensor, at as g.Tensor)]],
  [
    'Gather, inner axis',
    [of(2, 3, 2), integers([2, 0, 2, 1], [2, 2])],
    (x, at) => [g.gather(x as g.Tensor, at as g.Tensor, 1)],
  ],
  [
    'GatherElements',
    [of(3, 2), integers([0, 2, 2, 2], [2, 2])],
    (x, at) => [g.gatherElements(x as g.Tensor, at as g.Tensor)],
  ],
  [
    'GatherND',
    [of(3, 2, 2), integers([0, 1, 2, 0, 0, 1], [3, 2])],
    (x, at) => [g.gatherND(x as g.Tensor, at as g.Tensor)],
  ],
  ...(['none', 'add', 'mul', 'max', 'min'] as const).flatMap((reduction): Case[] => [
    [
      `ScatterElements, ${reduction}`,
      [of(3, 2), integers([2, 0], [1, 2]), of(1, 2)],
      (x, at, updates) => [g.scatterElements(x as g.Tensor, at as g.Tensor, updates as g.Tensor, { reduction })],
    ],
    [
      `ScatterND, ${reduction}`,
      [of(4, 2), integers([3, 1], [2, 1]), of(2, 2)],
      (x, at, updates) => [g.scatterND(x as g.Tensor, at as g.Tensor, updates as g.Tensor, { reduction })],
    ],
  ]),
  [
    'ScatterND, add to one place twice',
    [of(3), integers([1, 1, 0], [3, 1]), of(3)],
    (x, at, updates) => [g.scatterND(x as g.Tensor, at as g.Tensor, updates as g.Tensor, { reduction: 'add' })],
  ],
  unary('TopK', (x) => g.topK(x, 2, { axis: 1 }).values, of(2, 4)),
  [
    'OneHot values',
    [integers([1, 0, 2]), of(2)],
    (at, values) => [g.oneHot(at as g.Tensor, 3, values as g.Tensor)],
    SINGLE,
  ],
];

type Window = g.WindowOptions & { readonly group?: number; readonly outputPadding?: readonly number[] };
const WINDOWS: readonly (readonly [number[], number[], Window])[] = [
  [[2, 2, 5], [3, 2, 3], {}],
  [[1, 2, 7], [2, 2, 3], { strides: [2], pads: [1, 0] }],
  [[1, 4, 6], [2, 2, 2], { group: 2, dilations: [2] }],
  [[2, 1, 5, 4], [2, 1, 3, 2], { pads: [1, 1, 1, 1] }],
  [[1, 2, 6, 5], [2, 2, 3, 2], { strides: [2, 3] }],
  [[1, 2, 5, 5], [2, 1, 2, 2], { group: 2, dilations: [2, 1], pads: [0, 1, 1, 0] }],
  [[1, 2, 6, 6], [2, 2, 3, 3], { autoPad: 'SAME_UPPER', strides: [2, 2] }],
  [[1, 1, 5, 6], [2, 1, 2, 3], { autoPad: 'SAME_LOWER' }],
  [[1, 1, 4, 3, 4], [2, 1, 2, 2, 3], { strides: [1, 1, 2], pads: [1, 0, 0, 0, 1, 1] }],
];
const windows: readonly Case[] = [
  ...WINDOWS.map(
    ([x, w, options]) =>
      [
        `Conv ${JSON.stringify(x)} ${JSON.stringify(options)}`,
        [of(...x), of(...w), of(w[0] as number)],
        (a: g.Tensor | undefined, b: g.Tensor | undefined, c: g.Tensor | undefined) => [
          g.conv(a as g.Tensor, b as g.Tensor, c, options),
        ],
        SINGLE_TWICE,
      ] as unknown as Case,
  ),
  ...(
    [
      [[1, 2, 4], [2, 3, 3], {}],
      [[2, 2, 3], [2, 1, 3], { strides: [2], pads: [1, 1], outputPadding: [1] }],
      [[1, 4, 4], [4, 2, 2], { group: 2, dilations: [2] }],
      [[1, 2, 3, 3], [2, 2, 3, 2], { strides: [2, 1], pads: [1, 0, 1, 0] }],
      [[1, 2, 3, 2], [2, 1, 2, 2], { group: 2, strides: [3, 2], outputPadding: [2, 1] }],
      [[1, 1, 2, 2, 3], [1, 2, 2, 2, 2], { strides: [2, 1, 1] }],
    ] as const
  ).map(
    ([x, w, options]) =>
      [
        `ConvTranspose ${JSON.stringify(x)} ${JSON.stringify(options)}`,
        [of(...x), of(...w), of((w[1] as number) * ((options as Window).group ?? 1))],
        (a: g.Tensor | undefined, b: g.Tensor | undefined, c: g.Tensor | undefined) => [
          g.convTranspose(a as g.Tensor, b as g.Tensor, c, options),
        ],
        SINGLE_TWICE,
      ] as unknown as Case,
  ),
  ...(
    [
      [[1, 2, 6], { kernelShape: [2], strides: [2] }],
      [[2, 2, 5], { kernelShape: [3], strides: [2], pads: [1, 1] }],
      [[1, 2, 4, 4], { kernelShape: [2, 2], strides: [2, 2] }],
      [[1, 2, 5, 6], { kernelShape: [3, 2], strides: [2, 2], ceilMode: true }],
      [[1, 1, 5, 5], { kernelShape: [3, 3], pads: [1, 1, 1, 1] }],
      [[1, 1, 6, 5], { kernelShape: [2, 2], dilations: [2, 1] }],
      [[1, 1, 4, 4, 2], { kernelShape: [2, 2, 1], strides: [2, 1, 1] }],
    ] as const
  ).flatMap(([x, options]): Case[] => [
    [
      `MaxPool ${JSON.stringify(x)} ${JSON.stringify(options)}`,
      [{ shape: x, scale: 3 }],
      (a) => [g.maxPool(a as g.Tensor, options)],
      SINGLE,
    ],
    [
      `MaxPool with indices ${JSON.stringify(x)}`,
      [{ shape: x, scale: 3 }],
      (a) => [g.maxPoolWithIndices(a as g.Tensor, options).values],
      SINGLE,
    ],
    ...('dilations' in options
      ? []
      : ([
          [
            `AveragePool ${JSON.stringify(x)} ${JSON.stringify(options)}`,
            [of(...x)],
            (a) => [g.averagePool(a as g.Tensor, options)],
            SINGLE,
          ],
          [
            `AveragePool, padding counts ${JSON.stringify(x)}`,
            [of(...x)],
            (a) => [g.averagePool(a as g.Tensor, { ...options, countIncludePad: true })],
            SINGLE,
          ],
          [`LpPool ${JSON.stringify(x)}`, [positive(...x)], (a) => [g.lpPool(a as g.Tensor, options)], SINGLE],
        ] as Case[])),
  ]),
  unary('GlobalAveragePool', g.globalAveragePool, of(2, 2, 3, 2), SINGLE),
  unary('GlobalMaxPool', g.globalMaxPool, { shape: [2, 2, 3, 2], scale: 3 }, SINGLE),
  unary('GlobalLpPool', (x) => g.globalLpPool(x, 2), of(1, 2, 3), SINGLE),
];

const normalisations: readonly Case[] = [
  ...[1, -1].map((axis): Case => [
    `LayerNormalization, axis ${axis}`,
    [of(2, 3, 4), of(...(axis === 1 ? [3, 4] : [4])), of(...(axis === 1 ? [3, 4] : [4]))],
    (x, s, b) => [g.layerNormalization(x as g.Tensor, s as g.Tensor, b, { axis, epsilon: 0.01 })],
    SINGLE_TWICE,
  ]),
  [
    'BatchNormalization',
    [of(2, 3, 2), of(3), of(3), of(3), positive(3)],
    (x, s, b, m, v) => [
      g.batchNormalization(x as g.Tensor, s as g.Tensor, b as g.Tensor, m as g.Tensor, v as g.Tensor),
    ],
    SINGLE,
  ],
  [
    'BatchNormalization, training',
    [of(3, 2, 2), of(2), of(2)],
    (x, s, b) => [
      g.batchNormalizationTraining(
        x as g.Tensor,
        s as g.Tensor,
        b as g.Tensor,
        g.zerosLike(s as g.Tensor),
        g.onesLike(s as g.Tensor),
        { epsilon: 0.01 },
      ).output,
    ],
    SINGLE,
  ],
  [
    'InstanceNormalization',
    [of(2, 2, 4), of(2), of(2)],
    (x, s, b) => [g.instanceNormalization(x as g.Tensor, s as g.Tensor, b as g.Tensor, { epsilon: 0.01 })],
    SINGLE,
  ],
  [
    'GroupNormalization',
    [of(2, 4, 3), of(4), of(4)],
    (x, s, b) => [g.groupNormalization(x as g.Tensor, s as g.Tensor, b as g.Tensor, { groups: 2, epsilon: 0.01 })],
    SINGLE,
  ],
  unary('LRN', (x) => g.lrn(x, { size: 3, alpha: 0.5, beta: 0.75, bias: 1.5 }), of(1, 4, 2, 2), SINGLE),
  unary('LpNormalization', (x) => g.lpNormalization(x, { axis: 1, p: 2 }), of(2, 3), SINGLE),
  unary('MeanVarianceNormalization', (x) => g.meanVarianceNormalization(x, [0, 2]), of(2, 2, 3), SINGLE),
  ...(['mean', 'sum', 'none'] as const).flatMap((reduction): Case[] => [
    [
      `SoftmaxCrossEntropyLoss, ${reduction}`,
      [of(3, 4), integers([1, 3, 0])],
      (x, y) => [g.softmaxCrossEntropyLoss(x as g.Tensor, y as g.Tensor, { reduction })],
      SINGLE_TWICE,
    ],
    [
      `SoftmaxCrossEntropyLoss, ${reduction}, ignoring`,
      [of(3, 4, 2), integers([1, 3, 0, 3, 2, 3], [3, 2])],
      (x, y) => [g.softmaxCrossEntropyLoss(x as g.Tensor, y as g.Tensor, { reduction, ignoreIndex: 3 })],
      SINGLE,
    ],
    [
      `NegativeLogLikelihoodLoss, ${reduction}`,
      [of(3, 4), integers([1, 3, 0])],
      (x, y) => [g.negativeLogLikelihoodLoss(x as g.Tensor, y as g.Tensor, { reduction })],
      SINGLE,
    ],
  ]),
];

for (const [family, cases] of Object.entries({ elementwise, reductions, products, shapes, windows, normalisations }))
  describe(`${family}: gradients equal central differences`, () => {
    test.each(cases.map((one) => [one[0], one] as const))('%s', async (_, [, inputs, build, options]) => {
      await expectDerivatives(inputs, build, options);
    });
  });
