import * as g from '@updraft/graph';
import { applied } from '../applied.js';
import { real, whole, type OperatorCases } from '../random-cases.js';
import type { Drawing } from '../random.js';
import { eachIndex, elementAt, reduced, sumOf, tabulate, wrapAxis, type Values } from '../values.js';

const AWAY_FROM_ZERO: Drawing = { low: -2, high: 2, kinks: [0] };
const POSITIVE: Drawing = { low: 0.3, high: 2 };

/** Reductions over any axes, none of them, or all by default; with and without reduced axes. */
const reduction = (
  operator: string,
  apply: typeof g.reduceSum,
  f: (elements: readonly number[]) => number,
  drawing: Drawing | 'distinct' = {},
  dataType: 'float32' | 'float64' = 'float64',
): OperatorCases => ({
  operator,
  dataType,
  draw(random) {
    const dims = random.dims(0, 4, 3);
    const given = random.chance(0.85) ? random.axes(dims.length) : undefined;
    const keepDims = random.chance();
    const none = given === undefined || given.length === 0;
    // With this attribute no axes are no axes: a reduction of every element by itself.
    const passes = none && random.chance();
    const all = dims.map((_, axis) => axis);
    const axes = passes ? [] : none ? all : given.map((axis) => wrapAxis(axis, dims.length));
    return {
      settings: { given, keepDims, passes },
      inputs: [real(drawing === 'distinct' ? (random.distinct(dims)[0] as Values) : random.values(dims, drawing))],
      build: (x) =>
        passes
          ? applied(operator, [x], { keepdims: keepDims ? 1 : 0, noop_with_empty_axes: 1 })
          : [apply(x as g.Tensor, given, { keepDims })],
      reference: (x) => [reduced(x, axes, keepDims, f)],
    };
  },
});

const squares = (elements: readonly number[]): number => sumOf(elements.map((x) => x * x));

/** Functions of the elements along one axis that give as many elements. */
export function alongAxis(x: Values, axis: number, f: (elements: readonly number[]) => readonly number[]): Values {
  const at = wrapAxis(axis, x.dims.length);
  const size = x.dims[at] as number;
  const results = new Map<string, readonly number[]>();
  return tabulate(x.dims, (index) => {
    const others = index.map((position, other) => (other === at ? 0 : position));
    const key = others.join();
    let found = results.get(key);
    if (found === undefined) {
      found = f(
        Array.from({ length: size }, (_, position) =>
          elementAt(
            x,
            others.map((own, other) => (other === at ? position : own)),
          ),
        ),
      );
      results.set(key, found);
    }
    return found[index[at] as number] as number;
  });
}

export const softmaxOf = (elements: readonly number[]): number[] => {
  const powers = elements.map(Math.exp);
  return powers.map((power) => power / sumOf(powers));
};

