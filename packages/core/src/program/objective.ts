import { isFloat, shapeText, type Tensor } from '@updraft/graph';
import type { Objective, Reward } from '../contracts/reward.js';
import { CoreError } from '../errors.js';
import type { InputSpec, Model } from '../module/module.js';
import { Scope, type ScopeProvider } from '../module/scope.js';
import { mapValues, type NamedValues } from '../tree.js';
import { ReboundProvider, type Tracer } from './tracer.js';

export interface ObjectiveSource {
  readonly model: Model;
  readonly reward: Reward;
  readonly columns: Readonly<Record<string, InputSpec>>;
  readonly training: boolean;
}

/** Batch columns that the model asks for, by name. */
export function modelInputs(model: Model, batch: NamedValues<Tensor>): Record<string, Tensor> {
  return mapValues(model.inputs, (spec, name) => {
    const column = batch[name];
    if (column === undefined)
      throw new CoreError(
        'pipeline',
        `The model "${model.name}" needs the input "${name}", which no batch column has.`,
        {
          hint: `The sampler gives: ${Object.keys(batch).join(', ') || 'nothing'}. Name the column or the input alike.`,
        },
      );
    const fits =
      column.dataType === spec.dataType &&
      column.rank === spec.shape.length &&
      column.shape.every(
        (dim, axis) => typeof dim !== 'number' || typeof spec.shape[axis] !== 'number' || dim === spec.shape[axis],
      );
    if (!fits)
      throw new CoreError(
        'pipeline',
        `The batch column "${name}" is ${column.dataType}${shapeText(column.shape)}; the model "${model.name}" takes ${spec.dataType}[${spec.shape.join(', ')}].`,
        { hint: 'Convert the column in the dataset, or change the inputs of the model.' },
      );
    return column;
  });
}

/** Build the objective of a reward on a model: at the traced parameters, or at others when given. */
export function buildObjective(source: ObjectiveSource, tracer: Tracer, params?: NamedValues<Tensor>): Objective {
  const provider: ScopeProvider = params === undefined ? tracer : new ReboundProvider(tracer, params);
  const batch = mapValues(source.columns, (spec, name) => tracer.column(name, spec));
  if (source.reward.objective === undefined)
    throw new CoreError('pipeline', 'This reward has no objective, so there is no loss to differentiate.', {
      hint: 'Use a reward with objective(), or an update rule and driver that only need scores.',
    });
  const objective = source.reward.objective({
    batch,
    params: params ?? tracer.parameters(),
    training: source.training,
    forward: (inputs) =>
      source.model.build(new Scope(provider, source.training), inputs ?? modelInputs(source.model, batch)),
    scalar: (name, value) => tracer.scalar(name, value),
    noise: (name, shape, distribution = 'normal') => tracer.noise(name, shape, distribution),
  });
  checkScalar(objective.loss, 'loss');
  for (const [name, metric] of Object.entries(objective.metrics ?? {})) checkScalar(metric, `metric "${name}"`);
  return objective;
}

function checkScalar(value: Tensor, what: string): void {
  if (value.rank !== 0 || !isFloat(value.dataType))
    throw new CoreError('pipeline', `The ${what} is ${value.dataType}${shapeText(value.shape)}, not a float scalar.`, {
      hint: 'Reduce it over the batch with mean() or sum(), or convert it with cast().',
    });
}
