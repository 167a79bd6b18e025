import * as g from '@updraft/graph';
import { real, whole, type OperatorCases } from '../random-cases.js';
import type { Random } from '../random.js';
import { elementAt, elementwise, mapValues, matrixProduct, tabulate, transposed, type Values } from '../values.js';
import { logistic } from './elementwise.js';

/** Shapes of two factors: vectors, matrices, and batches that broadcast. */
function factorShapes(random: Random): [number[], number[]] {
  const [rows, inner, columns] = [random.integer(1, 4), random.integer(1, 4), random.integer(1, 4)];
  const kind = random.pick(['matrices', 'batches', 'left vector', 'right vector', 'vectors'] as const);
  const [left, right] = random.broadcastable(2);
  switch (kind) {
    case 'matrices':
      return [
        [rows, inner],
        [inner, columns],
      ];
    case 'left vector':
      return [[inner], [...right, inner, columns]];
    case 'right vector':
      return [[...left, rows, inner], [inner]];
    case 'vectors':
      return [[inner], [inner]];
    default:
      return [
        [...left, rows, inner],
        [...right, inner, columns],
      ];
  }
}

const swapped = (x: Values): Values =>
  transposed(x, [...x.dims.map((_, axis) => axis).slice(0, -2), x.dims.length - 1, x.dims.length - 2]);

interface GemmSetting {
  readonly alpha: number;
  readonly beta: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly shapes: readonly (readonly number[])[];
}

function gemmSetting(random: Random): GemmSetting {
  const [rows, inner, columns] = [random.integer(1, 4), random.integer(1, 4), random.integer(1, 4)];
  const [transposeA, transposeB] = [random.chance(), random.chance()];
  const c = random.pick([undefined, [], [1], [columns], [1, columns], [rows, 1], [1, 1], [rows, columns]]);
  return {
    alpha: random.pick([1, random.between(0.3, 2)]),
    beta: random.pick([1, random.between(0.3, 2)]),
    transposeA,
    transposeB,
    shapes: [
      transposeA ? [inner, rows] : [rows, inner],
      transposeB ? [columns, inner] : [inner, columns],
      ...(c === undefined ? [] : [c]),
    ],
  };
}

const gemmOf = ({ alpha, beta, transposeA, transposeB }: GemmSetting, a: Values, b: Values, c?: Values): Values => {
  const product = mapValues(
    matrixProduct(transposeA ? swapped(a) : a, transposeB ? swapped(b) : b),
    (value) => alpha * value,
  );
  return c === undefined ? product : elementwise((p, q) => (p as number) + beta * (q as number), product, c);
};

/** Activations that fused nodes end with, with parameters where they have some. */
export function fusedActivation(random: Random): {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly f: (x: number) => number;
} {
  const [alpha, beta] = [random.between(0.1, 0.3), random.between(0.4, 0.6)];
  return random.pick([
    { name: 'Sigmoid', parameters: [], f: logistic },
    { name: 'Tanh', parameters: [], f: Math.tanh },
    // Both sums stay on one side of the kink of the next two, or the case would not be differentiable there.
    { name: 'LeakyRelu', parameters: [alpha], f: (x: number) => (x < 0 ? alpha * x : x) },
    { name: 'HardSigmoid', parameters: [alpha, beta], f: (x: number) => Math.min(Math.max(alpha * x + beta, 0), 1) },
  ]);
}

/** A term in an Einsum equation per operand, and the labels of the result. */
function equation(random: Random): { terms: string[][]; output: string[]; sizes: Map<string, number> } {
  const labels = [...'abcd'].slice(0, random.integer(2, 4));
  const sizes = new Map(labels.map((label) => [label, random.integer(1, 3)]));
  const terms = Array.from({ length: random.integer(1, 3) }, () =>
    Array.from({ length: random.integer(1, 3) }, () => random.pick(labels)),
  );
  const used = [...new Set(terms.flat())];
  return { terms, output: random.shuffled(used.filter(() => random.chance())), sizes };
}