export const reductionCases: readonly OperatorCases[] = [
  reduction('ReduceSum', g.reduceSum, sumOf),
  reduction('ReduceMean', g.reduceMean, (elements) => sumOf(elements) / elements.length),
  reduction('ReduceMax', g.reduceMax, (elements) => Math.max(...elements), 'distinct'),
  reduction('ReduceMin', g.reduceMin, (elements) => Math.min(...elements), 'distinct'),
  reduction(
    'ReduceProd',
    g.reduceProd,
    (elements) => elements.reduce((x, y) => x * y, 1),
    { low: 0.5, high: 1.4 },
    'float32',
  ),
  reduction('ReduceL1', g.reduceL1, (elements) => sumOf(elements.map(Math.abs)), AWAY_FROM_ZERO, 'float32'),
  reduction('ReduceL2', g.reduceL2, (elements) => Math.sqrt(squares(elements)), AWAY_FROM_ZERO, 'float32'),
  reduction('ReduceLogSum', g.reduceLogSum, (elements) => Math.log(sumOf(elements)), POSITIVE, 'float32'),
  reduction('ReduceLogSumExp', g.reduceLogSumExp, (elements) => Math.log(sumOf(elements.map(Math.exp)))),
  reduction('ReduceSumSquare', g.reduceSumSquare, squares),
  ...(
    [
      ['Softmax', g.softmax, softmaxOf],
      ['LogSoftmax', g.logSoftmax, (elements: readonly number[]) => softmaxOf(elements).map(Math.log)],
    ] as const
  ).map(([operator, apply, f]): OperatorCases => ({
    operator,
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4);
      const axis = random.axis(dims.length);
      return {
        settings: { axis },
        inputs: [real(random.values(dims, { low: -3, high: 3 }))],
        build: (x) => [apply(x as g.Tensor, axis)],
        reference: (x) => [alongAxis(x, axis, f)],
      };
    },
  })),
  {
    operator: 'com.microsoft.BiasSoftmax',
    withoutKernel: true,
    draw(random) {
      const dims = random.dims(2, 4, 3);
      const axis = random.integer(1, dims.length - 1);
      // The kernel takes biases that lack the outer axes, or that repeat over the inner ones of the batch.
      const innerBroadcast = random.chance();
      const repeated = random.integer(0, axis);
      const bias = dims.map((dim, at) =>
        innerBroadcast ? (at >= repeated && at < axis ? 1 : dim) : at < repeated ? 1 : dim,
      );
      return {
        settings: { axis, innerBroadcast },
        inputs: [real(random.values(dims)), real(random.values(bias))],
        build: (x, b) => [g.biasSoftmax(x as g.Tensor, b as g.Tensor, { axis, innerBroadcast })],
        reference: (x, b) => {
          const total = tabulate(
            dims,
            (index) =>
              elementAt(x, index) +
              elementAt(
                b,
                index.map((at, a) => (bias[a] === 1 ? 0 : at)),
              ),
          );
          // One softmax over all axes from `axis` on.
          const result = new Float64Array(total.data.length);
          const inner = dims.slice(axis).reduce((p, q) => p * q, 1);
          for (let begin = 0; begin < result.length; begin += inner)
            result.set(softmaxOf(Array.from(total.data.subarray(begin, begin + inner))), begin);
          return [{ dims, data: result }];
        },
      };
    },
  },
  {
    operator: 'CumSum',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4);
      const axis = random.axis(dims.length);
      const [exclusive, reverse] = [random.chance(), random.chance()];
      return {
        settings: { axis, exclusive, reverse },
        inputs: [real(random.values(dims))],
        build: (x) => [g.cumSum(x as g.Tensor, axis, { exclusive, reverse })],
        reference: (x) => [
          alongAxis(x, axis, (elements) =>
            elements.map((_, at) =>
              sumOf(
                elements.filter((_unused, other) => (other === at ? !exclusive : reverse ? other > at : other < at)),
              ),
            ),
          ),
        ],
      };
    },
  },
  {
    operator: 'TopK',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4);
      const axis = random.axis(dims.length);
      const at = wrapAxis(axis, dims.length);
      const k = random.integer(1, dims[at] as number);
      const largest = random.chance();
      return {
        settings: { axis, k, largest },
        inputs: [real(random.distinct(dims)[0] as Values)],
        build: (x) => [g.topK(x as g.Tensor, k, { axis, largest }).values],
        reference: (x) => {
          const sorted = alongAxis(x, at, (elements) => [...elements].sort((p, q) => (largest ? q - p : p - q)));
          return [
            tabulate(
              dims.map((dim, other) => (other === at ? k : dim)),
              (index) => elementAt(sorted, index),
            ),
          ];
        },
      };
    },
  },
  {
    operator: 'ReverseSequence',
    draw(random) {
      const dims = [random.integer(1, 4), random.integer(1, 4), ...random.dims(0, 2, 3)];
      const batchAxis = random.below(2);
      const timeAxis = 1 - batchAxis;
      const lengths = random.integers([dims[batchAxis] as number], 1, dims[timeAxis] as number);
      return {
        settings: { batchAxis },
        inputs: [real(random.values(dims)), whole(lengths)],
        build: (x, l) => [g.reverseSequence(x as g.Tensor, l as g.Tensor, { batchAxis, timeAxis })],
        reference: (x, l) => [
          tabulate(dims, (index) => {
            const length = l.data[index[batchAxis] as number] as number;
            const time = index[timeAxis] as number;
            return elementAt(
              x,
              index.map((at, axis) => (axis === timeAxis && time < length ? length - 1 - time : at)),
            );
          }),
        ],
      };
    },
  },
  {
    operator: 'Compress',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 3);
      const axis = random.chance(0.3) ? undefined : random.axis(dims.length);
      const at = axis === undefined ? 0 : wrapAxis(axis, dims.length);
      const size = axis === undefined ? dims.reduce((p, q) => p * q, 1) : (dims[at] as number);
      const length = random.chance() ? size : random.integer(1, size);
      const kept = random.integers([length], 0, 1);
      const factors = random.values(dims);
      return {
        settings: { axis, kept: [...kept.data] },
        inputs: [real(random.values(dims)), whole(kept, 'bool'), real(factors)],
        // The size of the result depends on the condition: its sum with factors of its own has none.
        build: (x, c, w) => [
          g.mul(g.compress(x as g.Tensor, c as g.Tensor, axis), g.compress(w as g.Tensor, c as g.Tensor, axis)).sum(),
        ],
        reference: (x, c, w) => {
          let sum = 0;
          eachIndex(dims, (index, position) => {
            const place = axis === undefined ? position : (index[at] as number);
            if (place < length && c.data[place] === 1)
              sum += (x.data[position] as number) * (w.data[position] as number);
          });
          return [{ dims: [], data: Float64Array.of(sum) }];
        },
      };
    },
  },
];
