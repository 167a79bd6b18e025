import * as g from '@updraft/graph';
import { real, whole, type OperatorCases } from '../random-cases.js';
import type { Random } from '../random.js';
import { eachIndex, elementAt, tabulate, valuesOf, wrapAxis, type Values } from '../values.js';

/** A position between elements, away from the elements and from the middles between them. */
function between(random: Random, low: number, high: number): number {
  for (;;) {
    const position = random.between(low, high);
    const fraction = position - Math.floor(position);
    if ([0, 0.5, 1].every((kink) => Math.abs(fraction - kink) > 0.1)) return position;
  }
}

/** Interpolation of all axes at once: a sum over corners of products of weights. */
const corners = (axes: readonly (readonly (readonly [number, number])[])[]): { index: number[]; weight: number }[] =>
  axes.reduce<{ index: number[]; weight: number }[]>(
    (found, axis) =>
      found.flatMap(({ index, weight }) =>
        axis.map(([at, share]) => ({ index: [...index, at], weight: weight * share })),
      ),
    [{ index: [], weight: 1 }],
  );

const linearNeighbours = (position: number): (readonly [number, number])[] => {
  const lower = Math.floor(position);
  return [
    [lower, 1 - (position - lower)],
    [lower + 1, position - lower],
  ];
};

interface AxisPlan {
  readonly size: number;
  readonly resized: number;
  readonly scale: number;
  readonly region: readonly [number, number];
}

/** Where an output element lies in the input, as the specification of Resize writes it. */
function originalPosition(index: number, { size, resized, scale, region }: AxisPlan, mode: string): number {
  const half = (index + 0.5) / scale - 0.5;
  switch (mode) {
    case 'half_pixel_symmetric': {
      const adjustment = resized / (size * scale);
      return (size / 2) * (1 - adjustment) + half;
    }
    case 'pytorch_half_pixel':
      return resized > 1 ? half : 0;
    case 'align_corners':
      return resized === 1 ? 0 : (index * (size - 1)) / (resized - 1);
    case 'asymmetric':
      return index / scale;
    case 'tf_crop_and_resize':
      return resized > 1
        ? region[0] * (size - 1) + (index * (region[1] - region[0]) * (size - 1)) / (resized - 1)
        : 0.5 * (region[0] + region[1]) * (size - 1);
    default:
      return half;
  }
}

const NEAREST_ROUNDING: Readonly<Record<string, (position: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_floor: (position) => Math.ceil(position - 0.5),
  round_prefer_ceil: (position) => Math.floor(position + 0.5),
};

/** The cubic convolution kernel (Keys 1981) at a distance. */
function cubic(distance: number, a: number): number {
  const t = Math.abs(distance);
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0;
}

