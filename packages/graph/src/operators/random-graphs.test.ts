import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { elementCount, emptyTensor, isFloat, writeElement, type DataType } from '../data-type.js';
import { UpdraftError } from '../errors.js';
import { Graph } from '../graph.js';
import { encodeModel } from '../serialise/encode.js';
import { isStaticShape, shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import * as operators from './index.js';

/** Draws sizes and attributes; empty axes are frequent, because they are what native kernels forget. */
interface Draw {
  readonly size: () => number;
  readonly sizes: (count: number) => number[];
  readonly integer: (min: number, max: number) => number;
  readonly flag: () => boolean;
  readonly pick: <T>(values: readonly T[]) => T;
  readonly input: (shape: readonly number[], dataType?: DataType) => Tensor;
}

type Family = (draw: Draw) => readonly Tensor[];

const indices = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

function windowOptions({ integer, pick, flag }: Draw, axes: number): operators.WindowOptions {
  const autoPad = pick(['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] as const);
  return {
    autoPad,
    strides: indices(axes).map(() => integer(1, 4)),
    dilations: indices(axes).map(() => integer(1, 3)),
    pads: autoPad === 'NOTSET' && flag() ? indices(2 * axes).map(() => integer(0, 3)) : undefined,
  };
}

/** Sizes of data and of indices along one of its axes. */
function indexed({ sizes, size, integer }: Draw): { shape: number[]; axis: number; chosen: number[] } {
  const shape = sizes(integer(1, 3));
  const axis = integer(0, shape.length - 1);
  return { shape, axis, chosen: shape.map((one, at) => (at === axis ? size() : one)) };
}

const families: Readonly<Record<string, Family>> = {
  conv(draw) {
    const [axes, group, inner, outer] = [draw.integer(1, 3), draw.integer(1, 2), draw.size(), draw.size()];
    const x = draw.input([draw.size(), inner * group, ...draw.sizes(axes)]);
    return [
      operators.conv(x, draw.input([outer * group, inner, ...draw.sizes(axes)]), undefined, {
        ...windowOptions(draw, axes),
        group,
      }),
    ];
  },
  convTranspose(draw) {
    const [axes, group, inner, outer] = [draw.integer(1, 3), draw.integer(1, 2), draw.size(), draw.size()];
    const x = draw.input([draw.size(), inner * group, ...draw.sizes(axes)]);
    return [
      operators.convTranspose(x, draw.input([inner * group, outer, ...draw.sizes(axes)]), undefined, {
        ...windowOptions(draw, axes),
        group,
      }),
    ];
  },
  pooling(draw) {
    const axes = draw.integer(1, 3);
    const x = draw.input([draw.size(), draw.size(), ...draw.sizes(axes)]);
    const kernelShape = indices(axes).map(() => draw.integer(1, 4));
    return [
      draw.pick([operators.maxPool, operators.averagePool, operators.lpPool])(x, {
        ...windowOptions(draw, axes),
        kernelShape,
        ceilMode: draw.flag(),
      }),
    ];
  },
  globalPooling(draw) {
    const x = draw.input(draw.sizes(draw.integer(3, 5)));
    return [draw.pick([operators.globalAveragePool, operators.globalMaxPool, operators.globalLpPool])(x)];
  },
  regions(draw) {
    const count = draw.size();
    return [
      operators.roiAlign(draw.input(draw.sizes(4)), draw.input([count, 4]), draw.input([count], 'int64'), {
        outputHeight: draw.integer(1, 3),
        samplingRatio: draw.integer(0, 2),
      }),
    ];
  },
  channelNormalisation(draw) {
    const channels = draw.size() * 2;
    const x = draw.input([draw.size(), channels, ...draw.sizes(draw.integer(1, 3))]);
    const [scale, bias] = [draw.input([channels]), draw.input([channels])];
    return draw.pick([
      () => [operators.instanceNormalization(x, scale, bias)],
      () => [operators.groupNormalization(x, scale, bias, { groups: draw.integer(1, 2) })],
      () => [operators.batchNormalization(x, scale, bias, bias, scale)],
      () => Object.values(operators.batchNormalizationTraining(x, scale, bias, bias, scale)),
    ])();
  },
  layerNormalisation(draw) {
    const shape = draw.sizes(draw.integer(1, 4));
    const axis = draw.integer(-shape.length, shape.length - 1);
    const [x, scale] = [draw.input(shape), draw.input(shape.slice(axis))];
    return draw.pick([
      () => Object.values(operators.layerNormalizationWithStatistics(x, scale, undefined, { axis })),
      () => [operators.rmsNormalization(x, scale, { axis })],
      () => [operators.lpNormalization(x, { axis })],
      () => [operators.meanVarianceNormalization(x, [axis])],
    ])();
  },
  loss(draw) {
    const [batch, classes, positions] = [draw.size(), draw.size(), draw.sizes(draw.integer(0, 2))];
    const [scores, labels] = [draw.input([batch, classes, ...positions]), draw.input([batch, ...positions], 'int64')];
    const reduction = draw.pick(['none', 'mean', 'sum'] as const);
    return [
      draw.pick([operators.softmaxCrossEntropyLoss, operators.negativeLogLikelihoodLoss])(scores, labels, {
        reduction,
      }),
    ];
  },
  resize(draw) {
    const shape = draw.sizes(draw.integer(1, 5));
    const target = draw.flag()
      ? { sizes: shape.map(() => draw.integer(1, 6)) }
      : { scales: shape.map(() => draw.pick([1, 0.1, 0.5, 2, 1.3])) };
    return [
      operators.resize(draw.input(shape), {
        ...target,
        mode: draw.pick(['nearest', 'linear', 'cubic']),
        antialias: draw.flag(),
      }),
    ];
  },
  gridSample(draw) {
    const [batch, axes] = [draw.size(), draw.integer(2, 3)];
    const [x, grid] = [
      draw.input([batch, draw.size(), ...draw.sizes(axes)]),
      draw.input([batch, ...draw.sizes(axes), axes]),
    ];
    return [
      operators.gridSample(x, grid, {
        mode: draw.pick(['linear', 'nearest', 'cubic']),
        paddingMode: draw.pick(['zeros', 'border', 'reflection']),
      }),
    ];
  },
  recurrent(draw) {
    const direction = draw.pick(['forward', 'reverse', 'bidirectional'] as const);
    const [directions, features, hidden] = [direction === 'bidirectional' ? 2 : 1, draw.size(), draw.size()];
    const [gates, cell] = draw.pick([
      [4, operators.lstm],
      [3, operators.gru],
      [1, operators.rnn],
    ] as const);
    const x = draw.input([draw.size(), draw.size(), features]);
    const [w, r] = [
      draw.input([directions, gates * hidden, features]),
      draw.input([directions, gates * hidden, hidden]),
    ];
    return Object.values(cell(x, w, r, { direction })) as Tensor[];
  },
  quantisation(draw) {
    const shape = draw.sizes(draw.integer(1, 3));
    const axis = draw.integer(0, shape.length - 1);
    const blockSize = draw.integer(1, 3);
    const [scaleShape, options] = draw.pick([
      [[], {}],
      [[shape[axis] as number], { axis }],
      [shape.map((one, at) => (at === axis ? Math.ceil(one / blockSize) : one)), { axis, blockSize }],
    ] as const);
    const scale = draw.input(scaleShape);
    return [
      operators.dequantizeLinear(
        operators.quantizeLinear(draw.input(shape), scale, {
          ...options,
          dataType: draw.pick(['int8', 'uint16', 'int4']),
        }),
        scale,
        options,
      ),
    ];
  },
  products(draw) {
    const [batch, rows, inner, columns] = draw.sizes(4) as [number, number, number, number];
    const [a, b] = [draw.input([batch, rows, inner]), draw.input([batch, inner, columns])];
    return draw.pick([
      () => [operators.matMul(a, b)],
      () => [operators.fusedMatMul(a, b, { alpha: 2 })],
      () => [operators.einsum(draw.pick(['bij,bjk->ik', 'bij,bjk', 'bij,bjk->kib']), a, b)],
      () => [
        operators.gemm(draw.input([inner, rows]), draw.input([columns, inner]), draw.input([1, columns]), {
          transposeA: true,
          transposeB: true,
        }),
      ],
      () => [operators.matMulInteger(draw.input([rows, inner], 'uint8'), draw.input([inner, columns], 'uint8'))],
    ])();
  },
  attention(draw) {
    const [batch, length, keys, size] = draw.sizes(4) as [number, number, number, number];
    const [query, key] = [draw.input([batch, length, 4 * size]), draw.input([batch, keys, 2 * size])];
    return [
      draw.flag()
        ? operators.attention(query, key, key, { queryHeads: 4, keyValueHeads: 2, causal: draw.flag() })
        : operators.multiHeadAttention(draw.input([batch, length, 2 * size]), key, key, {
            heads: 2,
            causal: draw.flag(),
          }),
    ];
  },
  loops(draw) {
    const [length, size] = [draw.size(), draw.size()];
    const [x, h] = [draw.input([length, size]), draw.input([size])];
    const stepped = operators.scan({ state: [h], inputs: [x] }, ([s], [slice]) => ({
      state: [operators.add(s as Tensor, slice as Tensor)],
      outputs: [operators.mul(s as Tensor, slice as Tensor)],
    }));
    const looped = operators.loop({ count: draw.size(), state: [h] }, (_, [s]) => ({
      state: [operators.add(s as Tensor, 1)],
      scan: [s as Tensor],
    }));
    return draw.flag() ? [...stepped.state, ...stepped.outputs] : [...looped.state, ...looped.scan];
  },
  reductions(draw) {
    const shape = draw.sizes(draw.integer(0, 4));
    const axes = draw.flag() ? indices(shape.length).filter(() => draw.flag()) : undefined;
    const {
      reduceSum,
      reduceMean,
      reduceMax,
      reduceMin,
      reduceProd,
      reduceL1,
      reduceL2,
      reduceLogSum,
      reduceLogSumExp,
      reduceSumSquare,
    } = operators;
    const every = [
      reduceSum,
      reduceMean,
      reduceMax,
      reduceMin,
      reduceProd,
      reduceL1,
      reduceL2,
      reduceLogSum,
      reduceLogSumExp,
      reduceSumSquare,
    ];
    return [draw.pick(every)(draw.input(shape), axes, { keepDims: draw.flag() })];
  },
  alongAxis(draw) {
    const shape = draw.sizes(draw.integer(1, 4));
    const [x, axis] = [draw.input(shape), draw.integer(0, shape.length - 1)];
    return draw.pick([
      () => [operators.softmax(x, axis)],
      () => [operators.logSoftmax(x, axis)],
      () => [operators.cumSum(x, axis)],
      () => [operators.argMax(x, axis)],
      () => Object.values(operators.topK(x, draw.integer(0, 3), { axis })),
    ])();
  },
  gathering(draw) {
    const { shape, axis, chosen } = indexed(draw);
    const x = draw.input(shape);
    const at = draw.input(chosen, 'int64');
    const reduction = draw.pick(['none', 'add', 'mul', 'max', 'min'] as const);
    const [count, depth] = [draw.size(), draw.integer(1, shape.length)];
    return draw.pick([
      () => [operators.gather(x, draw.input(draw.sizes(draw.integer(0, 2)), 'int64'), axis)],
      () => [operators.gatherElements(x, at, { axis })],
      () => [operators.gatherND(x, draw.input([count, depth], 'int64'))],
      () => [operators.scatterElements(x, at, draw.input(chosen), { axis, reduction })],
      () => [
        operators.scatterND(x, draw.input([count, depth], 'int64'), draw.input([count, ...shape.slice(depth)]), {
          reduction,
        }),
      ],
    ])();
  },
  shapes(draw) {
    const shape = draw.sizes(draw.integer(1, 3));
    const x = draw.input(shape);
    const all = indices(shape.length);
    const positions = (): number[] => all.map(() => draw.integer(-7, 7));
    return draw.pick([
      () => [operators.transpose(x, [...all].reverse()), operators.flatten(x, draw.integer(0, shape.length))],
      () => [
        operators.slice(
          x,
          positions(),
          positions(),
          all,
          all.map(() => draw.pick([1, 2, -1, -3])),
        ),
      ],
      () => [
        operators.pad(
          x,
          [...all, ...all].map(() => draw.integer(-1, 3)),
          { mode: draw.pick(['constant', 'reflect', 'edge', 'wrap']) },
        ),
      ],
      () => [
        operators.tile(
          x,
          all.map(() => draw.integer(0, 3)),
        ),
      ],
      () => [
        operators.expand(
          x,
          shape.map((size) => (size === 1 ? draw.size() : size)),
        ),
      ],
      () => [operators.concat([x, draw.input([draw.size(), ...shape.slice(1)])], 0)],
    ])();
  },
  signals(draw) {
    const x = draw.input([draw.size(), draw.size(), 1]);
    return [
      draw.flag()
        ? operators.dft(x, { oneSided: draw.flag() })
        : operators.stft(x, { frameStep: draw.integer(1, 3), frameLength: draw.integer(1, 4) }),
    ];
  },
};

function filled({ shape, dataType, name }: Tensor): [string, RuntimeTensor] {
  const dims = Graph.staticShape({ shape, name } as Tensor);
  const value = emptyTensor(dataType, dims);
  for (let index = 0; index < elementCount(dims); index++)
    writeElement(value, index, isFloat(dataType) ? ((index * 7919) % 13) / 5 - 0.4 : index % 2);
  return [name, new RuntimeTensor(dataType as 'float32', value.data as Float32Array, dims)];
}

async function run(graph: Graph): Promise<Awaited<ReturnType<InferenceSession['run']>> | undefined> {
  let session: InferenceSession | undefined;
  try {
    session = await InferenceSession.create(encodeModel(graph), { logSeverityLevel: 4, intraOpNumThreads: 1 });
    return await session.run(Object.fromEntries(graph.inputs.map(filled)));
  } catch {
    // The runtime may refuse what inference let through (an index out of range, a mode without a kernel): no crash.
    return undefined;
  } finally {
    await session?.release();
  }
}

test.each(Object.entries(families))(
  '%s: refused by inference, refused by the runtime, or of the inferred type; never a crash',
  async (_, family) => {
    let ran = 0;
    await fc.assert(
      fc.asyncProperty(fc.gen(), async (gen) => {
        const graph = new Graph('random');
        const integer = (min: number, max: number): number => gen(fc.integer, { min, max });
        const size = (): number => gen(() => fc.constantFrom(1, 2, 3, 4, 5, 0));
        const draw: Draw = {
          integer,
          size,
          sizes: (count) => indices(count).map(size),
          flag: () => gen(fc.boolean),
          pick: (values) => values[integer(0, values.length - 1)] as (typeof values)[number],
          input: (shape, dataType = 'float32') => graph.input(`input${graph.inputs.length}`, dataType, shape),
        };
        let outputs: readonly Tensor[];
        try {
          outputs = family(draw);
        } catch (error) {
          expect(error).toBeInstanceOf(UpdraftError);
          return;
        }
        for (const output of outputs) graph.output(output);
        const results = await run(graph);
        if (results === undefined) return;
        ran++;
        const known = outputs.filter(({ shape }) => isStaticShape(shape));
        expect(known.map(({ name }) => `${results[name]?.type ?? ''}${shapeText(results[name]?.dims ?? [])}`)).toEqual(
          known.map(({ dataType, shape }) => `${dataType}${shapeText(shape)}`),
        );
      }),
      { numRuns: 60 },
    );
    expect(ran).toBeGreaterThan(5);
  },
);
