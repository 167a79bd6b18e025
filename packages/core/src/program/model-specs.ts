import { Graph, symbol } from '@updraft/graph';
import type { Model } from '../module/module.js';
import type { ParameterSpec, VariableSpec } from '../module/parameter.js';
import { Scope } from '../module/scope.js';
import { mapValues } from '../tree.js';
import { Tracer } from './tracer.js';

/** Parameters and variables that a model declares, in order of declaration. */
export interface ModelSpecs {
  readonly params: Readonly<Record<string, ParameterSpec>>;
  readonly variables: Readonly<Record<string, VariableSpec>>;
}

/** Build the model once on a scratch graph to learn what it declares. */
export function modelSpecs(model: Model): ModelSpecs {
  const graph = new Graph(model.name);
  const tracer = new Tracer(graph);
  const inputs = mapValues(model.inputs, (spec, name) =>
    graph.input(
      name,
      spec.dataType,
      spec.shape.map((dim) => (typeof dim === 'string' ? symbol(dim) : dim)),
    ),
  );
  model.build(new Scope(tracer, true), inputs);
  return {
    params: Object.fromEntries([...tracer.params].map(([name, { spec }]) => [name, spec])),
    variables: Object.fromEntries([...tracer.variables].map(([name, { spec }]) => [name, spec])),
  };
}
