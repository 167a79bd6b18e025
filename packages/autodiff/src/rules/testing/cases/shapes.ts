import * as g from '@updraft/graph';
import { applied } from '../applied.js';
import { fixed, real, whole, type OperatorCases, type RandomCase } from '../random-cases.js';
import type { Random } from '../random.js';
import {
  broadcastAt,
  elementAt,
  reshaped,
  sizeOfDims,
  tabulate,
  transposed,
  valuesOf,
  wrapAxis,
  type Values,
} from '../values.js';

type Setting = Omit<RandomCase, 'inputs' | 'build' | 'reference'> & {
  readonly apply: (x: g.Tensor) => g.Tensor;
  readonly f: (x: Values) => Values;
};

/** Operators that move elements of one tensor; the setting depends on its sizes. */
const moving = (
  operator: string,
  dims: (random: Random) => number[],
  setting: (random: Random, dims: readonly number[]) => Setting,
  dataType: 'float32' | 'float64' = 'float64',
): OperatorCases => ({
  operator,
  dataType,
  draw(random) {
    const sizes = dims(random);
    const { settings, apply, f } = setting(random, sizes);
    return {
      settings,
      inputs: [real(random.values(sizes))],
      build: (x) => [apply(x as g.Tensor)],
      reference: (x) => [f(x)],
    };
  },
});

const anyDims =
  (lowest: number, highest = 4, largest = 4) =>
  (random: Random): number[] =>
    random.dims(lowest, highest, largest);

/** Some way to write the same number of elements. */
function otherShape(random: Random, count: number): number[] {
  const result: number[] = [];
  let rest = count;
  while (rest > 1 && random.chance(0.8)) {
    const divisors = Array.from({ length: rest }, (_, at) => at + 1).filter((divisor) => rest % divisor === 0);
    const factor = random.pick(divisors);
    result.push(factor);
    rest /= factor;
  }
  return [...result, rest];
}

/** Starts, ends and steps on some axes, as Python has them. */
function slicing(random: Random, dims: readonly number[]) {
  const axes = random.axes(dims.length, random.integer(1, dims.length));
  const parts = axes.map((axis) => {
    const size = dims[wrapAxis(axis, dims.length)] as number;
    for (;;) {
      const step = random.pick([1, 1, 2, 3, -1, -2]);
      const [start, end] = [random.integer(-size - 1, size + 1), random.integer(-size - 1, size + 1)];
      // Positions as the specification clamps them.
      const clamp = (at: number): number => {
        const wrapped = at < 0 ? at + size : at;
        return step > 0 ? Math.min(Math.max(wrapped, 0), size) : Math.min(Math.max(wrapped, -1), size - 1);
      };
      const first = step > 0 ? clamp(start) : Math.min(Math.max(start < 0 ? start + size : start, 0), size - 1);
      const count = Math.max(0, Math.ceil((clamp(end) - first) / step));
      if (count > 0) return { axis, start, end, step, first, count };
    }
  });
  return parts;
}

function padSource(position: number, size: number, mode: string): number | undefined {
  if (position >= 0 && position < size) return position;
  if (mode === 'constant') return undefined;
  if (mode === 'edge') return Math.min(Math.max(position, 0), size - 1);
  if (mode === 'wrap') return ((position % size) + size) % size;
  let at = position;
  while (at < 0 || at >= size) at = at < 0 ? -at : 2 * (size - 1) - at;
  return at;
}

