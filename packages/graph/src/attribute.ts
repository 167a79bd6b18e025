import type { TensorData } from './data-type.js';
import type { Graph } from './graph.js';

/** Value of a node attribute by kind, as in ONNX `AttributeProto`. Integers beyond 2^53 are bigint. */
export interface AttributeKinds {
  readonly int: number | bigint;
  readonly float: number;
  readonly string: string;
  readonly tensor: TensorData;
  readonly graph: Graph;
  readonly ints: readonly (number | bigint)[];
  readonly floats: readonly number[];
  readonly strings: readonly string[];
}
export type AttributeKind = keyof AttributeKinds;
export type Attribute = {
  readonly [K in AttributeKind]: { readonly kind: K; readonly value: AttributeKinds[K] };
}[AttributeKind];
export type AttributeValue = AttributeKinds[AttributeKind];
