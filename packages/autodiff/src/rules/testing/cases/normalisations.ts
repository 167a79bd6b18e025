import * as g from '@updraft/graph';
import { applied } from '../applied.js';
import { fixed, real, whole, type CaseInput, type OperatorCases } from '../random-cases.js';
import type { Random } from '../random.js';
import {
  elementAt,
  elementwise,
  reduced,
  reshaped,
  sizeOfDims,
  sumOf,
  tabulate,
  wrapAxis,
  type Values,
} from '../values.js';
import { alongAxis, softmaxOf } from './reductions.js';

const meanOf = (elements: readonly number[]): number => sumOf(elements) / elements.length;
const varianceOf = (elements: readonly number[]): number => {
  const mean = meanOf(elements);
  return meanOf(elements.map((value) => (value - mean) ** 2));
};

/** (x - mean) / √(variance + epsilon) over these axes. */
const standardised = (x: Values, axes: readonly number[], epsilon: number): Values =>
  elementwise(
    (value, mean, variance) => ((value as number) - (mean as number)) / Math.sqrt((variance as number) + epsilon),
    x,
    reduced(x, axes, true, meanOf),
    reduced(x, axes, true, varianceOf),
  );

/** x / √(mean square + epsilon) over these axes. */
const rootMeanSquareNormalised = (x: Values, axes: readonly number[], epsilon: number): Values =>
  elementwise(
    (value, square) => (value as number) / Math.sqrt((square as number) + epsilon),
    x,
    reduced(x, axes, true, (elements) => meanOf(elements.map((value) => value * value))),
  );

const scaledAndShifted = (x: Values, scale: Values, shift?: Values): Values => {
  const scaled = elementwise((p, q) => (p as number) * (q as number), x, scale);
  return shift === undefined ? scaled : elementwise((p, q) => (p as number) + (q as number), scaled, shift);
};

/** One value per channel, to broadcast over [batch, channels, ...]. */
const perChannel = (value: Values, x: Values): Values =>
  reshaped(value, [1, value.data.length, ...x.dims.slice(2).map(() => 1)]);

const WIDE = { low: -2, high: 2 } as const;
const FACTORS = { low: 0.5, high: 1.5 } as const;
const drawEpsilon = (random: Random): number => random.pick([Math.fround(1e-5), Math.fround(1e-3), Math.fround(0.1)]);

/**
 * Statistics of few elements that happen to be close together make derivatives of any size. Parts of at least three
 * elements with a variance of at least 0.05 are drawn instead.
 */
function spreadValues(random: Random, dims: readonly number[], axes: readonly number[]): Values {
  for (;;) {
    const x = random.values(dims, WIDE);
    if (reduced(x, axes, true, varianceOf).data.every((variance) => variance > 0.1)) return x;
  }
}

const trailing = (rank: number, from: number): number[] => Array.from({ length: rank - from }, (_, at) => from + at);

/** Layer and RMS normalisation over the axes from `axis` on. */
const layered = (
  operator: string,
  withBias: boolean,
  apply: (
    x: g.Tensor,
    scale: g.Tensor,
    bias: g.Tensor | undefined,
    options: { readonly axis: number; readonly epsilon: number },
  ) => readonly g.Tensor[],
  normalise: typeof standardised,
  statistics: (x: Values, axes: readonly number[], epsilon: number) => readonly Values[] = () => [],
): OperatorCases => ({
  operator,
  draw(random) {
    const dims = random.dims(1, 4, 3);
    dims[dims.length - 1] = random.integer(3, 5);
    const axis = random.axis(dims.length);
    const axes = trailing(dims.length, wrapAxis(axis, dims.length));
    const epsilon = drawEpsilon(random);
    const normalised = axes.map((at) => dims[at] as number);
    const hasBias = withBias && random.chance();
    return {
      settings: { axis, epsilon, hasBias },
      inputs: [
        real(spreadValues(random, dims, axes)),
        real(random.values(normalised, FACTORS)),
        ...(hasBias ? [real(random.values(normalised))] : []),
      ],
      build: (x, scale, bias) => apply(x as g.Tensor, scale as g.Tensor, bias, { axis, epsilon }),
      reference: (x, scale, bias) => [
        scaledAndShifted(normalise(x, axes, epsilon), scale as Values, bias),
        ...statistics(x, axes, epsilon),
      ],
    };
  },
});

