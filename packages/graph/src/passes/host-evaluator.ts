import { convertTensor } from '../convert.js';
import {
  dataTypeFromCode,
  DATA_TYPES,
  elementCount,
  emptyTensor,
  isFloat,
  isInteger,
  type DataType,
  type TensorData,
} from '../data-type.js';
import type { Node } from '../node.js';
import { constantValue } from '../operators/creation.js';
import { isStaticShape } from '../shape.js';
import type { Evaluator } from './evaluator.js';

type Numeric = Exclude<DataType, 'string'>;
type Values = { [index: number]: number | bigint; readonly length: number };
type Evaluation = (node: Node, inputs: readonly TensorData[]) => TensorData | undefined;

/** Element types on which JavaScript computes with the roundings of IEEE 754 and two's complement. */
const EXACT: ReadonlySet<DataType> = new Set([
  'float32',
  'float64',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
]);

const valuesOf = (data: TensorData): Values => data.data as unknown as Values;

/** Static shape of the output: inference has worked it out. */
const shapeOfOutput = (node: Node): readonly number[] | undefined => {
  const { shape } = node.output;
  return isStaticShape(shape) ? shape : undefined;
};

function broadcastStrides(dims: readonly number[], rank: number): number[] {
  const strides = new Array<number>(rank).fill(0);
  let stride = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const size = dims[axis] as number;
    strides[rank - dims.length + axis] = size === 1 ? 0 : stride;
    stride *= size;
  }
  return strides;
}

/** Visit a shape in row-major order with one offset per strided operand. */
function walk(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  starts: readonly number[],
  visit: (index: number, offsets: readonly number[]) => void,
): void {
  const count = elementCount(shape);
  const position = new Array<number>(shape.length).fill(0);
  const offsets = [...starts];
  for (let index = 0; index < count; index++) {
    visit(index, offsets);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis] = (position[axis] as number) + 1;
      strides.forEach(
        (stride, operand) => (offsets[operand] = (offsets[operand] as number) + (stride[axis] as number)),
      );
      if ((position[axis] as number) < (shape[axis] as number)) break;
      strides.forEach(
        (stride, operand) =>
          (offsets[operand] = (offsets[operand] as number) - (stride[axis] as number) * (shape[axis] as number)),
      );
      position[axis] = 0;
    }
  }
}

function elementwise(
  node: Node,
  inputs: readonly TensorData[],
  compute: (operands: readonly (number | bigint)[], dataType: Numeric) => number | bigint | boolean | undefined,
): TensorData | undefined {
  const shape = shapeOfOutput(node);
  if (shape === undefined || inputs.some(({ dataType }) => !EXACT.has(dataType))) return undefined;
  const { dataType } = node.output;
  const result = emptyTensor<DataType>(dataType, shape);
  const out = valuesOf(result);
  const type = (inputs.find((input) => input.dataType !== 'bool') ?? inputs[0])?.dataType as Numeric;
  let failed = false;
  walk(
    shape,
    inputs.map(({ dims }) => broadcastStrides(dims, shape.length)),
    inputs.map(() => 0),
    (index, offsets) => {
      const value = compute(
        inputs.map((input, operand) => valuesOf(input)[offsets[operand] as number] as number | bigint),
        type,
      );
      if (value === undefined) failed = true;
      else out[index] = typeof value === 'boolean' ? Number(value) : value; // typed arrays round floats and wrap integers
    },
  );
  return failed ? undefined : result;
}

/** One operation on numbers (floats and small integers) and on bigints. */
const arithmetic =
  (
    onNumbers: (a: number, b: number, float: boolean) => number | undefined,
    onBigints: (a: bigint, b: bigint) => bigint | undefined,
  ): Evaluation =>
  (node, inputs) =>
    elementwise(node, inputs, ([a, b], dataType) =>
      typeof a === 'bigint' ? onBigints(a, b as bigint) : onNumbers(a as number, b as number, isFloat(dataType)),
    );

const comparison =
  (test: (a: number | bigint, b: number | bigint) => boolean): Evaluation =>
  (node, inputs) =>
    elementwise(node, inputs, ([a, b]) => test(a as number, b as number));

const unary =
  (
    compute: (a: number, float: boolean) => number | undefined,
    onBigint: (a: bigint) => bigint | undefined = () => undefined,
  ): Evaluation =>
  (node, inputs) =>
    elementwise(node, inputs, ([a], dataType) =>
      typeof a === 'bigint' ? onBigint(a) : compute(a as number, isFloat(dataType)),
    );