export const shapeCases: readonly OperatorCases[] = [
  moving('Reshape', anyDims(0), (random, dims) => {
    const target = otherShape(random, sizeOfDims(dims));
    const inferred = random.chance(0.4) ? random.below(target.length) : -1;
    return {
      settings: { target, inferred },
      apply: (x) => x.reshape(target.map((dim, axis) => (axis === inferred ? -1 : dim))),
      f: (x) => reshaped(x, target),
    };
  }),
  moving('Flatten', anyDims(0), (random, dims) => {
    const axis = random.integer(-dims.length, dims.length);
    const at = wrapAxis(axis, dims.length);
    return {
      settings: { axis },
      apply: (x) => x.flatten(axis),
      f: (x) => reshaped(x, [sizeOfDims(dims.slice(0, at)), sizeOfDims(dims.slice(at))]),
    };
  }),
  moving(
    'Squeeze',
    (random) => random.dims(1, 4, 3).map((dim) => (random.chance(0.4) ? 1 : dim)),
    (random, dims) => {
      const ones = dims.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
      const chosen =
        ones.length === 0 || random.chance(0.3)
          ? undefined
          : random.shuffled(ones).slice(0, random.integer(1, ones.length));
      const dropped = chosen ?? ones;
      const given = chosen?.map((axis) => (random.chance() ? axis : axis - dims.length));
      return {
        settings: { given },
        apply: (x) => x.squeeze(given),
        f: (x) =>
          reshaped(
            x,
            dims.filter((_, axis) => !dropped.includes(axis)),
          ),
      };
    },
  ),
  moving('Unsqueeze', anyDims(0, 3), (random, dims) => {
    const added = random.integer(1, 2);
    const rank = dims.length + added;
    const axes = random.axes(rank, added);
    const places = axes.map((axis) => wrapAxis(axis, rank));
    const rest = [...dims];
    return {
      settings: { axes },
      apply: (x) => x.unsqueeze(axes),
      f: (x) =>
        reshaped(
          x,
          Array.from({ length: rank }, (_, axis) => axis).reduce<{ dims: number[]; at: number }>(
            ({ dims: sofar, at }, axis) =>
              places.includes(axis)
                ? { dims: [...sofar, 1], at }
                : { dims: [...sofar, rest[at] as number], at: at + 1 },
            { dims: [], at: 0 },
          ).dims,
        ),
    };
  }),
  moving('Transpose', anyDims(0), (random, dims) => {
    const permutation = random.shuffled(dims.map((_, axis) => axis));
    const given = random.chance(0.8);
    return {
      settings: { permutation, given },
      apply: (x) => (given ? x.transpose(permutation) : x.transpose()),
      f: (x) => transposed(x, given ? permutation : dims.map((_, axis) => dims.length - 1 - axis)),
    };
  }),
  moving(
    'Expand',
    (random) => random.dims(0, 3, 3).map((dim) => (random.chance() ? 1 : dim)),
    (random, dims) => {
      const target = [
        ...random.dims(0, 2, 3),
        ...dims.map((dim) => (dim === 1 ? random.integer(1, 3) : random.pick([1, dim]))),
      ];
      const shape = target.map((dim, axis) => Math.max(dim, dims[axis - (target.length - dims.length)] ?? 1));
      return {
        settings: { target },
        apply: (x) => x.expand(target),
        f: (x) => tabulate(shape, (index) => broadcastAt(x, index)),
      };
    },
  ),
  {
    operator: 'Concat',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4, 3);
      const axis = random.axis(dims.length);
      const at = wrapAxis(axis, dims.length);
      const sizes = Array.from({ length: random.integer(1, 4) }, () => random.integer(1, 3));
      return {
        settings: { axis },
        inputs: sizes.map((size) => real(random.values(dims.map((dim, other) => (other === at ? size : dim))))),
        build: (...parts) => [g.concat(parts, axis)],
        reference: (...parts) => [
          tabulate(
            dims.map((dim, other) => (other === at ? sizes.reduce((p, q) => p + q) : dim)),
            (index) => {
              let place = index[at] as number;
              let part = 0;
              while (place >= (sizes[part] as number)) place -= sizes[part++] as number;
              return elementAt(
                parts[part] as Values,
                index.map((own, other) => (other === at ? place : own)),
              );
            },
          ),
        ],
      };
    },
  },
  {
    operator: 'Split',
    dataType: 'float64',
    draw(random) {
      const sizes = Array.from({ length: random.integer(1, 4) }, () => random.integer(1, 3));
      const dims = random.dims(1, 4, 3);
      const axis = random.axis(dims.length);
      const at = wrapAxis(axis, dims.length);
      const total = sizes.reduce((p, q) => p + q);
      const everything = dims.map((dim, other) => (other === at ? total : dim));
      // By number: equal parts, the last one smaller.
      const byCount = random.chance(0.4);
      const each = Math.ceil(total / sizes.length);
      const equal = sizes.map((_, part) => Math.min(each, total - part * each));
      const usable = byCount && equal.every((size) => size > 0);
      const parts = usable ? equal : sizes;
      // Not every part has to be used.
      const used = random.shuffled(parts.map((_, part) => part)).slice(0, random.integer(1, parts.length));
      return {
        settings: { axis, parts, usable, used },
        inputs: [real(random.values(everything))],
        build: (x) => {
          const all = g.split(x as g.Tensor, usable ? parts.length : parts, axis);
          return used.map((part) => all[part] as g.Tensor);
        },
        reference: (x) =>
          used.map((part) => {
            const begin = parts.slice(0, part).reduce((p, q) => p + q, 0);
            return tabulate(
              dims.map((dim, other) => (other === at ? (parts[part] as number) : dim)),
              (index) =>
                elementAt(
                  x,
                  index.map((own, other) => (other === at ? own + begin : own)),
                ),
            );
          }),
      };
    },
  },
  moving('Slice', anyDims(1, 4, 6), (random, dims) => {
    const parts = slicing(random, dims);
    const steps = parts.some(({ step }) => step !== 1) || random.chance();
    return {
      settings: { parts },
      apply: (x) =>
        x.slice(
          parts.map(({ start }) => start),
          parts.map(({ end }) => end),
          parts.map(({ axis }) => axis),
          steps ? parts.map(({ step }) => step) : undefined,
        ),
      f: (x) => {
        const byAxis = new Map(parts.map((part) => [wrapAxis(part.axis, dims.length), part]));
        return tabulate(
          dims.map((dim, axis) => byAxis.get(axis)?.count ?? dim),
          (index) =>
            elementAt(
              x,
              index.map((at, axis) => {
                const part = byAxis.get(axis);
                return part === undefined ? at : part.first + at * part.step;
              }),
            ),
        );
      },
    };
  }),
  {
    operator: 'Pad',
    dataType: 'float64',
    draw(random) {
      const mode = random.pick(['constant', 'reflect', 'edge', 'wrap'] as const);
      const dims = random.dims(1, 4).map((dim) => (mode === 'reflect' ? Math.max(dim, 2) : dim));
      const some = random.chance(0.4) ? random.axes(dims.length, random.integer(1, dims.length)) : undefined;
      const axes = some?.map((axis) => wrapAxis(axis, dims.length)) ?? dims.map((_, axis) => axis);
      const amount = (axis: number): number => {
        const size = dims[axis] as number;
        if (mode === 'reflect') return random.integer(0, size - 1);
        if (mode === 'wrap') return random.integer(0, size);
        return random.integer(mode === 'constant' && size > 2 ? -1 : 0, 2);
      };
      const before = axes.map(amount);
      const after = axes.map(amount);
      const hasValue = mode === 'constant' && random.chance();
      const shape = dims.map((dim, axis) => {
        const at = axes.indexOf(axis);
        return at < 0 ? dim : dim + (before[at] as number) + (after[at] as number);
      });
      return {
        settings: { mode, some, before, after },
        inputs: [real(random.values(dims)), ...(hasValue ? [real(random.values([]))] : [])],
        build: (x, value) => [
          g.pad(x as g.Tensor, [...before, ...after], {
            mode,
            ...(value === undefined ? {} : { value }),
            ...(some === undefined ? {} : { axes: some }),
          }),
        ],
        reference: (x, value) => [
          tabulate(shape, (index) => {
            const source = index.map((at, axis) => {
              const padded = axes.indexOf(axis);
              return padded < 0 ? at : padSource(at - (before[padded] as number), dims[axis] as number, mode);
            });
            return source.some((at) => at === undefined)
              ? ((value?.data[0] ?? 0) as number)
              : elementAt(x, source as number[]);
          }),
        ],
      };
    },
  },
  moving('Tile', anyDims(1, 4, 3), (random, dims) => {
    const repeats = dims.map(() => random.integer(1, 3));
    return {
      settings: { repeats },
      apply: (x) => g.tile(x, repeats),
      f: (x) =>
        tabulate(
          dims.map((dim, axis) => dim * (repeats[axis] as number)),
          (index) =>
            elementAt(
              x,
              index.map((at, axis) => at % (dims[axis] as number)),
            ),
        ),
    };
  }),
  moving(
    'DepthToSpace',
    (random) => {
      const block = random.pick([1, 2, 3]);
      return [random.integer(1, 2), block * block * random.integer(1, 2), random.integer(1, 3), random.integer(1, 3)];
    },
    (random, [n, depth, height, width]) => {
      const block = random.pick([1, 2, 3].filter((size) => (depth as number) % (size * size) === 0));
      const mode = random.pick(['DCR', 'CRD'] as const);
      const channels = (depth as number) / (block * block);
      return {
        settings: { block, mode },
        apply: (x) => g.depthToSpace(x, block, mode),
        f: (x) =>
          tabulate(
            [n as number, channels, (height as number) * block, (width as number) * block],
            ([image, channel, row, column]) => {
              const [down, right] = [(row as number) % block, (column as number) % block];
              const offset = down * block + right;
              const source =
                mode === 'DCR' ? offset * channels + (channel as number) : (channel as number) * block * block + offset;
              return elementAt(x, [
                image as number,
                source,
                Math.floor((row as number) / block),
                Math.floor((column as number) / block),
              ]);
            },
          ),
      };
    },
    'float32',
  ),
  moving(
    'SpaceToDepth',
    (random) => {
      const block = random.pick([1, 2, 3]);
      return [random.integer(1, 2), random.integer(1, 3), block * random.integer(1, 2), block * random.integer(1, 2)];
    },
    (random, [n, channels, height, width]) => {
      const block = random.pick(
        [1, 2, 3].filter((size) => (height as number) % size === 0 && (width as number) % size === 0),
      );
      return {
        settings: { block },
        apply: (x) => g.spaceToDepth(x, block),
        f: (x) =>
          tabulate(
            [n as number, (channels as number) * block * block, (height as number) / block, (width as number) / block],
            ([image, depth, row, column]) => {
              const offset = Math.floor((depth as number) / (channels as number));
              return elementAt(x, [
                image as number,
                (depth as number) % (channels as number),
                (row as number) * block + Math.floor(offset / block),
                (column as number) * block + (offset % block),
              ]);
            },
          ),
      };
    },
    'float32',
  ),
  moving('Trilu', anyDims(2, 4), (random, dims) => {
    const upper = random.chance();
    const diagonal = random.chance(0.3) ? undefined : random.integer(-3, 3);
    const k = diagonal ?? 0;
    return {
      settings: { upper, diagonal },
      apply: (x) => g.trilu(x, { upper, diagonal }),
      f: (x) =>
        tabulate(dims, (index, position) => {
          const [row, column] = index.slice(-2) as [number, number];
          const kept = upper ? column >= row + k : column <= row + k;
          return kept ? (x.data[position] as number) : 0;
        }),
    };
  }),
];