const resizeCases: OperatorCases = {
  operator: 'Resize',
  draw(random) {
    const mode = random.pick(['nearest', 'linear', 'cubic'] as const);
    const coordinates = random.pick([
      'half_pixel',
      'half_pixel_symmetric',
      'pytorch_half_pixel',
      'align_corners',
      'asymmetric',
      'tf_crop_and_resize',
    ] as const);
    const nearestMode = random.pick(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const);
    const cubicCoefficient = Math.fround(random.pick([-0.75, -0.5]));
    const excludeOutside = mode === 'cubic' && random.chance();
    const crops = coordinates === 'tf_crop_and_resize';
    for (;;) {
      const dims = [random.integer(1, 2), random.integer(1, 2), random.integer(2, 5), random.integer(2, 5)];
      const bySizes = random.chance();
      const policy =
        bySizes && !crops ? random.pick(['stretch', 'stretch', 'not_larger', 'not_smaller'] as const) : 'stretch';
      const wanted = [random.integer(1, 8), random.integer(1, 8)];
      const factors = [random.between(0.4, 2.6), random.between(0.4, 2.6)];
      const region: [number, number][] = [0, 1].map(() => [random.between(-0.3, 0.4), random.between(0.5, 1.3)]);
      const ratios = wanted.map((size, at) => size / (dims[at + 2] as number));
      const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
      const plans = [0, 1].map((at): AxisPlan => {
        const size = dims[at + 2] as number;
        const factor = !bySizes ? (factors[at] as number) : policy === 'stretch' ? (ratios[at] as number) : common;
        return {
          size,
          resized: !bySizes
            ? Math.floor(size * factor)
            : policy === 'stretch'
              ? (wanted[at] as number)
              : Math.round(size * common),
          scale: factor,
          region: region[at] as [number, number],
        };
      });
      // What rounding decides is not for a comparison in two precisions: sizes at halves and whole numbers, elements at
      // ties, points at the rim of a cropped region. Kernels pass what keeps its size.
      const nearInteger = (value: number): boolean => Math.abs(value - Math.round(value)) < 1e-3;
      const rounds = nearestMode.startsWith('round');
      // Aligned corners are quotients of small numbers: where these come out even, they do so in every precision.
      const exact = (position: number): boolean =>
        position === 0 || (coordinates === 'align_corners' && Number.isInteger(2 * position));
      const undecided = plans.some(
        ({ size, resized, scale }, at) =>
          resized < 1 ||
          resized === size ||
          (!bySizes && nearInteger(size * scale)) ||
          (policy !== 'stretch' && nearInteger(size * scale + 0.5)) ||
          Array.from({ length: resized }, (_, index) =>
            originalPosition(index, plans[at] as AxisPlan, coordinates),
          ).some(
            (position) =>
              (mode === 'nearest' && !exact(position) && nearInteger(rounds ? position + 0.5 : position)) ||
              (crops && [0, size - 1].some((rim) => Math.abs(position - rim) < 1e-3)),
          ),
      );
      if (undecided) continue;
      const shape = [...dims.slice(0, 2), ...plans.map(({ resized }) => resized)];
      const someAxes = !crops && random.chance();
      const lead = someAxes ? [] : [1, 1];
      const sized = someAxes ? wanted : [...dims.slice(0, 2), ...wanted];
      const extrapolationValue = 0.7;
      return {
        settings: {
          mode,
          coordinates,
          nearestMode,
          cubicCoefficient,
          excludeOutside,
          bySizes,
          policy,
          plans,
          someAxes,
        },
        inputs: [real(random.values(dims))],
        build: (x) => [
          g.resize(x as g.Tensor, {
            mode,
            coordinateTransformationMode: coordinates,
            nearestMode,
            cubicCoefficient,
            excludeOutside,
            extrapolationValue,
            // A policy has one ratio for all axes that it speaks about.
            ...(bySizes ? { sizes: policy === 'stretch' ? sized : wanted } : { scales: [...lead, ...factors] }),
            ...(someAxes || policy !== 'stretch' ? { axes: [2, 3] } : {}),
            ...(policy === 'stretch' ? {} : { keepAspectRatioPolicy: policy }),
            ...(crops
              ? { region: [0, 0, ...region.map(([begin]) => begin), 1, 1, ...region.map(([, end]) => end)] }
              : {}),
          }),
        ],
        reference: (x) => [
          tabulate(shape, (index) => {
            const positions = plans.map((plan, at) => originalPosition(index[at + 2] as number, plan, coordinates));
            const outside = positions.some(
              (position, at) => position < 0 || position > (plans[at] as AxisPlan).size - 1,
            );
            if (crops && outside) return Math.fround(extrapolationValue);
            const axes = positions.map((position, at): (readonly [number, number])[] => {
              const { size } = plans[at] as AxisPlan;
              const inside = (element: number): number => Math.min(Math.max(element, 0), size - 1);
              if (mode === 'nearest')
                return [[inside((NEAREST_ROUNDING[nearestMode] as (p: number) => number)(position)), 1]];
              if (mode === 'linear')
                return linearNeighbours(position).map(([element, weight]) => [inside(element), weight]);
              const first = Math.floor(position) - 1;
              const taps = [0, 1, 2, 3].map(
                (tap) => [first + tap, cubic(position - (first + tap), cubicCoefficient)] as const,
              );
              if (!excludeOutside) return taps.map(([element, weight]) => [inside(element), weight]);
              const kept = taps.filter(([element]) => element >= 0 && element < size);
              const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
              return kept.map(([element, weight]) => [element, weight / total]);
            });
            return corners(axes).reduce(
              (sum, { index: at, weight }) =>
                sum + weight * elementAt(x, [index[0] as number, index[1] as number, ...at]),
              0,
            );
          }),
        ],
      };
    }
  },
};