/** The same elements in the same order under another shape. */
const relabel: Evaluation = (node, [x]) => {
  const dims = shapeOfOutput(node);
  return dims === undefined || x === undefined ? undefined : ({ ...x, dims } as TensorData);
};

/** A copy along strides; not for packed 4-bit elements. */
function strided(
  x: TensorData,
  shape: readonly number[],
  strides: readonly number[],
  start = 0,
): TensorData | undefined {
  if (DATA_TYPES[x.dataType].bits === 4) return undefined;
  const result = emptyTensor<DataType>(x.dataType, shape);
  const [from, to] = [valuesOf(x), valuesOf(result)];
  walk(shape, [strides], [start], (index, [offset]) => {
    to[index] = from[offset as number] as number;
  });
  return result;
}

const rowMajor = (dims: readonly number[]): number[] => {
  const strides = new Array<number>(dims.length);
  let stride = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= dims[axis] as number;
  }
  return strides;
};

const transpose: Evaluation = (node, [x]) => {
  const shape = shapeOfOutput(node);
  if (x === undefined || shape === undefined) return undefined;
  const permutation = node.optionalInts('perm') ?? x.dims.map((_, axis) => x.dims.length - 1 - axis);
  const strides = rowMajor(x.dims);
  return strided(
    x,
    shape,
    permutation.map((axis) => strides[axis] as number),
  );
};

const expand: Evaluation = (node, [x]) => {
  const shape = shapeOfOutput(node);
  return x === undefined || shape === undefined ? undefined : strided(x, shape, broadcastStrides(x.dims, shape.length));
};

const concat: Evaluation = (node, parts) => {
  const shape = shapeOfOutput(node);
  const [first] = parts;
  if (shape === undefined || first === undefined || DATA_TYPES[first.dataType].bits === 4) return undefined;
  const axis = node.int('axis') < 0 ? node.int('axis') + shape.length : node.int('axis');
  const result = emptyTensor<DataType>(first.dataType, shape);
  const to = valuesOf(result);
  const outer = elementCount(shape.slice(0, axis));
  const inner = elementCount(shape.slice(axis + 1));
  let offset = 0;
  for (const part of parts) {
    const from = valuesOf(part);
    const block = (part.dims[axis] as number) * inner;
    for (let row = 0; row < outer; row++)
      for (let at = 0; at < block; at++)
        to[row * (shape[axis] as number) * inner + offset + at] = from[row * block + at] as number;
    offset += block;
  }
  return result;
};

const gather: Evaluation = (node, [x, indices]) => {
  const shape = shapeOfOutput(node);
  if (x === undefined || indices === undefined || shape === undefined || DATA_TYPES[x.dataType].bits === 4)
    return undefined;
  const axis = node.int('axis') < 0 ? node.int('axis') + x.dims.length : node.int('axis');
  const size = x.dims[axis] as number;
  const outer = elementCount(x.dims.slice(0, axis));
  const inner = elementCount(x.dims.slice(axis + 1));
  const picks = Array.from({ length: elementCount(indices.dims) }, (_, index) => Number(valuesOf(indices)[index]));
  if (picks.some((pick) => pick < -size || pick >= size)) return undefined;
  const result = emptyTensor<DataType>(x.dataType, shape);
  const [from, to] = [valuesOf(x), valuesOf(result)];
  let at = 0;
  for (let row = 0; row < outer; row++)
    for (const pick of picks)
      for (let cell = 0; cell < inner; cell++)
        to[at++] = from[(row * size + (pick < 0 ? pick + size : pick)) * inner + cell] as number;
  return result;
};

const slice: Evaluation = (node, inputs) => {
  const [x, starts, ends, axes, steps] = inputs;
  const shape = shapeOfOutput(node);
  if (
    x === undefined ||
    starts === undefined ||
    ends === undefined ||
    shape === undefined ||
    node.inputs.slice(3).includes(undefined)
  )
    return undefined;
  const numbers = (data: TensorData): number[] =>
    Array.from({ length: elementCount(data.dims) }, (_, index) => Number(valuesOf(data)[index]));
  const along = axes === undefined ? numbers(starts).map((_, axis) => axis) : numbers(axes);
  const strides = rowMajor(x.dims);
  let begin = 0;
  const result = [...strides];
  along.forEach((given, index) => {
    const axis = given < 0 ? given + x.dims.length : given;
    const size = x.dims[axis] as number;
    const step = steps === undefined ? 1 : (numbers(steps)[index] as number);
    let start = numbers(starts)[index] as number;
    if (start < 0) start += size;
    start = Math.min(Math.max(start, 0), step > 0 ? size : size - 1);
    begin += start * (strides[axis] as number);
    result[axis] = (strides[axis] as number) * step;
  });
  return elementCount(shape) === 0 ? emptyTensor<DataType>(x.dataType, shape) : strided(x, shape, result, begin);
};

