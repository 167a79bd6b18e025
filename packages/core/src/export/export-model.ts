import { encodeModel, Graph, modelOf, symbol, type Tensor, type TensorData } from '@updraft/graph';
import { CoreError } from '../errors.js';
import type { Model } from '../module/module.js';
import type { ParameterSpec, VariableSpec } from '../module/parameter.js';
import { Scope, type NoiseDistribution, type ScopeProvider } from '../module/scope.js';
import type { NamedValues } from '../tree.js';

/** Puts parameter and variable values into the graph as constants. */
class ConstantProvider implements ScopeProvider {
  readonly #made = new Map<string, Tensor>();

  constructor(
    readonly graph: Graph,
    readonly values: NamedValues<TensorData>,
  ) {}
  #constant(name: string): Tensor {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const value = this.values[name];
    if (value === undefined)
      throw new CoreError('export', `There is no value for "${name}".`, {
        hint: 'Give the params and variables of a training result.',
      });
    const made = this.graph.constant(value, value.dataType, name);
    this.#made.set(name, made);
    return made;
  }
  parameter(spec: ParameterSpec): Tensor {
    return this.#constant(spec.name);
  }
  variable(spec: VariableSpec): Tensor {
    return this.#constant(spec.name);
  }
  assign(): void {
    // Nothing changes in an inference model.
  }
  noise(name: string, _shape: unknown, _distribution: NoiseDistribution): Tensor {
    throw new CoreError(
      'export',
      `The model draws the noise "${name}" in inference form, which a plain ONNX model cannot.`,
      {
        hint: 'Draw noise only where scope.training is true.',
      },
    );
  }
}

export interface ExportOptions {
  /** Values by name: `{ ...result.params, ...result.variables }`. */
  readonly values: NamedValues<TensorData>;
  /** Kept in the metadata of the file. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The trained model as a graph in inference form, with its values as constants. */
export function inferenceGraph(model: Model, values: NamedValues<TensorData>): Graph {
  const graph = new Graph(model.name);
  const inputs = Object.fromEntries(
    Object.entries(model.inputs).map(([name, spec]) => [
      name,
      graph.input(
        name,
        spec.dataType,
        spec.shape.map((dim) => (typeof dim === 'string' ? symbol(dim) : dim)),
      ),
    ]),
  );
  const outputs = model.build(new Scope(new ConstantProvider(graph, values), false), inputs);
  for (const [name, value] of Object.entries(outputs))
    graph.output(value.producer === undefined || graph.outputs.includes(value) ? value.identity() : value, name);
  return graph;
}

/** A trained model as the bytes of a plain ONNX file that any ONNX Runtime loads. */
export const exportModel = (model: Model, { values, metadata = {} }: ExportOptions): Uint8Array<ArrayBuffer> =>
  encodeModel(modelOf(inferenceGraph(model, values), { metadata: new Map(Object.entries(metadata)) }), { bare: true });