/** Sums with a skip, normalised over the features. */
const skipped = (operator: string, withShift: boolean, normalise: typeof standardised): OperatorCases => ({
  operator,
  draw(random) {
    const dims = [...random.dims(1, 2, 3), random.integer(3, 5)];
    const features = dims[dims.length - 1] as number;
    const [hasShift, hasBias] = [withShift && random.chance(), random.chance()];
    const epsilon = drawEpsilon(random);
    const skip = dims.length === 3 && random.chance(0.4) ? random.pick([dims.slice(1), [1, ...dims.slice(1)]]) : dims;
    const withSum = random.chance(0.4);
    const sumIndex = 3;
    for (;;) {
      const x = random.values(dims, WIDE);
      const skipValues = random.values(skip, WIDE);
      const bias = random.values([features]);
      const total = (a: Values, b: Values, c: Values | undefined): Values => {
        const sum = elementwise((p, q) => (p as number) + (q as number), a, b);
        return c === undefined ? sum : elementwise((p, q) => (p as number) + (q as number), sum, c);
      };
      const axes = [dims.length - 1];
      if (!reduced(total(x, skipValues, hasBias ? bias : undefined), axes, true, varianceOf).data.every((v) => v > 0.1))
        continue;
      const optional = [...(hasShift ? [random.values([features])] : []), ...(hasBias ? [bias] : [])];
      return {
        settings: { epsilon, hasShift, hasBias, withSum },
        inputs: [x, skipValues, random.values([features], FACTORS), ...optional].map(real),
        build: (a, b, scale, ...rest) => {
          const shift = hasShift ? rest[0] : undefined;
          const added = hasBias ? rest[hasShift ? 1 : 0] : undefined;
          const all = applied(
            operator,
            withShift ? [a, b, scale, shift, added] : [a, b, scale, added],
            { epsilon },
            withSum ? 4 : 1,
          );
          return withSum ? [all[0] as g.Tensor, all[sumIndex] as g.Tensor] : [all[0] as g.Tensor];
        },
        reference: (a, b, scale, ...rest) => {
          const sum = total(a, b as Values, hasBias ? rest[hasShift ? 1 : 0] : undefined);
          const result = scaledAndShifted(
            normalise(sum, axes, epsilon),
            scale as Values,
            hasShift ? rest[0] : undefined,
          );
          return withSum ? [result, sum] : [result];
        },
      };
    }
  },
});

/** [batch, channels, ...] with statistics over some axes of parts that are large enough. */
const channelled = (
  operator: string,
  apply: (x: g.Tensor, scale: g.Tensor, bias: g.Tensor, options: { epsilon: number; groups: number }) => g.Tensor,
  grouped: boolean,
): OperatorCases => ({
  operator,
  draw(random) {
    const groups = grouped ? random.integer(1, 3) : 0;
    const channels = grouped ? groups * random.integer(1, 2) : random.integer(1, 3);
    const sizes = random.pick([1, 2, 2, 3]) === 1 ? [random.integer(3, 5)] : [2, random.integer(2, 3)];
    const dims = [random.integer(1, 2), channels, ...sizes];
    const epsilon = drawEpsilon(random);
    // Each group of channels, or each channel, as one axis.
    const parts = grouped
      ? [dims[0] as number, groups, (channels / groups) * sizeOfDims(sizes)]
      : [dims[0] as number, channels, sizeOfDims(sizes)];
    const x = reshaped(spreadValues(random, parts, [2]), dims);
    return {
      settings: { epsilon, groups },
      inputs: [real(x), real(random.values([channels], FACTORS)), real(random.values([channels]))],
      build: (a, scale, bias) => [apply(a as g.Tensor, scale as g.Tensor, bias as g.Tensor, { epsilon, groups })],
      reference: (a, scale, bias) => [
        scaledAndShifted(
          reshaped(standardised(reshaped(a, parts), [2], epsilon), dims),
          perChannel(scale as Values, a),
          perChannel(bias as Values, a),
        ),
      ],
    };
  },
});

