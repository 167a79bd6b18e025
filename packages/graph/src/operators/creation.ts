import { apply } from '../apply.js';
import {
  elementCount,
  dataTypeFromCode,
  DATA_TYPES,
  readElement,
  type DataType,
  type TensorData,
} from '../data-type.js';
import { dimProduct, isStatic, type Dim } from '../dimension.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { InferenceContext, OperatorSchema, TensorType } from '../schema.js';
import type { Tensor } from '../tensor.js';
import { FLOATS } from '../type-sets.js';
import { integerList, type IntegerList } from './operands.js';

/** Element type named by an attribute that holds a `TensorProto.DataType` number. */
function typeAttribute(node: Node, fail: InferenceContext['fail'], name: string, otherwise?: DataType): DataType {
  const code = node.attribute(name, 'int');
  if (code === undefined && otherwise !== undefined) return otherwise;
  return dataTypeFromCode(Number(code)) ?? fail(`${name} ${String(code)} is no element type that is supported`);
}

const integerContents = (type: DataType): boolean => type === 'int64' || type === 'int32';

const IDENTITY: OperatorSchema = {
  type: 'Identity',
  since: 21,
  inputs: [{ name: 'input' }],
  infer(context) {
    const { dataType, shape } = context.input(0);
    return [{ dataType, shape, elements: context.elements(0) }];
  },
};

const CAST: OperatorSchema = {
  type: 'Cast',
  since: 21,
  inputs: [{ name: 'input' }],
  attributes: { to: { kind: 'int', required: true }, saturate: { kind: 'int', default: 1 } },
  infer(context) {
    const x = context.input(0);
    const to = typeAttribute(context.node, context.fail.bind(context), 'to');
    return [{ dataType: to, shape: x.shape, elements: integerContents(to) ? context.elements(0) : undefined }];
  },
};
const CAST_LIKE: OperatorSchema = {
  type: 'CastLike',
  since: 21,
  inputs: [{ name: 'input' }, { name: 'target_type' }],
  attributes: { saturate: { kind: 'int', default: 1 } },
  infer: (context) => [{ dataType: context.input(1).dataType, shape: context.input(0).shape }],
};

const CONSTANT: OperatorSchema = {
  type: 'Constant',
  since: 21,
  inputs: [],
  attributes: {
    value: { kind: 'tensor' },
    value_float: { kind: 'float' },
    value_floats: { kind: 'floats' },
    value_int: { kind: 'int' },
    value_ints: { kind: 'ints' },
    value_string: { kind: 'string' },
    value_strings: { kind: 'strings' },
  },
  infer(context) {
    const value = constantValue(context.node);
    if (value === undefined) return context.fail('it holds no value');
    const small = integerContents(value.dataType) && value.dims.length <= 1 && elementCount(value.dims) <= 64;
    return [
      {
        dataType: value.dataType,
        shape: value.dims,
        elements: small
          ? Array.from({ length: elementCount(value.dims) }, (_, index) => readElement(value, index))
          : undefined,
      },
    ];
  },
};

/** The tensor that a `Constant` node holds, in whichever attribute. */
export function constantValue(node: Node): TensorData | undefined {
  const tensor = node.attribute('value', 'tensor');
  if (tensor !== undefined) return tensor;
  const float = node.attribute('value_float', 'float');
  if (float !== undefined) return { dataType: 'float32', dims: [], data: Float32Array.of(float) };
  const floats = node.attribute('value_floats', 'floats');
  if (floats !== undefined) return { dataType: 'float32', dims: [floats.length], data: Float32Array.from(floats) };
  const int = node.attribute('value_int', 'int');
  if (int !== undefined) return { dataType: 'int64', dims: [], data: BigInt64Array.of(BigInt(int)) };
  const ints = node.attribute('value_ints', 'ints');
  if (ints !== undefined) return { dataType: 'int64', dims: [ints.length], data: BigInt64Array.from(ints, BigInt) };
  const text = node.attribute('value_string', 'string');
  if (text !== undefined) return { dataType: 'string', dims: [], data: [text] };
  const texts = node.attribute('value_strings', 'strings');
  return texts === undefined ? undefined : { dataType: 'string', dims: [texts.length], data: texts };
}

