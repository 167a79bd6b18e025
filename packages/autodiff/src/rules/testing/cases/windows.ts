import * as g from '@updraft/graph';
import { real, whole, type OperatorCases } from '../random-cases.js';
import type { Random } from '../random.js';
import {
  eachIndex,
  elementAt,
  mapValues,
  positionOf,
  reduced,
  sizeOfDims,
  sumOf,
  tabulate,
  valuesOf,
  type Values,
} from '../values.js';
import { fusedActivation } from './products.js';

/** A window over the spatial axes, with everything known. */
interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begins: readonly number[];
  readonly ends: readonly number[];
  readonly autoPad: 'NOTSET' | 'SAME_UPPER' | 'SAME_LOWER' | 'VALID';
}

const spanOf = (window: Window, axis: number): number =>
  ((window.kernel[axis] as number) - 1) * (window.dilations[axis] as number) + 1;

const optionsOf = (window: Window) => ({
  strides: window.strides,
  dilations: window.dilations,
  ...(window.autoPad === 'NOTSET' ? { pads: [...window.begins, ...window.ends] } : { autoPad: window.autoPad }),
});

/** A window that fits the sizes at least once. */
function windowOver(
  random: Random,
  sizes: readonly number[],
  allowed: { readonly dilations?: boolean; readonly largestPad?: (span: number, kernel: number) => number } = {},
): Window {
  const autoPad = random.pick(['NOTSET', 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] as const);
  for (;;) {
    const kernel = sizes.map(() => random.integer(1, 3));
    const strides = sizes.map(() => random.integer(1, 3));
    const dilations = sizes.map(() => (allowed.dilations === false ? 1 : random.pick([1, 1, 2])));
    const spans = sizes.map((_, axis) => ((kernel[axis] as number) - 1) * (dilations[axis] as number) + 1);
    const most = (axis: number): number =>
      (allowed.largestPad ?? ((span) => span - 1))(spans[axis] as number, kernel[axis] as number);
    let begins = sizes.map(() => 0);
    let ends = sizes.map(() => 0);
    if (autoPad === 'NOTSET') {
      begins = sizes.map((_, axis) => random.integer(0, Math.max(0, Math.min(2, most(axis)))));
      ends = sizes.map((_, axis) => random.integer(0, Math.max(0, Math.min(2, most(axis)))));
    } else if (autoPad !== 'VALID') {
      const totals = sizes.map((size, axis) => {
        const count = Math.ceil(size / (strides[axis] as number));
        return Math.max(0, (count - 1) * (strides[axis] as number) + (spans[axis] as number) - size);
      });
      const [less, more] = [totals.map((total) => Math.floor(total / 2)), totals.map((total) => Math.ceil(total / 2))];
      begins = autoPad === 'SAME_UPPER' ? less : more;
      ends = autoPad === 'SAME_UPPER' ? more : less;
    }
    const window = { kernel, strides, dilations, begins, ends, autoPad };
    if (outputSizes(sizes, window, false).every((size) => size >= 1)) return window;
  }
}

const outputSizes = (sizes: readonly number[], window: Window, ceilMode: boolean): number[] =>
  sizes.map((size, axis) => {
    const padded = size + (window.begins[axis] as number) + (window.ends[axis] as number);
    const stride = window.strides[axis] as number;
    const count = (ceilMode ? Math.ceil : Math.floor)((padded - spanOf(window, axis)) / stride) + 1;
    // A last window that begins in the padding behind the input does not exist.
    return ceilMode && (count - 1) * stride >= size + (window.begins[axis] as number) ? count - 1 : count;
  });

/** Positions that a window reads, from its place and the offset within the kernel. */
const sources = (window: Window, place: readonly number[], offset: readonly number[]): number[] =>
  place.map(
    (at, axis) =>
      at * (window.strides[axis] as number) -
      (window.begins[axis] as number) +
      (offset[axis] as number) * (window.dilations[axis] as number),
  );
const within = (position: readonly number[], sizes: readonly number[]): boolean =>
  position.every((at, axis) => at >= 0 && at < (sizes[axis] as number));

