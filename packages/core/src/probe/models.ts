import { concat, dimText, instantiate, isFloat, type Graph, type Tensor, type TensorData } from '@updraft/graph';
import type { Objective, Reward } from '../contracts/reward.js';
import { CoreError } from '../errors.js';
import type { InputSpec, Model } from '../module/module.js';
import type { ParameterRole, ParameterSpec } from '../module/parameter.js';
import type { Scope } from '../module/scope.js';
import { mapValues, type NamedValues } from '../tree.js';
import { buildExpression } from './build-expression.js';
import { parseExpression, type Expression } from './expression.js';
import { readTensor } from './values.js';

/** A model as JSON. */
export interface ModelDescription {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** What is known of the parameters and inputs of a described model. */
export interface ModelFacts {
  readonly params: NamedValues<TensorData>;
  readonly columns: NamedValues<TensorData>;
  /** Declaration of a given parameter. */
  readonly spec: (name: string) => ParameterSpec;
}

/** A described model; with a loss of its own it needs no reward. */
export interface DescribedModel {
  readonly model: Model;
  readonly reward?: Reward;
}

/** Names of the outputs in which a described model gives its losses. */
const LOSS = 'loss';
const PER_EXAMPLE = 'perExample';

/** Declared inputs with the sizes of given tensors. */
export const inputSpecs = (values: NamedValues<TensorData>): Record<string, InputSpec> =>
  mapValues(values, ({ dataType, dims }) => ({ dataType, shape: dims }));

/** Declares given parameters: shape and element type are those of their values. */
export const parameterSpecs =
  (
    values: NamedValues<TensorData>,
    roles: NamedValues<ParameterRole> = {},
    layers: NamedValues<string> = {},
  ): ((name: string) => ParameterSpec) =>
  (name) => {
    const value = values[name];
    if (value === undefined)
      throw new CoreError('probe', `The parameter "${name}" has no value.`, {
        hint: `Give it under "params"; given are: ${Object.keys(values).join(', ') || 'none'}.`,
      });
    return {
      name,
      shape: value.dims,
      dataType: value.dataType,
      role: roles[name] ?? 'weight',
      layer: layers[name] ?? 'dense',
      initialize: () => value.data as Float32Array,
    };
  };

/** The loss that a model gives as an output of its own. */
const ownLoss: Reward = {
  objective({ forward }): Objective {
    const { [LOSS]: loss, [PER_EXAMPLE]: perExample, ...rest } = forward();
    return {
      loss: loss as Tensor,
      metrics: Object.fromEntries(
        Object.entries(rest).filter(([, value]) => value.rank === 0 && isFloat(value.dataType)),
      ),
      ...(perExample === undefined ? {} : { perExample: { loss: perExample } }),
    };
  },
};

const text = (description: ModelDescription, key: string, fallback?: string): string => {
  const value = description[key] ?? fallback;
  if (typeof value !== 'string')
    throw new CoreError('probe', `"model.${key}" expected a text, got ${JSON.stringify(value) ?? 'nothing'}.`);
  return value;
};

/** Refuse keys that a kind of model does not have. */
function onlyKeys(description: ModelDescription, ...keys: readonly string[]): void {
  const extra = Object.keys(description).find((key) => key !== 'type' && !keys.includes(key));
  if (extra !== undefined)
    throw new CoreError('probe', `A model of type "${description.type}" has no "${extra}".`, {
      hint: `It has: ${keys.join(', ')}.`,
    });
}

function expressionModel(description: ModelDescription, { params, columns, spec }: ModelFacts): DescribedModel {
  onlyKeys(description, 'loss', 'perExample', 'outputs');
  const given = description['outputs'] ?? {};
  if (typeof given !== 'object' || Array.isArray(given))
    throw new CoreError('probe', '"model.outputs" expected formulas by name.');
  const formulas: Record<string, Expression> = mapValues(given as NamedValues<unknown>, (_, name) =>
    parseExpression(text(given as ModelDescription, name)),
  );
  for (const [key, name] of [
    ['loss', LOSS],
    ['perExample', PER_EXAMPLE],
  ] as const)
    if (description[key] !== undefined) formulas[name] = parseExpression(text(description, key));
  if (Object.keys(formulas).length === 0)
    throw new CoreError('probe', 'A model of type "expression" has neither "loss", "perExample" nor "outputs".', {
      hint: 'Write, for example, {"type": "expression", "loss": "0.5 * sum(x^2)"}.',
    });
  const clash = Object.keys(params).find((name) => columns[name] !== undefined);
  if (clash !== undefined)
    throw new CoreError('probe', `"${clash}" is a parameter and an input of the formula.`, {
      hint: 'Rename one of them.',
    });
  const model: Model = {
    name: 'expression',
    inputs: inputSpecs(columns),
    build(scope, inputs) {
      // All of them, so that a parameter without use is told to be one.
      const values = mapValues(params, (_, name) => scope.provider.parameter(spec(name)));
      const built: Record<string, Tensor> = {};
      const context = {
        graph: scope.graph,
        names: [...Object.keys(params), ...Object.keys(columns), ...Object.keys(formulas)],
        // A formula may use the outputs before it.
        lookup: (name: string): Tensor | undefined => values[name] ?? inputs[name] ?? built[name],
      };
      for (const [name, formula] of Object.entries(formulas)) built[name] = buildExpression(formula, context);
      const each = built[PER_EXAMPLE];
      if (each !== undefined && built[LOSS] === undefined) built[LOSS] = each.mean();
      return built;
    },
  };
  const hasLoss = formulas[LOSS] !== undefined || formulas[PER_EXAMPLE] !== undefined;
  return { model, ...(hasLoss ? { reward: ownLoss } : {}) };
}

/** ½θᵀAθ − bᵀθ, where θ holds all parameters in order. */
function quadraticModel(description: ModelDescription, { params, columns, spec }: ModelFacts): DescribedModel {
  onlyKeys(description, 'A', 'b');
  const size = Object.values(params).reduce((sum, { data }) => sum + data.length, 0);
  const read = (key: string, shape: readonly number[]): TensorData => {
    const { value } = readTensor(description[key], `model.${key}`);
    if (value.dims.join() !== shape.join())
      throw new CoreError(
        'probe',
        `"model.${key}" has shape [${value.dims.join(', ')}]; ${size} parameters need [${shape.join(', ')}].`,
      );
    return value;
  };
  const A = read('A', [size, size]);
  const b = description['b'] === undefined ? undefined : read('b', [size]);
  const model: Model = {
    name: 'quadratic',
    inputs: inputSpecs(columns),
    build(scope) {
      const parts = Object.keys(params).map((name) => scope.provider.parameter(spec(name)).reshape([-1]));
      const point = parts.length === 1 ? (parts[0] as Tensor) : concat(parts, 0);
      const half = scope.graph.constant(A).matMul(point).mul(point).sum().mul(0.5);
      return { [LOSS]: b === undefined ? half : half.sub(scope.graph.constant(b).mul(point).sum()) };
    },
  };
  return { model, reward: ownLoss };
}

/** y = x·W + b. */
function linearModel(description: ModelDescription, { params, columns, spec }: ModelFacts): DescribedModel {
  onlyKeys(description, 'input', 'weight', 'bias', 'output');
  const names = Object.keys(params);
  const input = text(description, 'input', Object.keys(columns)[0]);
  const weight = text(description, 'weight', names[0]);
  const bias = description['bias'] === undefined ? names.find((name) => name !== weight) : text(description, 'bias');
  const output = text(description, 'output', 'output');
  const column = columns[input];
  if (column === undefined)
    throw new CoreError('probe', `The batch has no column "${input}" for the linear model.`, {
      hint: `It has: ${Object.keys(columns).join(', ') || 'none'}.`,
    });
  return {
    model: {
      name: 'linear',
      inputs: inputSpecs({ [input]: column }),
      build(scope, inputs) {
        const product = (inputs[input] as Tensor).matMul(scope.provider.parameter(spec(weight)));
        return { [output]: bias === undefined ? product : product.add(scope.provider.parameter(spec(bias))) };
      },
    },
  };
}

/** The model that JSON describes; undefined for a type that is not known here. @throws CoreError */
export function describedModel(description: ModelDescription, facts: ModelFacts): DescribedModel | undefined {
  switch (description.type) {
    case 'expression':
      return expressionModel(description, facts);
    case 'quadratic':
      return quadraticModel(description, facts);
    case 'linear':
      return linearModel(description, facts);
    default:
      return undefined;
  }
}

/**
 * A loaded graph as a model: its inputs are batch columns, and its float constants are parameters where a value was given
 * under their names, or all of them that have an axis where none was given.
 *
 * @param loss Name of the output that is the loss; default: the model has no loss of its own.
 * @throws CoreError for given parameters that the graph does not have.
 */
export function graphModel(graph: Graph, { params, spec }: ModelFacts, loss?: string): DescribedModel {
  const constants = [...graph.constants].filter(([, { dataType }]) => isFloat(dataType));
  const wanted = Object.keys(params);
  const unknown = wanted.find((name) => !constants.some(([value]) => value.name === name));
  if (unknown !== undefined)
    throw new CoreError('probe', `The ONNX model has no constant "${unknown}" to train.`, {
      hint: `It has: ${constants.map(([value]) => value.name).join(', ') || 'none'}.`,
    });
  const trained = constants.filter(([value]) => (wanted.length === 0 ? value.rank > 0 : wanted.includes(value.name)));
  if (loss !== undefined && !graph.outputs.some(({ name }) => name === loss))
    throw new CoreError('probe', `The ONNX model has no output "${loss}".`, {
      hint: `It has: ${graph.outputs.map(({ name }) => name).join(', ')}.`,
    });
  const inputs = graph.inputs.filter(({ constant }) => constant === undefined);
  const model: Model = {
    name: graph.name,
    inputs: Object.fromEntries(
      inputs.map(({ name, dataType, shape }) => [
        name,
        { dataType, shape: shape.map((dim) => (typeof dim === 'number' ? dim : dimText(dim))) },
      ]),
    ),
    build(scope: Scope, given) {
      const bindings = new Map<Tensor, Tensor>();
      for (const input of inputs) bindings.set(input, given[input.name] as Tensor);
      for (const [value, data] of trained)
        bindings.set(
          value,
          scope.provider.parameter(
            params[value.name] === undefined ? parameterSpecs({ [value.name]: data })(value.name) : spec(value.name),
          ),
        );
      const outputs = instantiate(graph.outputs, bindings, scope.graph);
      return Object.fromEntries(
        graph.outputs.map(({ name }, index) => [name === loss ? LOSS : name, outputs[index] as Tensor]),
      );
    },
  };
  return { model, ...(loss === undefined ? {} : { reward: ownLoss }) };
}