/** Scores, labels, weights and what the losses do with them. */
const loss = (operator: string, logarithms: (scores: Values) => Values): OperatorCases => ({
  operator,
  draw(random) {
    const classes = random.integer(2, 4);
    const places = random.dims(0, 2, 3);
    const batch = random.integer(1, 3);
    const labelDims = [batch, ...places];
    const reduction = random.pick(['none', 'sum', 'mean'] as const);
    const hasWeights = random.chance();
    const ignoreIndex = random.pick([undefined, random.below(classes), -1]);
    const labels = random.integers(labelDims, 0, classes - 1);
    if (ignoreIndex === -1) labels.data.forEach((_, at) => random.chance(0.3) && (labels.data[at] = -1));
    const withLogarithms = operator === 'SoftmaxCrossEntropyLoss' && random.chance(0.3);
    const weightOf = (label: number, weights: Values | undefined): number =>
      label === ignoreIndex ? 0 : weights === undefined ? 1 : (weights.data[label] as number);
    // The mean over nothing is no number.
    if (reduction === 'mean' && labels.data.every((label) => label === ignoreIndex))
      labels.data[0] = ignoreIndex === 0 ? 1 : 0;
    const inputs: CaseInput[] = [
      real(random.values([batch, classes, ...places], WIDE)),
      whole(labels, random.pick(['int32', 'int64'])),
      ...(hasWeights ? [fixed(random.values([classes], FACTORS))] : []),
    ];
    return {
      settings: { reduction, hasWeights, ignoreIndex, withLogarithms },
      inputs,
      build: (scores, y, weights) =>
        applied(
          operator,
          [scores, y, weights],
          { reduction, ...(ignoreIndex === undefined ? {} : { ignore_index: ignoreIndex }) },
          withLogarithms ? 2 : 1,
        ),
      reference: (scores, y, weights) => {
        const logs = logarithms(scores);
        const each = tabulate(labelDims, (index, position) => {
          const label = (y as Values).data[position] as number;
          const weight = weightOf(label, weights);
          return weight === 0 ? 0 : -weight * elementAt(logs, [index[0] as number, label, ...index.slice(1)]);
        });
        const total = sumOf([...each.data]);
        const counted = sumOf([...(y as Values).data].map((label) => weightOf(label, weights)));
        const result =
          reduction === 'none'
            ? each
            : { dims: [], data: Float64Array.of(reduction === 'sum' ? total : total / counted) };
        return withLogarithms ? [result, logs] : [result];
      },
    };
  },
});