/** Sizes of 1 to 3 spatial axes; fewer elements on more axes. */
const spatial = (random: Random): number[] => {
  const rank = random.pick([1, 2, 2, 3]);
  return Array.from({ length: rank }, () => random.integer(rank === 3 ? 2 : 3, rank === 1 ? 8 : rank === 2 ? 5 : 3));
};

/** Cross-correlation in groups, as a sum over everything that an output element sees. */
function correlated(x: Values, w: Values, bias: Values | undefined, window: Window, group: number): Values {
  const [batch, channels, ...sizes] = x.dims as [number, number, ...number[]];
  const [outputs, each] = w.dims as [number, number];
  void channels;
  return tabulate([batch, outputs, ...outputSizes(sizes, window, false)], ([image, output, ...place]) => {
    let total = bias === undefined ? 0 : (bias.data[output as number] as number);
    const first = Math.floor((output as number) / (outputs / group)) * each;
    eachIndex(w.dims.slice(1), ([channel, ...offset]) => {
      const position = sources(window, place, offset);
      if (within(position, sizes))
        total +=
          elementAt(x, [image as number, first + (channel as number), ...position]) *
          elementAt(w, [output as number, channel as number, ...offset]);
    });
    return total;
  });
}

interface ConvolutionSetting {
  readonly window: Window;
  readonly group: number;
  readonly shapes: readonly (readonly number[])[];
  readonly hasBias: boolean;
}

function convolutionSetting(random: Random): ConvolutionSetting {
  const sizes = spatial(random);
  const window = windowOver(random, sizes);
  const group = random.pick([1, 1, 2, 3]);
  const [each, outputs] = [random.integer(1, 2), group * random.integer(1, 2)];
  const hasBias = random.chance();
  return {
    window,
    group,
    hasBias,
    shapes: [
      [random.integer(1, 2), group * each, ...sizes],
      [outputs, each, ...window.kernel],
      ...(hasBias ? [[outputs]] : []),
    ],
  };
}

const convolution: OperatorCases = {
  operator: 'Conv',
  draw(random) {
    const { window, group, shapes } = convolutionSetting(random);
    return {
      settings: { ...window, group },
      inputs: shapes.map((dims) => real(random.values(dims))),
      build: (x, w, b) => [g.conv(x as g.Tensor, w as g.Tensor, b, { ...optionsOf(window), group })],
      reference: (x, w, b) => [correlated(x, w, b, window, group)],
    };
  },
};

const fusedConvolution: OperatorCases = {
  operator: 'com.microsoft.FusedConv',
  draw(random) {
    for (;;) {
      const { window, group, shapes, hasBias } = convolutionSetting(random);
      const { name, parameters, f } = fusedActivation(random);
      const summed = hasBias && random.chance(0.4);
      const batchAndOutputs = [(shapes[0] as number[])[0] as number, (shapes[1] as number[])[0] as number];
      const outputDims = [...batchAndOutputs, ...outputSizes((shapes[0] as number[]).slice(2), window, false)];
      const inputs = [...shapes, ...(summed ? [outputDims] : [])].map((dims) => random.values(dims));
      const before = (x: Values, w: Values, ...rest: Values[]): Values => {
        const result = correlated(x, w, hasBias ? rest[0] : undefined, window, group);
        const summand = rest[1];
        return summand === undefined ? result : mapValues(result, (value, at) => value + (summand.data[at] as number));
      };
      const [x, w, ...rest] = inputs as [Values, Values, ...Values[]];
      if (name === 'LeakyRelu' && before(x, w, ...rest).data.some((value) => Math.abs(value) < 0.01)) continue;
      return {
        settings: { ...window, group, name, parameters, summed },
        inputs: inputs.map(real),
        build: (a, b, c, d) => [
          g.fusedConv(a as g.Tensor, b as g.Tensor, hasBias ? c : undefined, {
            // The fused kernel knows no dilated automatic padding.
            ...optionsOf(window.dilations.some((dilation) => dilation > 1) ? { ...window, autoPad: 'NOTSET' } : window),
            kernelShape: window.kernel,
            group,
            activation: name,
            activationParameters: parameters.length > 0 ? parameters : undefined,
            ...(d === undefined ? {} : { summand: d }),
          }),
        ],
        reference: (a, b, ...c) => [mapValues(before(a, b, ...c), f)],
      };
    }
  },
};