/** Distinct places along an axis for every position, so that writing has no order. */
function distinctIndices(random: Random, shape: readonly number[], axis: number, size: number): Values {
  const others = shape.map((dim, at) => (at === axis ? 1 : dim));
  const orders = new Map<string, number[]>();
  tabulate(others, (index) => {
    orders.set(index.join(), random.shuffled(Array.from({ length: size }, (_, at) => at)));
    return 0;
  });
  return tabulate(shape, (index) => {
    const key = index.map((at, other) => (other === axis ? 0 : at)).join();
    const place = (orders.get(key) as number[])[index[axis] as number] as number;
    return random.chance() ? place : place - size;
  });
}

const combined = (reduction: string, old: number, update: number): number => {
  switch (reduction) {
    case 'add':
      return old + update;
    case 'mul':
      return old * update;
    case 'max':
      return Math.max(old, update);
    case 'min':
      return Math.min(old, update);
    default:
      return update;
  }
};

const REDUCTIONS = ['none', 'add', 'mul', 'max', 'min'] as const;

export const indexingCases: readonly OperatorCases[] = [
  {
    operator: 'Gather',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 3);
      const axis = random.axis(dims.length);
      const at = wrapAxis(axis, dims.length);
      const size = dims[at] as number;
      const indices = random.integers(random.dims(0, 2, 3), -size, size - 1);
      return {
        settings: { axis },
        inputs: [real(random.values(dims)), whole(indices, random.pick(['int32', 'int64']))],
        build: (x, i) => [g.gather(x as g.Tensor, i as g.Tensor, axis)],
        reference: (x, i) => [
          tabulate([...dims.slice(0, at), ...i.dims, ...dims.slice(at + 1)], (index) => {
            const place = elementAt(i, index.slice(at, at + i.dims.length));
            return elementAt(x, [...index.slice(0, at), wrapAxis(place, size), ...index.slice(at + i.dims.length)]);
          }),
        ],
      };
    },
  },
  {
    operator: 'GatherElements',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4);
      const axis = random.axis(dims.length);
      const at = wrapAxis(axis, dims.length);
      const size = dims[at] as number;
      const shape = dims.map((dim, other) => (other === at ? random.integer(1, 5) : random.integer(1, dim)));
      return {
        settings: { axis },
        inputs: [real(random.values(dims)), whole(random.integers(shape, -size, size - 1))],
        build: (x, i) => [g.gatherElements(x as g.Tensor, i as g.Tensor, { axis })],
        reference: (x, i) => [
          tabulate(shape, (index) =>
            elementAt(
              x,
              index.map((own, other) => (other === at ? wrapAxis(elementAt(i, index), size) : own)),
            ),
          ),
        ],
      };
    },
  },
  {
    operator: 'GatherND',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4, 3);
      const batchDims = random.integer(0, Math.min(2, dims.length - 1));
      const depth = random.integer(1, dims.length - batchDims);
      const places = [...dims.slice(0, batchDims), ...random.dims(batchDims === 0 ? 0 : 0, 2, 3)];
      const indices = tabulate([...places, depth], (index) => {
        const size = dims[batchDims + (index[index.length - 1] as number)] as number;
        return random.integer(-size, size - 1);
      });
      const rest = dims.slice(batchDims + depth);
      return {
        settings: { batchDims },
        inputs: [real(random.values(dims)), whole(indices)],
        build: (x, i) => [g.gatherND(x as g.Tensor, i as g.Tensor, { batchDims })],
        reference: (x, i) => [
          tabulate([...places, ...rest], (index) => {
            const where = index.slice(0, places.length);
            const place = Array.from({ length: depth }, (_, at) =>
              wrapAxis(elementAt(i, [...where, at]), dims[batchDims + at] as number),
            );
            return elementAt(x, [...index.slice(0, batchDims), ...place, ...index.slice(places.length)]);
          }),
        ],
      };
    },
  },
  {
    operator: 'ScatterElements',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4, 3);
      const axis = random.axis(dims.length);
      const at = wrapAxis(axis, dims.length);
      const size = dims[at] as number;
      const reduction = random.pick(REDUCTIONS);
      // Added updates may meet at one place.
      const repeats = reduction === 'add' && random.chance();
      const shape = dims.map((dim, other) =>
        other === at ? random.integer(1, repeats ? 5 : size) : random.integer(1, dim),
      );
      const indices = repeats ? random.integers(shape, -size, size - 1) : distinctIndices(random, shape, at, size);
      const [data, updates] = random.distinct(dims, shape) as [Values, Values];
      return {
        settings: { axis, reduction, repeats },
        inputs: [real(data), whole(indices), real(updates)],
        build: (x, i, u) => [g.scatterElements(x as g.Tensor, i as g.Tensor, u as g.Tensor, { axis, reduction })],
        reference: (x, i, u) => {
          const result = valuesOf(dims, x.data);
          tabulate(shape, (index, position) => {
            const place = index.map((own, other) => (other === at ? wrapAxis(i.data[position] as number, size) : own));
            const flat = place.reduce((sum, own, other) => sum * (dims[other] as number) + own, 0);
            result.data[flat] = combined(reduction, result.data[flat] as number, u.data[position] as number);
            return 0;
          });
          return [result];
        },
      };
    },
  },
  {
    operator: 'ScatterND',
    dataType: 'float64',
    draw(random) {
      const dims = random.dims(1, 4, 3);
      const depth = random.integer(1, dims.length);
      const head = dims.slice(0, depth);
      const rest = dims.slice(depth);
      const reduction = random.pick(REDUCTIONS);
      const repeats = reduction === 'add' && random.chance();
      const all = Array.from({ length: sizeOfDims(head) }, (_, at) => at);
      const count = random.integer(1, repeats ? 4 : all.length);
      const chosen = repeats
        ? Array.from({ length: count }, () => random.pick(all))
        : random.shuffled(all).slice(0, count);
      const indices = valuesOf(
        [count, depth],
        chosen.flatMap((flat) => {
          const place: number[] = [];
          let left = flat;
          for (let axis = depth - 1; axis >= 0; axis--) {
            place.unshift(left % (head[axis] as number));
            left = Math.floor(left / (head[axis] as number));
          }
          return place;
        }),
      );
      const inner = sizeOfDims(rest);
      const [data, updates] = random.distinct(dims, [count, ...rest]) as [Values, Values];
      return {
        settings: { reduction, repeats },
        inputs: [real(data), whole(indices), real(updates)],
        build: (x, i, u) => [g.scatterND(x as g.Tensor, i as g.Tensor, u as g.Tensor, { reduction })],
        reference: (x, _, u) => {
          const result = valuesOf(dims, x.data);
          chosen.forEach((flat, at) => {
            for (let element = 0; element < inner; element++) {
              const target = flat * inner + element;
              result.data[target] = combined(
                reduction,
                result.data[target] as number,
                u.data[at * inner + element] as number,
              );
            }
          });
          return [result];
        },
      };
    },
  },
  {
    operator: 'OneHot',
    draw(random) {
      const shape = random.dims(1, 3, 3);
      const depth = random.integer(1, 4);
      const axis = random.integer(-shape.length - 1, shape.length);
      const at = wrapAxis(axis, shape.length + 1);
      // Numbers outside the range are neither.
      const indices = random.integers(shape, -depth - 1, depth);
      return {
        settings: { axis, depth },
        inputs: [whole(indices), real(random.values([2]))],
        build: (i, values) => [g.oneHot(i as g.Tensor, depth, values as g.Tensor, axis)],
        reference: (i, values) => [
          tabulate([...shape.slice(0, at), depth, ...shape.slice(at)], (index) => {
            const own = elementAt(i, [...index.slice(0, at), ...index.slice(at + 1)]);
            const hot = own === index[at] || own + depth === index[at];
            return values.data[hot ? 1 : 0] as number;
          }),
        ],
      };
    },
  },
  {
    operator: 'Dropout',
    draw(random) {
      const dims = random.dims(0, 4, 3);
      const values = random.values(dims);
      const mode = random.pick(['inference', 'inference by default', 'keeps all'] as const);
      const ratio = mode === 'keeps all' ? 0 : random.between(0.1, 0.9);
      return {
        settings: { mode, ratio },
        inputs: [real(values), fixed(valuesOf([], [ratio]))],
        // What is dropped in training is random: another test fixes the mask. Here nothing is dropped.
        build: (x, r) => [
          mode === 'inference by default'
            ? (applied('Dropout', [x, r])[0] as g.Tensor)
            : g.dropoutWithMask(x as g.Tensor, { ratio: r as g.Tensor, trainingMode: mode === 'keeps all' }).output,
        ],
        reference: (x) => [x],
      };
    },
  },
];
