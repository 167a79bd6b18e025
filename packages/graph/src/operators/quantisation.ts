import { apply, applyNode } from '../apply.js';
import { dataTypeFromCode, DATA_TYPES, type DataType } from '../data-type.js';
import { dimCeilDivide, type Dim } from '../dimension.js';
import type { InferenceContext, OperatorSchema } from '../schema.js';
import { shapeEquals, shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { requireFilled } from './checks.js';

const QUANTIZED: readonly DataType[] = ['int8', 'uint8', 'int16', 'uint16', 'int4', 'uint4'];
const SCALES: readonly DataType[] = ['float32', 'float16', 'bfloat16'];

/** A scale has one value, one per element of `axis`, or one per block of `block_size` elements along `axis`. */
function checkGranularity(context: InferenceContext): void {
  const [x, scale] = [context.input(0), context.input(1)];
  const zeroPoint = context.inputs[2];
  if (zeroPoint !== undefined) {
    if (zeroPoint.rank !== scale.rank)
      context.fail(`scale ${shapeText(scale.shape)} and zero point ${shapeText(zeroPoint.shape)} differ in shape`);
    scale.shape.forEach((dim, axis) =>
      context.unify(dim, zeroPoint.shape[axis] as Dim, `scale and zero point, axis ${axis}`),
    );
  }
  const block = context.node.int('block_size');
  if (block < 0) context.fail(`block_size is ${block}`);
  if (block === 0 && (scale.rank === 0 || shapeEquals(scale.shape, [1]))) return;
  const given = context.node.int('axis');
  if (given < -x.rank || given >= x.rank) context.fail(`axis ${given} is out of range for ${shapeText(x.shape)}`);
  const axis = given < 0 ? given + x.rank : given;
  if (block === 0) {
    if (scale.rank !== 1)
      context.fail(`the scale ${shapeText(scale.shape)} is neither one value nor one per element of an axis`);
    context.unify(x.shape[axis] as Dim, scale.shape[0] as Dim, `axis ${axis} of ${shapeText(x.shape)} and scale`);
    return;
  }
  requireFilled(context, x.shape, 'the input');
  if (scale.rank !== x.rank)
    context.fail(`block scales ${shapeText(scale.shape)} differ in rank from ${shapeText(x.shape)}`);
  x.shape.forEach((dim, at) =>
    context.unify(
      at === axis ? dimCeilDivide(dim, block) : dim,
      scale.shape[at] as Dim,
      `blocks and scales, axis ${at}`,
    ),
  );
}

const GRANULARITY = { axis: { kind: 'int', default: 1 }, block_size: { kind: 'int', default: 0 } } as const;

const QUANTIZE_LINEAR: OperatorSchema = {
  type: 'QuantizeLinear',
  since: 21,
  inputs: [
    { name: 'x', types: [...SCALES, 'int32'], typeVariable: 'T1' },
    { name: 'y_scale', types: [...SCALES, 'int32'], typeVariable: 'T1' },
    { name: 'y_zero_point', types: QUANTIZED, optional: true },
  ],
  attributes: { ...GRANULARITY, output_dtype: { kind: 'int', default: 0 }, saturate: { kind: 'int', default: 1 } },
  infer(context) {
    checkGranularity(context);
    const zeroPoint = context.inputs[2];
    const code = context.node.int('output_dtype');
    const declared = code === 0 ? undefined : dataTypeFromCode(code);
    if (code !== 0 && (declared === undefined || !QUANTIZED.includes(declared)))
      context.fail(`output_dtype ${code} is no type of quantised values`, `Those are ${QUANTIZED.join(', ')}.`);
    if (declared !== undefined && zeroPoint !== undefined && declared !== zeroPoint.dataType)
      context.fail(`output_dtype is ${declared} and the zero point ${zeroPoint.dataType}`);
    return [{ dataType: zeroPoint?.dataType ?? declared ?? 'uint8', shape: context.input(0).shape }];
  },
};

const DEQUANTIZE_LINEAR: OperatorSchema = {
  type: 'DequantizeLinear',
  since: 21,
  inputs: [
    { name: 'x', types: [...QUANTIZED, 'int32'], typeVariable: 'T1' },
    { name: 'x_scale', types: SCALES },
    { name: 'x_zero_point', types: [...QUANTIZED, 'int32'], typeVariable: 'T1', optional: true },
  ],
  attributes: GRANULARITY,
  infer(context) {
    checkGranularity(context);
    return [{ dataType: context.input(1).dataType, shape: context.input(0).shape }];
  },
};

const DYNAMIC_QUANTIZE_LINEAR: OperatorSchema = {
  type: 'DynamicQuantizeLinear',
  since: 11,
  inputs: [{ name: 'x', types: ['float32'] }],
  outputs: [3, 3],
  infer(context) {
    return [
      { dataType: 'uint8', shape: context.input(0).shape },
      { dataType: 'float32', shape: [] },
      { dataType: 'uint8', shape: [] },
    ];
  },
};

export const quantisationSchemas: readonly OperatorSchema[] = [
  QUANTIZE_LINEAR,
  DEQUANTIZE_LINEAR,
  DYNAMIC_QUANTIZE_LINEAR,
];

export interface QuantizationOptions {
  /** Default: 0 of type uint8. Its type is the type of the quantised values. */
  readonly zeroPoint?: Tensor;
  /** Axis along which scales differ; default: 1. */
  readonly axis?: number;
  /** Elements along `axis` that share a scale; default: all (0). */
  readonly blockSize?: number;
}

const granularity = (options: QuantizationOptions) => ({ axis: options.axis, block_size: options.blockSize });

/** `saturate(round(x / scale) + zeroPoint)`, half to even. `scale` is a scalar, per element of `axis`, or per block. */
export const quantizeLinear = (
  x: Tensor,
  scale: Tensor,
  options: QuantizationOptions & {
    /** Type of the result where no zero point says it; default: uint8. */
    readonly dataType?: 'int8' | 'uint8' | 'int16' | 'uint16' | 'int4' | 'uint4';
  } = {},
): Tensor =>
  apply(QUANTIZE_LINEAR, [x, scale, options.zeroPoint], {
    ...granularity(options),
    output_dtype: options.dataType === undefined ? undefined : DATA_TYPES[options.dataType].code,
  });

/** `(x - zeroPoint) * scale`, in the element type of `scale`. */
export const dequantizeLinear = (x: Tensor, scale: Tensor, options: QuantizationOptions = {}): Tensor =>
  apply(DEQUANTIZE_LINEAR, [x, scale, options.zeroPoint], granularity(options));

/** Quantise to uint8 with scale and zero point from the range of `x`, stretched to contain 0. */
export function dynamicQuantizeLinear(x: Tensor): { values: Tensor; scale: Tensor; zeroPoint: Tensor } {
  const [values, scale, zeroPoint] = applyNode(DYNAMIC_QUANTIZE_LINEAR, [x], {}, { outputs: 3 }).outputs as readonly [
    Tensor,
    Tensor,
    Tensor,
  ];
  return { values, scale, zeroPoint };
}
