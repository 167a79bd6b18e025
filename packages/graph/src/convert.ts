import {
  elementCount,
  emptyTensor,
  isFloat,
  isInteger,
  readElement,
  writeElement,
  type DataType,
  type TensorData,
} from './data-type.js';
import { UpdraftError } from './errors.js';

/**
 * A host tensor with another element type: floats round to nearest even, floats become integers by truncation, integers
 * wrap as in two's complement, everything but 0 is true. Integer conversions are exact for all 64 bits. Strings do not convert.
 */
export function convertTensor<T extends DataType>(value: TensorData, dataType: T): TensorData<T> {
  if (value.dataType === dataType) return value as TensorData<T>;
  if (value.dataType === 'string' || dataType === 'string')
    throw new UpdraftError('data-type', `A ${value.dataType} tensor cannot be converted to ${dataType}.`);
  const result = emptyTensor<DataType>(dataType, value.dims);
  const count = elementCount(value.dims);
  const wide = value.dataType === 'int64' || value.dataType === 'uint64';
  const toWide = dataType === 'int64' || dataType === 'uint64';
  for (let index = 0; index < count; index++) {
    if (wide && (isInteger(dataType) || toWide)) {
      const element = (value.data as BigInt64Array)[index] as bigint;
      if (toWide) (result.data as BigInt64Array)[index] = element;
      else writeElement(result, index, Number(BigInt.asIntN(32, element)));
      continue;
    }
    const element = readElement(value, index);
    if (toWide) {
      (result.data as BigInt64Array)[index] = Number.isFinite(element) ? BigInt(Math.trunc(element)) : 0n;
    } else writeElement(result, index, isInteger(dataType) && isFloat(value.dataType) ? Math.trunc(element) : element);
  }
  return result as TensorData<T>;
}