const transposedConvolution: OperatorCases = {
  operator: 'ConvTranspose',
  draw(random) {
    const sizes = spatial(random).map((size) => Math.max(1, size - 2));
    const kernel = sizes.map(() => random.integer(1, 3));
    const strides = sizes.map(() => random.integer(1, 3));
    const dilations = sizes.map(() => random.pick([1, 1, 2]));
    const extra = sizes.map((_, axis) => random.integer(0, (strides[axis] as number) - 1));
    const full = sizes.map(
      (size, axis) =>
        (size - 1) * (strides[axis] as number) + ((kernel[axis] as number) - 1) * (dilations[axis] as number) + 1,
    );
    const begins = full.map((size) => random.integer(0, Math.min(2, Math.floor((size - 1) / 2))));
    const ends = full.map((size) => random.integer(0, Math.min(2, Math.floor((size - 1) / 2))));
    const outputs = full.map(
      (size, axis) => size - (begins[axis] as number) - (ends[axis] as number) + (extra[axis] as number),
    );
    const group = random.pick([1, 1, 2]);
    const [channels, each] = [group * random.integer(1, 2), random.integer(1, 2)];
    const hasBias = random.chance();
    return {
      settings: { kernel, strides, dilations, extra, begins, ends, group },
      inputs: [
        real(random.values([random.integer(1, 2), channels, ...sizes])),
        real(random.values([channels, each, ...kernel])),
        ...(hasBias ? [real(random.values([each * group]))] : []),
      ],
      build: (x, w, b) => [
        g.convTranspose(x as g.Tensor, w as g.Tensor, b, {
          strides,
          dilations,
          pads: [...begins, ...ends],
          group,
          ...(extra.some((size) => size > 0) ? { outputPadding: extra } : {}),
        }),
      ],
      reference: (x, w, b) => {
        const result = tabulate([x.dims[0] as number, each * group, ...outputs], ([, output]) =>
          b === undefined ? 0 : (b.data[output as number] as number),
        );
        // Every input element adds the kernel, scaled, at its place.
        eachIndex(x.dims, (index, position) => {
          const [image, channel, ...place] = index as [number, number, ...number[]];
          const block = Math.floor(channel / (channels / group));
          eachIndex([each, ...kernel], ([output, ...offset]) => {
            const target = place.map(
              (at, axis) =>
                at * (strides[axis] as number) +
                (offset[axis] as number) * (dilations[axis] as number) -
                (begins[axis] as number),
            );
            if (!within(target, outputs)) return;
            const flat = positionOf(result.dims, [image, block * each + (output as number), ...target]);
            result.data[flat] =
              (result.data[flat] as number) +
              (x.data[position] as number) * elementAt(w, [channel, output as number, ...offset]);
          });
        });
        return [result];
      },
    };
  },
};

/** Elements of a window that lie in the input, in order, with where they lie. */
function windowElements(
  x: Values,
  window: Window,
  index: readonly number[],
): { readonly value: number; readonly position: number }[] {
  const [image, channel, ...place] = index as [number, number, ...number[]];
  const found: { value: number; position: number }[] = [];
  eachIndex(window.kernel, (offset) => {
    const source = sources(window, place, offset);
    if (!within(source, x.dims.slice(2))) return;
    const position = positionOf(x.dims, [image, channel, ...source]);
    found.push({ value: x.data[position] as number, position });
  });
  return found;
}

