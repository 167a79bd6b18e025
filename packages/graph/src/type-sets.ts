import { DATA_TYPES, isFloat, isInteger, type DataType } from './data-type.js';

// Apart from `apply.ts`: schemas read these while modules load, and operators and tensors import each other.

const ALL = Object.keys(DATA_TYPES) as DataType[];

/** Element types for operator schemas. */
export const FLOATS: readonly DataType[] = ALL.filter(isFloat);
export const INTEGERS: readonly DataType[] = ALL.filter((type) => isInteger(type) && DATA_TYPES[type].bits >= 8);
export const SIGNED: readonly DataType[] = ALL.filter((type) => DATA_TYPES[type].signed && DATA_TYPES[type].bits >= 8);
export const NUMBERS: readonly DataType[] = [...FLOATS, ...INTEGERS];
export const INDICES: readonly DataType[] = ['int32', 'int64'];
/** Operators whose ONNX versions up to opset 21 leave bfloat16 out (convolution, pooling, recurrent cells). */
export const FLOATS_BUT_BFLOAT16: readonly DataType[] = FLOATS.filter((type) => type !== 'bfloat16');
/** Element types of 8-bit quantised operands. */
export const BYTES: readonly DataType[] = ['int8', 'uint8'];
