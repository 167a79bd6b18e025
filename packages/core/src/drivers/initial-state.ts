import { emptyTensor, writeElement, elementCount, type TensorData } from '@updraft/graph';
import type { InitContext, StateSpec, StateSpecs } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { ParameterSpec } from '../module/parameter.js';
import type { ModelSpecs } from '../program/model-specs.js';
import { isStateSpec } from '../program/step-program.js';
import { PREFIX } from '../program/tracer.js';
import type { RandomStream } from '../random/index.js';
import { flattenTree, mapValues, type NamedValues } from '../tree.js';

/** The context in which update rules declare their state. */
export const initContext = (params: NamedValues<ParameterSpec>): InitContext => ({
  params,
  like: (spec, initial = 0) => ({ kind: 'state', shape: spec.shape, dataType: spec.dataType, initial }),
  likeParams: (initial = 0) =>
    mapValues(params, (spec) => ({ kind: 'state', shape: spec.shape, dataType: spec.dataType, initial })),
  state: (shape, { initial = 0, dataType = 'float32' } = {}) => ({ kind: 'state', shape, dataType, initial }),
  copyOf: (spec) => ({ kind: 'state', shape: spec.shape, dataType: spec.dataType, initial: { parameter: spec.name } }),
});

/** First values of all parameters: drawn by their initialisers, or given. */
export function initialParameters(
  specs: ModelSpecs,
  random: RandomStream,
  given: NamedValues<TensorData> = {},
): Record<string, TensorData> {
  for (const name of Object.keys(given))
    if (specs.params[name] === undefined && specs.variables[name] === undefined)
      throw new CoreError(
        'parameter',
        `The given value "${name}" is neither a parameter nor a variable of the model.`,
        {
          hint: `The model has: ${[...Object.keys(specs.params), ...Object.keys(specs.variables)].join(', ')}.`,
        },
      );
  return mapValues(specs.params, (spec) => {
    const value = given[spec.name];
    if (value === undefined)
      // One stream per name: adding a layer does not change how the others start.
      return {
        dataType: spec.dataType,
        dims: [...spec.shape],
        data: spec.initialize(spec.shape, random.split(spec.name)),
      };
    if (value.dataType !== spec.dataType || value.dims.join() !== spec.shape.join())
      throw new CoreError(
        'parameter',
        `The given value of "${spec.name}" is ${value.dataType}[${value.dims.join(', ')}]; the model declares ${spec.dataType}[${spec.shape.join(', ')}].`,
        { hint: 'Give a value of that shape, or leave it out to have it drawn.' },
      );
    return value;
  });
}

/** First values of everything that stays on the device, under the input names of step programs. */
export function initialResidents(
  specs: ModelSpecs,
  state: StateSpecs,
  params: NamedValues<TensorData>,
  variables: NamedValues<TensorData> = {},
): Record<string, TensorData> {
  const residents: Record<string, TensorData> = {};
  for (const [name, value] of Object.entries(params)) residents[PREFIX.param + name] = value;
  for (const [name, spec] of Object.entries(specs.variables))
    residents[PREFIX.variable + name] = variables[name] ?? spec.initial;
  return { ...residents, ...stateValues(state, PREFIX.state, params) };
}

/** First values of declared state, by path under a prefix. */
export const stateValues = (
  state: StateSpecs,
  prefix: string,
  params: NamedValues<TensorData> = {},
): Record<string, TensorData> =>
  Object.fromEntries(
    flattenTree<StateSpec>(state, isStateSpec).map(([path, spec]) => [prefix + path, initialStateValue(spec, params)]),
  );

function initialStateValue(spec: StateSpec, params: NamedValues<TensorData>): TensorData {
  const { initial } = spec;
  if (typeof initial === 'number') {
    const value = emptyTensor(spec.dataType, spec.shape);
    if (initial !== 0)
      for (let index = 0; index < elementCount(spec.shape); index++) writeElement(value, index, initial);
    return value;
  }
  if ('parameter' in initial) {
    const source = params[initial.parameter];
    if (source === undefined)
      throw new CoreError(
        'update-rule',
        `The state copies a parameter "${initial.parameter}" that the model does not have.`,
      );
    return { ...source, data: source.data.slice() };
  }
  return initial;
}