const INTEGER_RANGE: Partial<Record<DataType, readonly [number, number]>> = {
  int8: [-(2 ** 7), 2 ** 7 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 53), 2 ** 53],
  uint8: [0, 2 ** 8 - 1],
  uint16: [0, 2 ** 16 - 1],
  uint32: [0, 2 ** 32 - 1],
  uint64: [0, 2 ** 53],
};

/** Conversions whose result ONNX defines: nothing out of range. */
const cast: Evaluation = (node, [x]) => {
  const to = dataTypeFromCode(node.int('to'));
  if (x === undefined || to === undefined || !EXACT.has(x.dataType) || !EXACT.has(to)) return undefined;
  const range = INTEGER_RANGE[to];
  if (range !== undefined) {
    const values = valuesOf(x);
    for (let index = 0; index < values.length; index++) {
      const value = Number(values[index]);
      if (!(value >= range[0] && value <= range[1])) return undefined;
    }
  }
  return convertTensor(x, to);
};

const constantOfShape: Evaluation = (node) => {
  const shape = shapeOfOutput(node);
  if (shape === undefined) return undefined;
  const value = node.attribute('value', 'tensor') ?? { dataType: 'float32', dims: [1], data: new Float32Array(1) };
  return strided(
    value,
    shape,
    shape.map(() => 0),
  );
};

const range: Evaluation = (node, [start, , delta]) => {
  const shape = shapeOfOutput(node);
  if (start === undefined || delta === undefined || shape === undefined || !isInteger(start.dataType)) return undefined;
  const result = emptyTensor<DataType>(start.dataType, shape);
  const out = valuesOf(result);
  let value = valuesOf(start)[0] as number;
  const step = valuesOf(delta)[0] as number;
  for (let index = 0; index < (shape[0] as number); index++, value = (value as unknown as number) + step)
    out[index] = value;
  return result;
};

/** Integer reductions are exact in any order. */
const reduction =
  (start: bigint, combine: (a: bigint, b: bigint) => bigint): Evaluation =>
  (node, [x, axesInput]) => {
    const shape = shapeOfOutput(node);
    if (x === undefined || shape === undefined || (x.dataType !== 'int64' && x.dataType !== 'int32')) return undefined;
    const rank = x.dims.length;
    const given =
      axesInput === undefined
        ? []
        : Array.from({ length: elementCount(axesInput.dims) }, (_, index) => Number(valuesOf(axesInput)[index]));
    if (given.length === 0 && node.int('noop_with_empty_axes') !== 0) return undefined;
    const reduced = new Set(
      given.length === 0 ? x.dims.map((_, axis) => axis) : given.map((axis) => (axis < 0 ? axis + rank : axis)),
    );
    const kept = x.dims.map((size, axis) => (reduced.has(axis) ? 1 : size));
    const strides = broadcastStrides(kept, rank).map((stride, axis) => (reduced.has(axis) ? 0 : stride));
    const totals = new Array<bigint>(elementCount(shape)).fill(start);
    const values = valuesOf(x);
    const limit = x.dataType === 'int32' ? 2n ** 31n : 2n ** 53n;
    let overflow = false;
    walk(x.dims, [strides], [0], (index, [offset]) => {
      const total = combine(totals[offset as number] as bigint, BigInt(values[index] as number));
      totals[offset as number] = total;
      overflow ||= total >= limit || total < -limit;
    });
    // Runtimes differ there: some saturate, some wrap.
    if (overflow) return undefined;
    const result = emptyTensor<DataType>(x.dataType, shape);
    const out = valuesOf(result);
    totals.forEach((total, index) => (out[index] = x.dataType === 'int64' ? total : Number(total)));
    return result;
  };

const shape: Evaluation = (node, [x]) => {
  const dims = shapeOfOutput(node);
  if (x === undefined || dims === undefined) return undefined;
  const start = node.int('start') < 0 ? Math.max(0, node.int('start') + x.dims.length) : node.int('start');
  return {
    dataType: 'int64',
    dims,
    data: BigInt64Array.from(x.dims.slice(start, start + (dims[0] as number)), BigInt),
  };
};