const gridSampleCases: OperatorCases = {
  operator: 'GridSample',
  draw(random) {
    const mode = random.pick(['linear', 'linear', 'nearest'] as const);
    const paddingMode = random.pick(['zeros', 'border', 'reflection'] as const);
    const alignCorners = random.chance();
    const axes = random.pick([2, 2, 3]);
    const sizes = Array.from({ length: axes }, () => random.integer(2, 4));
    const dims = [random.integer(1, 2), random.integer(1, 2), ...sizes];
    const points = random.dims(axes, axes, 2);
    const grid = tabulate([dims[0] as number, ...points, axes], (index) => {
      // The last spatial axis comes first.
      const size = sizes[axes - 1 - (index[axes + 1] as number)] as number;
      const position = between(random, -1.7, size + 0.7);
      return Math.fround(alignCorners ? (2 * position) / (size - 1) - 1 : (2 * position + 1) / size - 1);
    });
    return {
      settings: { mode, paddingMode, alignCorners },
      inputs: [real(random.values(dims)), real(grid)],
      build: (x, points_) => [g.gridSample(x as g.Tensor, points_ as g.Tensor, { mode, paddingMode, alignCorners })],
      reference: (x, coordinates) => [
        tabulate([...dims.slice(0, 2), ...points], (index) => {
          const [image, channel, ...point] = index as [number, number, ...number[]];
          const positions = sizes.map((size, axis) => {
            const coordinate = elementAt(coordinates as Values, [image, ...point, axes - 1 - axis]);
            let position = alignCorners ? ((coordinate + 1) / 2) * (size - 1) : ((coordinate + 1) * size - 1) / 2;
            if (paddingMode === 'border') position = Math.min(Math.max(position, 0), size - 1);
            if (paddingMode === 'reflection') {
              const [low, high] = alignCorners ? [0, size - 1] : [-0.5, size - 0.5];
              while (position < low || position > high)
                position = position < low ? 2 * low - position : 2 * high - position;
              position = Math.min(Math.max(position, 0), size - 1);
            }
            return position;
          });
          const neighbours = positions.map((position): (readonly [number, number])[] =>
            mode === 'nearest' ? [[Math.round(position), 1]] : linearNeighbours(position),
          );
          return corners(neighbours).reduce((sum, { index: at, weight }) => {
            const inside = at.every((element, axis) => element >= 0 && element < (sizes[axis] as number));
            return inside ? sum + weight * elementAt(x, [image, channel, ...at]) : sum;
          }, 0);
        }),
      ],
    };
  },
};

const affineGridCases: OperatorCases = {
  operator: 'AffineGrid',
  draw(random) {
    const axes = random.pick([2, 3]);
    const batch = random.integer(1, 2);
    const sizes = random.dims(axes, axes, 3);
    const alignCorners = random.chance();
    return {
      settings: { sizes, alignCorners },
      inputs: [real(random.values([batch, axes, axes + 1]))],
      build: (theta) => [g.affineGrid(theta as g.Tensor, [batch, 1, ...sizes], { alignCorners })],
      reference: (theta) => [
        tabulate([batch, ...sizes, axes], (index) => {
          const [image, ...rest] = index as [number, ...number[]];
          const row = rest[axes] as number;
          const point = sizes
            .map((size, axis) => {
              const at = rest[axis] as number;
              // Steps from -1 to 1; the specification leaves the place of a single one open, the kernel takes the end.
              if (alignCorners) return size === 1 ? 1 : -1 + (2 * at) / (size - 1);
              return -1 + (2 * at + 1) / size;
            })
            .reverse();
          return [...point, 1].reduce(
            (sum, coordinate, column) => sum + coordinate * elementAt(theta, [image, row, column]),
            0,
          );
        }),
      ],
    };
  },
};

