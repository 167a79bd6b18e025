import { instantiate, type Graph, type Tensor, type TensorData } from '@updraft/graph';
import { CoreError } from '../errors.js';
import { mapValues, type NamedValues } from '../tree.js';
import { ConstantProvider } from './constant-provider.js';
import type { Model } from './module.js';
import { Scope } from './scope.js';

/** Part of a model with nothing to train in it: named inputs to named outputs. */
export type FrozenModel = (scope: Scope, inputs: NamedValues<Tensor>) => NamedValues<Tensor>;

/**
 * A trained model as part of another one, in inference form and with its values as constants: an encoder, a teacher, a
 * black box that is only asked for its outputs. Called several times in one graph (losses at perturbed prompts) it puts its
 * constants there once.
 *
 * @param values `{ ...result.params, ...result.variables }`.
 * @throws CoreError where the model has a parameter or variable without value.
 */
export function frozen(model: Model, values: NamedValues<TensorData>): FrozenModel {
  const providers = new WeakMap<Graph, ConstantProvider>();
  return ({ graph }, inputs) => {
    let provider = providers.get(graph);
    if (provider === undefined) providers.set(graph, (provider = new ConstantProvider(graph, values, false)));
    return model.build(new Scope(provider, false), inputs);
  };
}

/**
 * {@link frozen} for a loaded graph, such as `loadModel(bytes).graph`. Inputs and outputs have the names that they have there.
 *
 * @throws CoreError for an input that is not given.
 */
export function frozenGraph(source: Graph): FrozenModel {
  return ({ graph }, inputs) => {
    const bindings = new Map<Tensor, Tensor>();
    for (const input of source.inputs.filter(({ constant }) => constant === undefined)) {
      const given = inputs[input.name];
      if (given === undefined)
        throw new CoreError('module', `The frozen graph "${source.name}" gets no input "${input.name}".`, {
          hint: `Given are: ${Object.keys(inputs).join(', ') || 'none'}.`,
        });
      bindings.set(input, given);
    }
    const outputs = instantiate(source.outputs, bindings, graph);
    return mapValues(
      Object.fromEntries(source.outputs.map(({ name }, index) => [name, index])),
      (index) => outputs[index] as Tensor,
    );
  };
}