/** Contents of a shape input; its values are new symbols where they are computed at run time. */
function shapeContents(context: InferenceContext, index: number): readonly Dim[] {
  const known = context.elements(index);
  if (known !== undefined) return known;
  const length = context.input(index).shape[0];
  if (length === undefined || !isStatic(length))
    return context.fail('the rank of the result is not known when the graph is built');
  return Array.from({ length }, () => context.unknownDim('size'));
}

const CONSTANT_OF_SHAPE: OperatorSchema = {
  type: 'ConstantOfShape',
  since: 21,
  inputs: [{ name: 'input', types: ['int64'] }],
  attributes: { value: { kind: 'tensor' } },
  infer(context) {
    const shape = shapeContents(context, 0);
    const value = context.node.attribute('value', 'tensor');
    const dataType = value?.dataType ?? 'float32';
    const size = dimProduct(shape);
    const known = integerContents(dataType) && shape.length === 1 && isStatic(size) && size <= 64;
    return [
      {
        dataType,
        shape,
        elements: known ? new Array<number>(size).fill(value === undefined ? 0 : readElement(value, 0)) : undefined,
      },
    ];
  },
};

const RANGE: OperatorSchema = {
  type: 'Range',
  since: 11,
  inputs: ['start', 'limit', 'delta'].map((name) => ({
    name,
    types: ['float32', 'float64', 'int16', 'int32', 'int64'] as const,
    typeVariable: 'T',
  })),
  infer(context) {
    const { dataType } = context.input(0);
    const bounds = [0, 1, 2].map((index) => {
      const constant = context.input(index).constant;
      return context.elements(index)?.[0] ?? (constant === undefined ? undefined : readElement(constant, 0));
    });
    const [start, limit, delta] = bounds;
    if (delta === 0) context.fail('its step is 0');
    if (bounds.every((bound) => typeof bound === 'number')) {
      const [from, to, by] = bounds as [number, number, number];
      const count = Math.max(0, Math.ceil((to - from) / by));
      const elements =
        integerContents(dataType) && count <= 64
          ? Array.from({ length: count }, (_, index) => from + index * by)
          : undefined;
      return [{ dataType, shape: [count], elements }];
    }
    if (start === 0 && delta === 1 && limit !== undefined) return [{ dataType, shape: [limit] }];
    return [{ dataType, shape: [context.unknownDim('range')] }];
  },
};

const SHAPE: OperatorSchema = {
  type: 'Shape',
  since: 21,
  inputs: [{ name: 'data' }],
  attributes: { start: { kind: 'int', default: 0 }, end: { kind: 'int' } },
  infer(context) {
    const { shape } = context.input(0);
    const end = context.node.attribute('end', 'int');
    const elements = shape.slice(context.node.int('start'), end === undefined ? undefined : Number(end));
    return [{ dataType: 'int64', shape: [elements.length], elements }];
  },
};
const SIZE: OperatorSchema = {
  type: 'Size',
  since: 21,
  inputs: [{ name: 'data' }],
  infer: (context) => [{ dataType: 'int64', shape: [], elements: [dimProduct(context.input(0).shape)] }],
};

const EYE_LIKE: OperatorSchema = {
  type: 'EyeLike',
  since: 9,
  inputs: [{ name: 'input' }],
  attributes: { dtype: { kind: 'int' }, k: { kind: 'int', default: 0 } },
  infer(context) {
    const x = context.input(0);
    if (x.rank !== 2) context.fail(`the input has rank ${x.rank}, not 2`);
    return [{ dataType: typeAttribute(context.node, context.fail.bind(context), 'dtype', x.dataType), shape: x.shape }];
  },
};