const roiAlignCases: OperatorCases = {
  operator: 'RoiAlign',
  draw(random) {
    const [outputHeight, outputWidth, samplingRatio] = [
      random.integer(1, 3),
      random.integer(1, 3),
      random.integer(1, 2),
    ];
    const spatialScale = random.pick([1, 0.5, 0.75]);
    const mode = random.pick(['half_pixel', 'output_half_pixel'] as const);
    const shift = mode === 'half_pixel' ? 0.5 : 0;
    const dims = [random.integer(1, 2), random.integer(1, 2), random.integer(3, 5), random.integer(3, 5)];
    const count = random.integer(1, 2);
    const samplesOf = (from: number, to: number, bins: number): number[] => {
      const [begin, end] = [from * spatialScale - shift, to * spatialScale - shift];
      const extent = shift === 0 ? Math.max(end - begin, 1) : end - begin;
      return Array.from(
        { length: bins * samplingRatio },
        (_, at) => begin + (extent * (at + 0.5)) / (bins * samplingRatio),
      );
    };
    /** Begin and end of a region along one axis whose samples lie between elements. */
    const extentOf = (size: number, bins: number): [number, number] => {
      for (;;) {
        const from = random.between(-1, size / spatialScale - 1);
        const to = Math.fround(from + random.between(0.5, 4) / spatialScale);
        const extent = (to - from) * spatialScale;
        const clear = samplesOf(from, to, bins).every((position) => Math.abs(position - Math.round(position)) > 0.02);
        if (clear && Math.abs(extent - 1) > 0.05) return [from, to];
      }
    };
    const regions = Array.from({ length: count }, () => {
      const [top, bottom] = extentOf(dims[2] as number, outputHeight);
      const [left, right] = extentOf(dims[3] as number, outputWidth);
      return [left, top, right, bottom];
    });
    const sampled = (x: Values, image: number, channel: number, y: number, x_: number): number => {
      const [height, width] = dims.slice(2) as [number, number];
      if (y < -1 || y > height || x_ < -1 || x_ > width) return 0;
      const axes = [
        [y, height],
        [x_, width],
      ].map(([position, size]) =>
        linearNeighbours(Math.min(Math.max(position as number, 0), (size as number) - 1)).map(
          ([element, weight]) => [Math.min(element, (size as number) - 1), weight] as const,
        ),
      );
      return corners(axes).reduce(
        (sum, { index, weight }) => sum + weight * elementAt(x, [image, channel, ...index]),
        0,
      );
    };
    return {
      settings: { outputHeight, outputWidth, samplingRatio, spatialScale, mode },
      inputs: [
        real(random.values(dims)),
        real(valuesOf([count, 4], regions.flat())),
        whole(random.integers([count], 0, (dims[0] as number) - 1)),
      ],
      build: (x, boxes, batch) => [
        g.roiAlign(x as g.Tensor, boxes as g.Tensor, batch as g.Tensor, {
          outputHeight,
          outputWidth,
          samplingRatio,
          spatialScale,
          mode: 'avg',
          coordinateTransformationMode: mode,
        }),
      ],
      reference: (x, boxes, batch) => [
        tabulate([count, dims[1] as number, outputHeight, outputWidth], ([region, channel, row, column]) => {
          const [left, top, right, bottom] = [0, 1, 2, 3].map((at) =>
            elementAt(boxes as Values, [region as number, at]),
          ) as [number, number, number, number];
          const part = (samples: number[], bin: number): number[] =>
            samples.slice(bin * samplingRatio, (bin + 1) * samplingRatio);
          const rows = part(samplesOf(top, bottom, outputHeight), row as number);
          const columns = part(samplesOf(left, right, outputWidth), column as number);
          const image = (batch as Values).data[region as number] as number;
          let sum = 0;
          for (const y of rows) for (const at of columns) sum += sampled(x, image, channel as number, y, at);
          return sum / (rows.length * columns.length);
        }),
      ],
    };
  },
};

