import type { Graph } from '../graph.js';
import { Tensor } from '../tensor.js';

/** Integers that ONNX takes as an input (axes, shapes, sizes): plain numbers become a constant. */
export type IntegerList = readonly number[] | Tensor;

export function integerList(graph: Graph, value: IntegerList): Tensor;
export function integerList(graph: Graph, value: IntegerList | undefined): Tensor | undefined;
export function integerList(graph: Graph, value: IntegerList | undefined): Tensor | undefined {
  return value === undefined || value instanceof Tensor ? value : graph.ints(value);
}

/** A boolean option as the integer that ONNX attributes use. */
export const flag = (value: boolean | undefined): number | undefined =>
  value === undefined ? undefined : Number(value);