export const productCases: readonly OperatorCases[] = [
  {
    operator: 'MatMul',
    dataType: 'float64',
    draw(random) {
      const [a, b] = factorShapes(random);
      return {
        settings: {},
        inputs: [real(random.values(a)), real(random.values(b))],
        build: (x, y) => [g.matMul(x as g.Tensor, y as g.Tensor)],
        reference: (x, y) => [matrixProduct(x, y)],
      };
    },
  },
  {
    operator: 'Gemm',
    dataType: 'float64',
    draw(random) {
      const setting = gemmSetting(random);
      return {
        settings: { ...setting },
        inputs: setting.shapes.map((dims) => real(random.values(dims))),
        build: (a, b, c) => [g.gemm(a as g.Tensor, b as g.Tensor, c, setting)],
        reference: (a, b, c) => [gemmOf(setting, a, b, c)],
      };
    },
  },
  {
    operator: 'com.microsoft.FusedGemm',
    draw(random) {
      const setting = gemmSetting(random);
      const { name, parameters, f } = fusedActivation(random);
      const [activationAlpha, activationBeta] = parameters;
      const kinks = name === 'LeakyRelu' ? [0] : [];
      for (;;) {
        const inputs = setting.shapes.map((dims) => random.values(dims));
        const [a, b, c] = inputs as [Values, Values, Values | undefined];
        if (gemmOf(setting, a, b, c).data.some((value) => kinks.some((kink) => Math.abs(value - kink) < 0.01)))
          continue;
        return {
          settings: { ...setting, name, parameters },
          inputs: inputs.map(real),
          build: (p, q, r) => [
            g.fusedGemm(p as g.Tensor, q as g.Tensor, r, {
              ...setting,
              activation: name,
              activationAlpha,
              activationBeta,
            }),
          ],
          reference: (p, q, r) => [mapValues(gemmOf(setting, p, q, r), f)],
        };
      }
    },
  },
  {
    operator: 'com.microsoft.FusedMatMul',
    draw(random) {
      const [rows, inner, columns] = [random.integer(1, 4), random.integer(1, 4), random.integer(1, 4)];
      const batch = random.chance(0.4) ? [] : random.dims(1, 2, 3);
      const options = {
        alpha: random.pick([1, random.between(0.3, 2)]),
        transposeA: random.chance(),
        transposeB: random.chance(),
        transposeBatchA: batch.length > 0 && random.chance(0.4),
        transposeBatchB: batch.length > 0 && random.chance(0.4),
      };
      // The matrices as the product reads them, and as they are stored.
      const stored = (matrix: readonly [number, number], swap: boolean, roll: boolean): number[] => {
        const [p, q] = swap ? [matrix[1], matrix[0]] : matrix;
        const all = [...batch, p, q];
        return roll ? [all[all.length - 2] as number, ...all.slice(0, -2), q] : all;
      };
      const read = (x: Values, swap: boolean, roll: boolean): Values => {
        const last = x.dims.length - 1;
        const unrolled = roll ? transposed(x, [...x.dims.map((_, axis) => axis).slice(1, last), 0, last]) : x;
        return swap ? swapped(unrolled) : unrolled;
      };
      return {
        settings: options,
        inputs: [
          real(random.values(stored([rows, inner], options.transposeA, options.transposeBatchA))),
          real(random.values(stored([inner, columns], options.transposeB, options.transposeBatchB))),
        ],
        build: (a, b) => [g.fusedMatMul(a as g.Tensor, b as g.Tensor, options)],
        reference: (a, b) => [
          mapValues(
            matrixProduct(
              read(a, options.transposeA, options.transposeBatchA),
              read(b, options.transposeB, options.transposeBatchB),
            ),
            (value) => options.alpha * value,
          ),
        ],
      };
    },
  },
  {
    operator: 'Einsum',
    dataType: 'float64',
    draw(random) {
      const { terms, output, sizes } = equation(random);
      const text = `${terms.map((term) => term.join('')).join()}->${output.join('')}`;
      const size = (label: string): number => sizes.get(label) as number;
      const summed = [...new Set(terms.flat())].filter((label) => !output.includes(label));
      return {
        settings: { text },
        inputs: terms.map((term) => real(random.values(term.map(size)))),
        build: (...operands) => [g.einsum(text, ...operands)],
        reference: (...operands) => [
          tabulate(output.map(size), (index) => {
            let total = 0;
            const all = new Map(output.map((label, axis) => [label, index[axis] as number]));
            tabulate(summed.map(size), (inner) => {
              summed.forEach((label, axis) => all.set(label, inner[axis] as number));
              total += terms.reduce(
                (product, term, at) =>
                  product *
                  elementAt(
                    operands[at] as Values,
                    term.map((label) => all.get(label) as number),
                  ),
                1,
              );
              return 0;
            });
            return total;
          }),
        ],
      };
    },
  },
  {
    operator: 'com.microsoft.MatMulNBits',
    draw(random) {
      const bits = random.pick([4, 8] as const);
      const blockSize = 16;
      const rows = random.integer(4, 40);
      const columns = random.integer(1, 3);
      const blocks = Math.ceil(rows / blockSize);
      // The kernel has no floating-point zero points for bytes.
      const points = random.pick(bits === 8 ? (['none', 'bytes'] as const) : (['none', 'bytes', 'numbers'] as const));
      const hasBias = random.chance();
      const bytesPerColumn = Math.ceil((blocks * bits) / 8);
      const unpack = (bytes: Values, width: number): number[] =>
        Array.from(bytes.data).flatMap((byte) =>
          width === 8
            ? [byte]
            : Array.from({ length: 8 / width }, (_, at) => (byte >> (at * width)) & (2 ** width - 1)),
        );
      const inputs = [
        real(random.values([random.integer(1, 3), rows])),
        whole(random.integers([columns, blocks, (blockSize * bits) / 8], 0, 255), 'uint8'),
        real(random.values([columns, blocks], { low: 0.01, high: 0.05 })),
        ...(points === 'none'
          ? []
          : points === 'bytes'
            ? [whole(random.integers([columns, bytesPerColumn], 0, 255), 'uint8')]
            : [real(random.values([columns, blocks], { low: 0, high: 2 ** bits }))]),
        ...(hasBias ? [real(random.values([columns]))] : []),
      ];
      const biasAt = points === 'none' ? 3 : 4;
      return {
        settings: { bits, rows, columns, points, hasBias },
        inputs,
        build: (x, w, s, ...rest) => [
          g.matMulNBits(x as g.Tensor, w as g.Tensor, s as g.Tensor, {
            rows,
            columns,
            blockSize,
            bits,
            zeroPoints: points === 'none' ? undefined : rest[0],
            bias: hasBias ? rest[biasAt - 3] : undefined,
          }),
        ],
        reference: (...operands) => {
          const [x, w, s, p] = operands as [Values, Values, Values, Values];
          const weights = unpack(w, bits);
          const centre = (column: number, block: number): number => {
            if (points === 'none') return 2 ** (bits - 1);
            if (points === 'numbers') return elementAt(p, [column, block]);
            return unpack(p, bits)[column * bytesPerColumn * (8 / bits) + block] as number;
          };
          return [
            tabulate([x.dims[0] as number, columns], ([row, column]) => {
              let total = hasBias ? ((operands[biasAt] as Values).data[column as number] as number) : 0;
              for (let at = 0; at < rows; at++) {
                const block = Math.floor(at / blockSize);
                const stored = weights[(column as number) * blocks * blockSize + at] as number;
                const weight = (stored - centre(column as number, block)) * elementAt(s, [column as number, block]);
                total += elementAt(x, [row as number, at]) * weight;
              }
              return total;
            }),
          ];
        },
      };
    },
  },
  {
    operator: 'DequantizeLinear',
    draw(random) {
      const dims = random.dims(1, 3);
      const axis = random.below(dims.length);
      const blockSize = random.integer(1, dims[axis] as number);
      const blocked = dims.map((dim, at) => (at === axis ? Math.ceil(dim / blockSize) : dim));
      // One block is no block: the kernel takes it for a scale of the whole tensor.
      const kind = random.pick(
        blocked.every((dim) => dim === 1) ? (['whole', 'axis'] as const) : (['whole', 'axis', 'block'] as const),
      );
      const shape = kind === 'whole' ? [] : kind === 'axis' ? [dims[axis] as number] : blocked;
      const hasZero = random.chance();
      const place = (index: readonly number[]): number[] =>
        kind === 'whole'
          ? []
          : kind === 'axis'
            ? [index[axis] as number]
            : index.map((at, other) => (other === axis ? Math.floor(at / blockSize) : at));
      return {
        settings: { axis, kind, blockSize },
        inputs: [
          whole(random.integers(dims, -128, 127), 'int8'),
          real(random.values(shape, { low: 0.005, high: 0.05 })),
          ...(hasZero ? [whole(random.integers(shape, -20, 20), 'int8')] : []),
        ],
        build: (x, s, zeroPoint) => [
          g.dequantizeLinear(x as g.Tensor, s as g.Tensor, {
            axis,
            ...(kind === 'block' ? { blockSize } : {}),
            ...(zeroPoint === undefined ? {} : { zeroPoint }),
          }),
        ],
        reference: (x, s, zero) => [
          tabulate(
            dims,
            (index) =>
              (elementAt(x, index) - (zero === undefined ? 0 : elementAt(zero, place(index)))) *
              elementAt(s, place(index)),
          ),
        ],
      };
    },
  },
];