const deformableCases: OperatorCases = {
  operator: 'DeformConv',
  draw(random) {
    const [height, width] = [random.integer(3, 4), random.integer(3, 4)];
    const kernel = [random.integer(1, 2), random.integer(1, 2)] as const;
    const strides = [random.integer(1, 2), random.integer(1, 2)] as const;
    const pads = Array.from({ length: 4 }, () => random.integer(0, 1));
    const dilations = [height, width].map((size, axis) =>
      ((kernel[axis] as number) - 1) * 2 + 1 <= size && random.chance(0.3) ? 2 : 1,
    );
    const outputs = [height, width].map((size, axis) => {
      const span = ((kernel[axis] as number) - 1) * (dilations[axis] as number) + 1;
      return (
        Math.floor((size + (pads[axis] as number) + (pads[axis + 2] as number) - span) / (strides[axis] as number)) + 1
      );
    });
    const [group, offsetGroup] = [random.pick([1, 2]), random.pick([1, 2])];
    const channels = 2 * random.integer(1, 2);
    const each = channels / group;
    const maps = group * random.integer(1, 2);
    const batch = random.integer(1, 2);
    const taps = kernel[0] * kernel[1];
    const [hasBias, hasMask] = [random.chance(), random.chance()];
    // Displacements that leave every sample between elements.
    const offset = tabulate([batch, offsetGroup * taps * 2, ...outputs], () => between(random, -1.5, 1.5));
    const sampled = (x: Values, image: number, channel: number, y: number, x_: number): number =>
      corners([linearNeighbours(y), linearNeighbours(x_)]).reduce((sum, { index, weight }) => {
        const [row, column] = index as [number, number];
        const inside = row >= 0 && row < height && column >= 0 && column < width;
        return inside ? sum + weight * elementAt(x, [image, channel, row, column]) : sum;
      }, 0);
    const maskDims = [batch, offsetGroup * taps, ...outputs];
    return {
      settings: { kernel, strides, pads, dilations, group, offsetGroup, hasBias, hasMask },
      inputs: [
        real(random.values([batch, channels, height, width])),
        real(random.values([maps, each, ...kernel])),
        real(offset),
        ...(hasBias ? [real(random.values([maps]))] : []),
        ...(hasMask ? [real(random.values(maskDims))] : []),
      ],
      build: (x, w, shifts, ...rest) => [
        g.deformConv(x as g.Tensor, w as g.Tensor, shifts as g.Tensor, {
          kernelShape: kernel,
          strides,
          pads,
          dilations,
          group,
          offsetGroup,
          ...(hasBias ? { bias: rest[0] as g.Tensor } : {}),
          ...(hasMask ? { mask: rest[hasBias ? 1 : 0] as g.Tensor } : {}),
        }),
      ],
      reference: (x, w, shifts, ...rest) => {
        const [bias, mask] = [hasBias ? rest[0] : undefined, hasMask ? rest[hasBias ? 1 : 0] : undefined];
        return [
          tabulate([batch, maps, ...outputs], ([image, map, row, column]) => {
            let total = bias === undefined ? 0 : (bias.data[map as number] as number);
            const first = Math.floor((map as number) / (maps / group)) * each;
            eachIndex([each, ...kernel], ([part, down, right]) => {
              const channel = first + (part as number);
              const block = Math.floor(channel / (channels / offsetGroup));
              const tap = block * taps + (down as number) * kernel[1] + (right as number);
              const at = (component: number): number =>
                elementAt(shifts as Values, [image as number, 2 * tap + component, row as number, column as number]);
              const y =
                (row as number) * strides[0] -
                (pads[0] as number) +
                (down as number) * (dilations[0] as number) +
                at(0);
              const x_ =
                (column as number) * strides[1] -
                (pads[1] as number) +
                (right as number) * (dilations[1] as number) +
                at(1);
              const factor =
                mask === undefined ? 1 : elementAt(mask, [image as number, tap, row as number, column as number]);
              total +=
                factor *
                elementAt(w as Values, [map as number, part as number, down as number, right as number]) *
                sampled(x, image as number, channel, y, x_);
            });
            return total;
          }),
        ];
      },
    };
  },
};

