import type { DataType, TensorData } from '@updraft/graph';
import type { RandomStream } from '../random/index.js';

/** What a parameter is for; update rules route by it (matrices to Muon, no weight decay on biases and gains). */
export type ParameterRole = 'weight' | 'bias' | 'gain' | 'embedding' | 'other';

/** Draws the first value of a parameter. `shape` is static, row-major. */
export type Initializer = (shape: readonly number[], random: RandomStream) => Float32Array;

/** A trainable tensor that a module declares. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dataType: DataType;
  readonly role: ParameterRole;
  /** Kind of layer that declared it: `dense`, `conv`, `embedding`, … */
  readonly layer: string;
  readonly initialize: Initializer;
}

/** A non-trainable tensor that the step may write: running statistics, counters, memories. */
export interface VariableSpec {
  readonly name: string;
  readonly initial: TensorData;
}
