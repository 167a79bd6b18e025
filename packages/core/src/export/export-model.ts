import { encodeModel, Graph, modelOf, symbol, type TensorData } from '@updraft/graph';
import { ConstantProvider } from '../module/constant-provider.js';
import type { Model } from '../module/module.js';
import { Scope } from '../module/scope.js';
import type { NamedValues } from '../tree.js';

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