const SEED = { seed: { kind: 'float' } } as const;
const randomLike = (type: string, parameters: Readonly<Record<string, number>>): OperatorSchema => ({
  type,
  since: 1,
  random: true,
  inputs: [{ name: 'input' }],
  attributes: {
    dtype: { kind: 'int' },
    ...SEED,
    ...Object.fromEntries(
      Object.entries(parameters).map(([name, value]) => [name, { kind: 'float', default: value } as const]),
    ),
  },
  infer(context): TensorType[] {
    const x = context.input(0);
    return [{ dataType: typeAttribute(context.node, context.fail.bind(context), 'dtype', x.dataType), shape: x.shape }];
  },
});
const randomShaped = (type: string, parameters: Readonly<Record<string, number>>): OperatorSchema => ({
  ...randomLike(type, parameters),
  inputs: [],
  attributes: { ...randomLike(type, parameters).attributes, shape: { kind: 'ints', required: true } },
  infer: (context) => [
    {
      dataType: typeAttribute(context.node, context.fail.bind(context), 'dtype', 'float32'),
      shape: context.node.ints('shape'),
    },
  ],
});
const NORMAL = { mean: 0, scale: 1 };
const UNIFORM = { low: 0, high: 1 };
const BERNOULLI: OperatorSchema = {
  ...randomLike('Bernoulli', {}),
  since: 15,
  inputs: [{ name: 'input', types: FLOATS }],
};
const MULTINOMIAL: OperatorSchema = {
  type: 'Multinomial',
  since: 7,
  random: true,
  inputs: [{ name: 'input', types: FLOATS }],
  attributes: { dtype: { kind: 'int' }, sample_size: { kind: 'int', default: 1 }, ...SEED },
  infer(context) {
    const [batch] = context.input(0).shape;
    return [
      {
        dataType: typeAttribute(context.node, context.fail.bind(context), 'dtype', 'int32'),
        shape: [batch ?? context.fail('the input has no batch axis'), context.node.int('sample_size')],
      },
    ];
  },
};

export const creationSchemas: readonly OperatorSchema[] = [
  IDENTITY,
  CAST,
  CAST_LIKE,
  CONSTANT,
  CONSTANT_OF_SHAPE,
  RANGE,
  SHAPE,
  SIZE,
  EYE_LIKE,
  randomLike('RandomNormalLike', NORMAL),
  randomLike('RandomUniformLike', UNIFORM),
  randomShaped('RandomNormal', NORMAL),
  randomShaped('RandomUniform', UNIFORM),
  BERNOULLI,
  MULTINOMIAL,
];

/** A copy under a name of its own. */
export const identity = (x: Tensor): Tensor => apply(IDENTITY, [x]);
/** Convert the element type; floats to integers truncate. A tensor of that type already passes through unchanged. */
export const cast = (x: Tensor, to: DataType): Tensor =>
  x.dataType === to ? x : apply(CAST, [x], { to: DATA_TYPES[to].code });
/** A tensor of one value; the shape may be computed at run time. */
export function constantOfShape(graph: Graph, shape: IntegerList, value = 0, dataType: DataType = 'float32'): Tensor {
  const filler = graph.constant(value, dataType).constant as TensorData;
  return apply(CONSTANT_OF_SHAPE, [integerList(graph, shape)], { value: { ...filler, dims: [1] } });
}
/** start, start + delta, ... up to before limit. */
export const rangeOf = (start: Tensor, limit: Tensor, delta: Tensor): Tensor => apply(RANGE, [start, limit, delta]);
/** Sizes of axes `start` to before `end` (int64), as a node: `shapeOf` gives a constant where they are known. */
export const shapeNode = (x: Tensor, options: { readonly start?: number; readonly end?: number } = {}): Tensor =>
  apply(SHAPE, [x], { start: options.start, end: options.end });
/** Number of elements (int64 scalar), as a node: `sizeOf` gives a constant where it is known. */
export const sizeNode = (x: Tensor): Tensor => apply(SIZE, [x]);
/** Ones on a diagonal of a matrix shaped as `x`. */
export const eyeLike = (
  x: Tensor,
  options: { readonly diagonal?: number; readonly dataType?: DataType } = {},
): Tensor =>
  apply(EYE_LIKE, [x], {
    k: options.diagonal,
    dtype: options.dataType === undefined ? undefined : DATA_TYPES[options.dataType].code,
  });