const onlyFinite = (a: number | bigint): boolean => typeof a === 'bigint' || !Number.isNaN(a);

/**
 * Operators whose results JavaScript computes to the last bit: data movement, integer arithmetic, and the float
 * operations that IEEE 754 rounds correctly (a float64 result rounded to float32 equals the float32 operation for
 * + - * / and the square root). Exponentials and the like differ between runtimes and stay in the graph.
 */
const EVALUATIONS: Readonly<Record<string, Evaluation>> = {
  Constant: (node) => constantValue(node),
  Identity: (_, [x]) => x,
  Reshape: relabel,
  Squeeze: relabel,
  Unsqueeze: relabel,
  Flatten: relabel,
  Transpose: transpose,
  Expand: expand,
  Concat: concat,
  Gather: gather,
  Slice: slice,
  Cast: cast,
  ConstantOfShape: constantOfShape,
  Range: range,
  Shape: shape,
  Size: (_, [x]) =>
    x === undefined ? undefined : { dataType: 'int64', dims: [], data: BigInt64Array.of(BigInt(elementCount(x.dims))) },
  ReduceSum: reduction(0n, (a, b) => a + b),
  ReduceProd: reduction(1n, (a, b) => a * b),
  Add: arithmetic(
    (a, b) => a + b,
    (a, b) => a + b,
  ),
  Sub: arithmetic(
    (a, b) => a - b,
    (a, b) => a - b,
  ),
  Mul: arithmetic(
    // Products of 32-bit integers need more bits than a float64 has.
    (a, b, float) => (float ? a * b : Math.imul(a, b)),
    (a, b) => a * b,
  ),
  Div: arithmetic(
    (a, b, float) => (float ? a / b : b === 0 ? undefined : Math.trunc(a / b)),
    (a, b) => (b === 0n ? undefined : a / b),
  ),
  Neg: unary(
    (a) => -a,
    (a) => -a,
  ),
  Abs: unary(
    (a) => Math.abs(a),
    (a) => (a < 0n ? -a : a),
  ),
  Sqrt: unary((a) => Math.sqrt(a)),
  Floor: unary((a) => Math.floor(a)),
  Ceil: unary((a) => Math.ceil(a)),
  Not: unary((a) => (a === 0 ? 1 : 0)),
  Equal: comparison((a, b) => a === b),
  Greater: comparison((a, b) => a > b),
  GreaterOrEqual: comparison((a, b) => a >= b),
  Less: comparison((a, b) => a < b),
  LessOrEqual: comparison((a, b) => a <= b),
  And: comparison((a, b) => a !== 0 && b !== 0),
  Or: comparison((a, b) => a !== 0 || b !== 0),
  Xor: comparison((a, b) => (a !== 0) !== (b !== 0)),
  Where: (node, inputs) =>
    elementwise(node, inputs, ([condition, a, b]) => {
      const chosen = condition === 0 ? b : a;
      // ONNX Runtime merges two halves and loses the sign of -0.
      return Object.is(chosen, -0) ? undefined : chosen;
    }),
};

/** Runtimes differ on NaN payloads and on NaN in integer conversions; such results are left to them. */
const hasNaN = (data: TensorData): boolean => {
  if (!isFloat(data.dataType) || data.dataType === 'float16' || data.dataType === 'bfloat16') return false;
  const values = valuesOf(data);
  for (let index = 0; index < values.length; index++) if (!onlyFinite(values[index] as number)) return true;
  return false;
};

const MOVES: ReadonlySet<string> = new Set([
  'Constant',
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Expand',
  'Concat',
  'Gather',
  'Slice',
  'Where',
  'ConstantOfShape',
]);

/** Evaluates what {@link EVALUATIONS} lists; small and exact, for folding. */
export const hostEvaluator: Evaluator = {
  evaluate(node, inputs) {
    if (node.domain !== '' || !Object.hasOwn(EVALUATIONS, node.type)) return undefined;
    if (node.outputs.length !== 1) return undefined;
    const present = inputs.filter((input): input is TensorData => input !== undefined);
    // Omitted inputs in the middle change positions; only reductions and the like have them, at the end.
    if (present.length !== inputs.length) return undefined;
    const result = EVALUATIONS[node.type]?.(node, present);
    if (result === undefined || (!MOVES.has(node.type) && hasNaN(result))) return undefined;
    return [result];
  },
};
