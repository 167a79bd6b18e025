import type { DataType, Tensor } from '@updraft/graph';
import type { Scope } from './scope.js';

/** Declared input of a model: what a batch column must look like. A string names a symbolic size, as in `['batch', 784]`. */
export interface InputSpec {
  readonly dataType: DataType;
  readonly shape: readonly (number | string)[];
}

/** A layer: builds its part of the graph from one tensor. Compose layers with plain functions. */
export type Layer = (scope: Scope, input: Tensor) => Tensor;

/** A model: named inputs to named outputs. The first output is the default one. */
export interface Model {
  readonly name: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  build(scope: Scope, inputs: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
}

export interface DefineModelOptions {
  readonly name: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly build: (scope: Scope, inputs: Readonly<Record<string, Tensor>>) => Tensor | Readonly<Record<string, Tensor>>;
}

/** Make a model from a build function; a single tensor becomes the output `output`. */
export function defineModel(options: DefineModelOptions): Model {
  return {
    name: options.name,
    inputs: options.inputs,
    build(scope, inputs) {
      const built = options.build(scope, inputs);
      return 'graph' in built && 'shape' in built ? { output: built as Tensor } : built;
    },
  };
}
