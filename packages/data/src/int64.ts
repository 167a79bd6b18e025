import type { TensorData } from '@updraft/graph';

/** Halves of the buffers seen, low word first (every platform that runs the engine is little-endian). */
const halves = new WeakMap<object, Int32Array>();

/** View of an int64 buffer as pairs of 32-bit words: numbers get there without a BigInt for each. */
export function wordsOf(tensor: TensorData): Int32Array {
  const data = tensor.data as BigInt64Array;
  let words = halves.get(data);
  if (words === undefined) halves.set(data, (words = new Int32Array(data.buffer, data.byteOffset, 2 * data.length)));
  return words;
}

/** Write an integer of at most 32 bits into an int64 tensor. */
export function writeInteger(tensor: TensorData, at: number, value: number): void {
  const words = wordsOf(tensor);
  words[2 * at] = value;
  words[2 * at + 1] = value < 0 ? -1 : 0;
}