export const normalisationCases: readonly OperatorCases[] = [
  layered(
    'LayerNormalization',
    true,
    (x, scale, bias, options) => {
      const { output, mean, inverseStandardDeviation } = g.layerNormalizationWithStatistics(x, scale, bias, options);
      return [output, mean, inverseStandardDeviation];
    },
    standardised,
    (x, axes, epsilon) => [
      reduced(x, axes, true, meanOf),
      reduced(x, axes, true, (elements) => 1 / Math.sqrt(varianceOf(elements) + epsilon)),
    ],
  ),
  layered(
    'RMSNormalization',
    false,
    (x, scale, _, options) => [g.rmsNormalization(x, scale, options)],
    rootMeanSquareNormalised,
  ),
  layered(
    'SimplifiedLayerNormalization',
    false,
    (x, scale, _, options) => [g.simplifiedLayerNormalization(x, scale, options)],
    rootMeanSquareNormalised,
  ),
  skipped('com.microsoft.SkipLayerNormalization', true, standardised),
  skipped('com.microsoft.SkipSimplifiedLayerNormalization', false, rootMeanSquareNormalised),
  channelled('InstanceNormalization', g.instanceNormalization, false),
  channelled('GroupNormalization', g.groupNormalization, true),
  {
    operator: 'BatchNormalization',
    draw(random) {
      const training = random.chance();
      const channels = random.integer(1, 3);
      const dims = [random.integer(3, 4), channels, ...random.dims(0, 2, 3)];
      const axes = [0, ...trailing(dims.length, 2)];
      const epsilon = drawEpsilon(random);
      const vectors = [random.values([channels], FACTORS), random.values([channels])];
      const statistics = [random.values([channels]), random.values([channels], FACTORS)];
      return {
        settings: { training, epsilon },
        inputs: [
          real(spreadValues(random, dims, axes)),
          ...vectors.map(real),
          ...statistics.map(training ? fixed : real),
        ],
        build: (x, scale, bias, mean, variance) => [
          training
            ? g.batchNormalizationTraining(
                x as g.Tensor,
                scale as g.Tensor,
                bias as g.Tensor,
                mean as g.Tensor,
                variance as g.Tensor,
                { epsilon },
              ).output
            : g.batchNormalization(
                x as g.Tensor,
                scale as g.Tensor,
                bias as g.Tensor,
                mean as g.Tensor,
                variance as g.Tensor,
                { epsilon },
              ),
        ],
        reference: (x, scale, bias, mean, variance) => {
          const normalised = training
            ? standardised(x, axes, epsilon)
            : elementwise(
                (value, m, v) => ((value as number) - (m as number)) / Math.sqrt((v as number) + epsilon),
                x,
                perChannel(mean as Values, x),
                perChannel(variance as Values, x),
              );
          return [scaledAndShifted(normalised, perChannel(scale as Values, x), perChannel(bias as Values, x))];
        },
      };
    },
  },
  {
    operator: 'MeanVarianceNormalization',
    draw(random) {
      const rank = random.integer(2, 4);
      const dims = [random.integer(2, 3), ...random.dims(rank - 1, rank - 1, 3)];
      dims[rank - 1] = random.integer(3, 4);
      // The kernel knows these axes only.
      const axes = rank === 4 ? random.pick([[0, 2, 3], [0, 1, 2, 3], undefined]) : trailing(rank, random.below(rank));
      const reducedAxes = axes ?? [0, 2, 3];
      return {
        settings: { axes },
        inputs: [real(spreadValues(random, dims, reducedAxes))],
        build: (x) => [g.meanVarianceNormalization(x as g.Tensor, axes)],
        reference: (x) => [
          elementwise(
            (value, mean, variance) => ((value as number) - (mean as number)) / (Math.sqrt(variance as number) + 1e-9),
            x,
            reduced(x, reducedAxes, true, meanOf),
            reduced(x, reducedAxes, true, varianceOf),
          ),
        ],
      };
    },
  },
  {
    operator: 'LpNormalization',
    draw(random) {
      const dims = random.dims(1, 4);
      const axis = random.axis(dims.length);
      const p = random.pick([1, 2] as const);
      return {
        settings: { axis, p },
        inputs: [real(random.values(dims, { low: -2, high: 2, kinks: [0], margin: 0.2 }))],
        build: (x) => [g.lpNormalization(x as g.Tensor, { axis, p })],
        reference: (x) => [
          alongAxis(x, axis, (elements) => {
            const norm = sumOf(elements.map((value) => Math.abs(value) ** p)) ** (1 / p);
            return elements.map((value) => value / norm);
          }),
        ],
      };
    },
  },
  {
    operator: 'LRN',
    draw(random) {
      const dims = [random.integer(1, 2), random.integer(1, 5), ...random.dims(2, 2, 2)];
      const size = random.pick([1, 3, 5]);
      const [alpha, beta, bias] = [random.between(0.1, 1), random.between(0.3, 1), random.between(0.5, 2)];
      const channels = dims[1] as number;
      return {
        settings: { size, alpha, beta, bias },
        inputs: [real(random.values(dims, WIDE))],
        build: (x) => [g.lrn(x as g.Tensor, { size, alpha, beta, bias })],
        reference: (x) => [
          tabulate(dims, (index, position) => {
            const channel = index[1] as number;
            const first = Math.max(0, channel - Math.floor((size - 1) / 2));
            const last = Math.min(channels - 1, channel + Math.ceil((size - 1) / 2));
            let squares = 0;
            for (let other = first; other <= last; other++)
              squares += elementAt(x, [index[0] as number, other, ...index.slice(2)]) ** 2;
            return (x.data[position] as number) / (bias + (alpha / size) * squares) ** beta;
          }),
        ],
      };
    },
  },
  loss('SoftmaxCrossEntropyLoss', (scores) => alongAxis(scores, 1, (elements) => softmaxOf(elements).map(Math.log))),
  loss('NegativeLogLikelihoodLoss', (scores) => scores),
  {
    operator: 'com.microsoft.EmbedLayerNormalization',
    draw(random) {
      const [batch, length, features] = [random.integer(1, 2), random.integer(1, 3), random.integer(3, 5)];
      const rows = [random.integer(2, 4), random.integer(length, 4), random.integer(1, 3)];
      const hasSegments = random.chance();
      const hasPositions = random.chance();
      const withSum = random.chance(0.4);
      const epsilon = random.pick([Math.fround(1e-3), Math.fround(0.1)]);
      const ids = (table: number): Values => random.integers([batch, length], 0, (rows[table] as number) - 1);
      const tables = rows.map((count) => random.values([count, features], WIDE));
      const inputs: CaseInput[] = [
        whole(ids(0), 'int32'),
        whole(ids(2), 'int32'),
        ...tables.map((table, at) => (at === 2 && !hasSegments ? fixed(table) : real(table))),
        real(random.values([features], FACTORS)),
        real(random.values([features])),
        whole(ids(1), 'int32'),
      ];
      return {
        settings: { hasSegments, hasPositions, withSum, epsilon },
        inputs,
        build: (words, segments, wordTable, positionTable, segmentTable, scale, shift, places) => {
          const all = applied(
            'com.microsoft.EmbedLayerNormalization',
            [
              words,
              hasSegments ? segments : undefined,
              wordTable,
              positionTable,
              hasSegments ? segmentTable : undefined,
              scale,
              shift,
              undefined,
              hasPositions ? places : undefined,
            ],
            { epsilon },
            withSum ? 3 : 2,
          );
          return withSum ? [all[0] as g.Tensor, all[2] as g.Tensor] : [all[0] as g.Tensor];
        },
        reference: (...operands) => {
          const [words, segments, wordTable, positionTable, segmentTable, scale, shift, places] =
            operands as Values[] & {
              length: 8;
            };
          const sum = tabulate([batch, length, features], ([image, at, feature]) => {
            const row = [image as number, at as number];
            const position = hasPositions ? elementAt(places as Values, row) : (at as number);
            return (
              elementAt(wordTable as Values, [elementAt(words as Values, row), feature as number]) +
              elementAt(positionTable as Values, [position, feature as number]) +
              (hasSegments
                ? elementAt(segmentTable as Values, [elementAt(segments as Values, row), feature as number])
                : 0)
            );
          });
          const result = scaledAndShifted(standardised(sum, [2], epsilon), scale as Values, shift);
          return withSum ? [result, sum] : [result];
        },
      };
    },
  },
];
