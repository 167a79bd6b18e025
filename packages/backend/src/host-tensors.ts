import { elementCount, emptyTensor, arrayOf, type DataType, type TensorData } from '@updraft/graph';
import type { Tensor } from 'onnxruntime-common';
import { FeedError } from './errors.js';
import type { OrtModule } from './runtime.js';

/** Element types that the JavaScript binding of ONNX Runtime carries. */
const CARRIED: ReadonlySet<DataType> = new Set<DataType>([
  'float32',
  'float64',
  'float16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'int4',
  'uint4',
  'bool',
  'string',
]);

// Node releases with a native Float16Array hand float16 over in it; the bits are the same.
const bits16 = (data: unknown): unknown =>
  ArrayBuffer.isView(data) && !(data instanceof Uint16Array) && data.byteLength > 0
    ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
    : data;

/** View a host tensor as a tensor of the runtime, without copying. */
export function toRuntime(ort: OrtModule, value: TensorData): Tensor {
  if (!CARRIED.has(value.dataType))
    throw new FeedError(`Tensors of type ${value.dataType} cannot cross between JavaScript and ONNX Runtime.`, {
      hint: 'Convert at the border of the graph with cast().',
    });
  return new ort.Tensor(value.dataType as 'float32', value.data as Float32Array, value.dims);
}

/** View a tensor of the runtime (in host memory) as a host tensor, without copying. */
export function toHost(value: Tensor): TensorData {
  const dataType = value.type as DataType;
  const data: unknown = dataType === 'float16' ? bits16(value.data) : value.data;
  return { dataType, dims: value.dims, data: data as Float32Array };
}

/** A zero-filled tensor in memory of its own. */
export const allocate = (ort: OrtModule, dataType: DataType, dims: readonly number[]): Tensor =>
  toRuntime(ort, emptyTensor(dataType, dims));

export function copyOf(value: TensorData): TensorData {
  return { dataType: value.dataType, dims: [...value.dims], data: (value.data as Float32Array).slice() };
}

/** Bytes that a numeric tensor holds. */
export const bytesOf = (value: TensorData): number =>
  value.dataType === 'string' ? 0 : (value.data as Float32Array).byteLength;

/** Whether the data of a host tensor has the class and length that its type and shape demand. */
export function checkStorage(name: string, value: TensorData): void {
  const count = elementCount(value.dims);
  if (value.dataType === 'string') {
    if (!Array.isArray(value.data) || value.data.length !== count)
      throw new FeedError(`"${name}" is a string tensor of ${count} elements without as many strings.`);
    return;
  }
  const expected = arrayOf(value.dataType);
  const length = value.dataType === 'int4' || value.dataType === 'uint4' ? Math.ceil(count / 2) : count;
  if (!(value.data instanceof expected) || value.data.length !== length)
    throw new FeedError(
      `"${name}" is ${value.dataType}[${value.dims.join(', ')}], which takes a ${expected.name} of ${length} elements; it holds ${
        (value.data as { constructor?: { name?: string } }).constructor?.name ?? 'nothing'
      } of ${(value.data as { length?: number }).length ?? 0}.`,
    );
}