/** Σ x·exp(∓2πi·k·n/N) along an axis; the signal [..., 1 or 2] is cut, or filled with zeros, to the length N. */
function fourier(x: Values, axis: number, length: number, inverse: boolean, frequencies: number): Values {
  const last = x.dims.length - 1;
  const [own, parts] = [x.dims[axis] as number, x.dims[last] as number];
  const dims = x.dims.map((dim, at) => (at === axis ? frequencies : at === last ? 2 : dim));
  return tabulate(dims, (index) => {
    let sum = 0;
    for (let n = 0; n < Math.min(own, length); n++) {
      const angle = ((inverse ? 2 : -2) * Math.PI * (index[axis] as number) * n) / length;
      const at = (part: number): number =>
        part >= parts
          ? 0
          : elementAt(
              x,
              index.map((place, other) => (other === axis ? n : other === last ? part : place)),
            );
      const [re, im] = [at(0), at(1)];
      sum +=
        index[last] === 0 ? re * Math.cos(angle) - im * Math.sin(angle) : re * Math.sin(angle) + im * Math.cos(angle);
    }
    return inverse ? sum / length : sum;
  });
}

const dftCases: OperatorCases = {
  operator: 'DFT',
  draw(random) {
    const parts = random.pick([1, 2]);
    const dims = [...random.dims(1, 3, 3), parts];
    const rank = dims.length;
    const at = random.below(rank - 1);
    dims[at] = random.integer(2, 8);
    const axis = random.chance() ? at : at - rank;
    const size = dims[at] as number;
    const length = random.chance() ? undefined : random.integer(1, size + 3);
    const used = length ?? size;
    // One-sided transforms are those of real signals.
    const oneSided = parts === 1 && random.chance();
    const inverse = !oneSided && parts === 2 && random.chance();
    return {
      settings: { axis, length, oneSided, inverse },
      inputs: [real(random.values(dims))],
      build: (x) => [g.dft(x as g.Tensor, { axis, oneSided, inverse, ...(length === undefined ? {} : { length }) })],
      reference: (x) => [fourier(x, wrapAxis(axis, rank), used, inverse, oneSided ? Math.floor(used / 2) + 1 : used)],
    };
  },
};

const stftCases: OperatorCases = {
  operator: 'STFT',
  draw(random) {
    const oneSided = random.chance();
    // The kernel of ONNX Runtime 1.30 reads complex signals as if they were real.
    const parts = 1;
    const frame = random.integer(2, 6);
    const frameStep = random.integer(1, 4);
    const batch = random.integer(1, 2);
    const length = frame + random.integer(0, 8);
    const count = Math.floor((length - frame) / frameStep) + 1;
    const hasWindow = random.chance(0.7);
    return {
      settings: { oneSided, frame, frameStep, hasWindow },
      inputs: [
        real(random.values([batch, length, parts])),
        ...(hasWindow ? [real(random.values([frame], { low: 0.2, high: 1 }))] : []),
      ],
      build: (signal, window) => [
        g.stft(signal as g.Tensor, {
          frameStep,
          frameLength: frame,
          oneSided,
          ...(window === undefined ? {} : { window }),
        }),
      ],
      reference: (signal, window) => [
        fourier(
          tabulate([batch, count, frame, parts], ([image, at, place, part]) => {
            const factor = window === undefined ? 1 : (window.data[place as number] as number);
            return (
              factor *
              elementAt(signal, [image as number, (at as number) * frameStep + (place as number), part as number])
            );
          }),
          2,
          frame,
          false,
          oneSided ? Math.floor(frame / 2) + 1 : frame,
        ),
      ],
    };
  },
};

export const samplingCases: readonly OperatorCases[] = [
  resizeCases,
  gridSampleCases,
  affineGridCases,
  roiAlignCases,
  deformableCases,
  dftCases,
  stftCases,
];