/** Pooling: padding no larger than the kernel, as the kernels demand. */
const pooled = (random: Random, dilations: boolean): { sizes: number[]; window: Window; ceilMode: boolean } => {
  for (;;) {
    const sizes = spatial(random);
    const window = windowOver(random, sizes, { dilations, largestPad: (_, kernel) => kernel - 1 });
    const ceilMode = window.autoPad === 'NOTSET' && random.chance(0.4);
    // Automatic padding may be as large as the kernel where the stride skips elements: kernels refuse that.
    const fits = window.kernel.every(
      (kernel, axis) => (window.begins[axis] as number) < kernel && (window.ends[axis] as number) < kernel,
    );
    const counts = outputSizes(sizes, window, ceilMode);
    // Every window holds an element.
    const filled = counts.every((count, axis) =>
      Array.from({ length: count }, (_, at) => at).every((at) =>
        Array.from(
          { length: window.kernel[axis] as number },
          (_, tap) =>
            at * (window.strides[axis] as number) -
            (window.begins[axis] as number) +
            tap * (window.dilations[axis] as number),
        ).some((position) => position >= 0 && position < (sizes[axis] as number)),
      ),
    );
    if (fits && filled) return { sizes, window, ceilMode };
  }
};

const maxPooling = (random: Random) => {
  const { sizes, window, ceilMode } = pooled(random, true);
  const dims = [random.integer(1, 2), random.integer(1, 2), ...sizes];
  return { dims, window, ceilMode, options: { kernelShape: window.kernel, ...optionsOf(window), ceilMode } };
};

export const windowCases: readonly OperatorCases[] = [
  convolution,
  fusedConvolution,
  transposedConvolution,
  {
    operator: 'MaxPool',
    draw(random) {
      const { dims, window, ceilMode, options } = maxPooling(random);
      const withIndices = random.chance();
      return {
        settings: { ...window, ceilMode, withIndices },
        inputs: [real(random.distinct(dims)[0] as Values)],
        build: (x) => [
          withIndices ? g.maxPoolWithIndices(x as g.Tensor, options).values : g.maxPool(x as g.Tensor, options),
        ],
        reference: (x) => [
          tabulate([...dims.slice(0, 2), ...outputSizes(dims.slice(2), window, ceilMode)], (index) =>
            Math.max(...windowElements(x, window, index).map(({ value }) => value)),
          ),
        ],
      };
    },
  },
  {
    operator: 'AveragePool',
    draw(random) {
      const { sizes, window, ceilMode } = pooled(random, true);
      const dims = [random.integer(1, 2), random.integer(1, 2), ...sizes];
      const countIncludePad = random.chance();
      const options = { kernelShape: window.kernel, ...optionsOf(window), ceilMode, countIncludePad };
      return {
        settings: { ...window, ceilMode, countIncludePad },
        inputs: [real(random.values(dims))],
        build: (x) => [g.averagePool(x as g.Tensor, options)],
        reference: (x) => [
          tabulate([...dims.slice(0, 2), ...outputSizes(sizes, window, ceilMode)], (index) => {
            const elements = windowElements(x, window, index);
            let count = elements.length;
            if (countIncludePad) {
              // Padding counts, what lies beyond it does not.
              count = 0;
              eachIndex(window.kernel, (offset) => {
                const source = sources(window, index.slice(2), offset);
                if (source.every((at, axis) => at < (sizes[axis] as number) + (window.ends[axis] as number))) count++;
              });
            }
            return sumOf(elements.map(({ value }) => value)) / count;
          }),
        ],
      };
    },
  },
  {
    operator: 'LpPool',
    draw(random) {
      const { sizes, window, ceilMode } = pooled(random, true);
      const dims = [random.integer(1, 2), random.integer(1, 2), ...sizes];
      const p = random.integer(1, 3);
      return {
        settings: { ...window, ceilMode, p },
        inputs: [real(random.values(dims, { low: -2, high: 2, kinks: [0], margin: 0.1 }))],
        build: (x) => [g.lpPool(x as g.Tensor, { kernelShape: window.kernel, ...optionsOf(window), ceilMode, p })],
        reference: (x) => [
          tabulate(
            [...dims.slice(0, 2), ...outputSizes(sizes, window, ceilMode)],
            (index) => sumOf(windowElements(x, window, index).map(({ value }) => Math.abs(value) ** p)) ** (1 / p),
          ),
        ],
      };
    },
  },
  {
    operator: 'MaxUnpool',
    draw(random) {
      const rank = random.integer(1, 3);
      const kernelShape = Array.from({ length: rank }, () => random.integer(1, 3));
      const strides = Array.from({ length: rank }, () => random.integer(1, 3));
      const shape = [random.integer(1, 2), random.integer(1, 2), ...random.dims(rank, rank, 3)];
      const extra = random.integer(0, 1);
      const dims = shape.map((size, axis) =>
        axis < 2 ? size : (size - 1) * (strides[axis - 2] as number) + (kernelShape[axis - 2] as number) + extra,
      );
      const total = sizeOfDims(dims);
      // Positions that do not repeat: written twice, an element would have no derivative.
      const positions = random.shuffled(Array.from({ length: total }, (_, at) => at)).slice(0, sizeOfDims(shape));
      return {
        settings: { kernelShape, strides, dims },
        inputs: [real(random.values(shape)), whole(valuesOf(shape, positions))],
        build: (x, i) => [g.maxUnpool(x as g.Tensor, i as g.Tensor, { kernelShape, strides, outputShape: dims })],
        reference: (x, i) => {
          const result = new Float64Array(total);
          x.data.forEach((value, at) => {
            result[i.data[at] as number] = value;
          });
          return [{ dims, data: result }];
        },
      };
    },
  },
  ...(
    [
      ['GlobalAveragePool', g.globalAveragePool, (elements: readonly number[]) => sumOf(elements) / elements.length],
      ['GlobalMaxPool', g.globalMaxPool, (elements: readonly number[]) => Math.max(...elements)],
    ] as const
  ).map(([operator, apply, f]): OperatorCases => ({
    operator,
    draw(random) {
      const dims = random.dims(3, 5, 3);
      return {
        settings: {},
        inputs: [real(random.distinct(dims)[0] as Values)],
        build: (x) => [apply(x as g.Tensor)],
        reference: (x) => [reduced(x, dims.map((_, axis) => axis).slice(2), true, f)],
      };
    },
  })),
  {
    operator: 'GlobalLpPool',
    draw(random) {
      const dims = random.dims(3, 5, 3);
      const p = random.integer(1, 3);
      return {
        settings: { p },
        inputs: [real(random.values(dims, { low: -2, high: 2, kinks: [0], margin: 0.1 }))],
        build: (x) => [g.globalLpPool(x as g.Tensor, p)],
        reference: (x) => [
          reduced(
            x,
            dims.map((_, axis) => axis).slice(2),
            true,
            (elements) => sumOf(elements.map((value) => Math.abs(value) ** p)) ** (1 / p),
          ),
        ],
      };
    },
  },
  {
    operator: 'Col2Im',
    draw(random) {
      const sizes = Array.from({ length: random.pick([1, 2, 2]) }, () => random.integer(3, 6));
      // The kernel of ONNX Runtime 1.30 takes dilations of a single spatial axis for 1.
      const window = { ...windowOver(random, sizes, { dilations: sizes.length > 1 }), autoPad: 'NOTSET' as const };
      const [batch, channels] = [random.integer(1, 2), random.integer(1, 2)];
      const counts = outputSizes(sizes, window, false);
      const block = sizeOfDims(window.kernel);
      return {
        settings: { sizes, ...window },
        inputs: [real(random.values([batch, channels * block, sizeOfDims(counts)]))],
        build: (x) => [g.col2Im(x as g.Tensor, sizes, window.kernel, optionsOf(window))],
        reference: (x) => {
          const image = valuesOf([batch, channels, ...sizes], new Float64Array(batch * channels * sizeOfDims(sizes)));
          eachIndex([batch, channels, ...window.kernel, ...counts], (index) => {
            const offset = index.slice(2, 2 + sizes.length);
            const place = index.slice(2 + sizes.length);
            const target = sources(window, place, offset);
            if (!within(target, sizes)) return;
            const row = (index[1] as number) * block + positionOf(window.kernel, offset);
            const flat = positionOf(image.dims, [index[0] as number, index[1] as number, ...target]);
            image.data[flat] =
              (image.data[flat] as number) + elementAt(x, [index[0] as number, row, positionOf(counts, place)]);
          });
          return [image];
        },
      };
    },
  },
];
