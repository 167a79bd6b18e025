import type { Backend } from '@updraft/backend';
import type { UpdraftErrorOptions } from '@updraft/graph';
import type { JsonValue } from '../contracts/sampler.js';
import type { Reward } from '../contracts/reward.js';
import { CoreError } from '../errors.js';
import type { Contracts } from '../plugins/metadata.js';
import type { DescribedModel, ModelDescription, ModelFacts } from './models.js';
import { describedModel } from './models.js';

/** What a probe needs besides the plugin and its input. */
export interface ProbeContext {
  readonly backend: Backend;
  /** Models of further types: reference models, files. */
  readonly model?: (description: ModelDescription, facts: ModelFacts) => Promise<DescribedModel>;
  /** A reward by name, for models without a loss of their own. */
  readonly reward?: (name: string, options: unknown) => Reward;
  /** An update rule or aggregator by name, for those that go with the probed one. */
  readonly plugin?: <C extends 'update-rule' | 'aggregator'>(
    contract: C,
    name: string,
    options: unknown,
  ) => Contracts[C];
}

/** What a probe gives: plain JSON. */
export type ProbeResult = { readonly [key: string]: JsonValue };

/** An error of a probe. */
export const probeError = (message: string, hint?: string, details?: UpdraftErrorOptions['details']): CoreError =>
  new CoreError('probe', message, {
    ...(hint === undefined ? {} : { hint }),
    ...(details === undefined ? {} : { details }),
  });

/** The model that JSON describes: of a type known here, else of the context. @throws CoreError for an unknown type */
export async function resolveModel(
  description: ModelDescription,
  facts: ModelFacts,
  context: ProbeContext,
): Promise<DescribedModel> {
  const known = describedModel(description, facts) ?? (await context.model?.(description, facts));
  if (known === undefined)
    throw probeError(`There is no model of type "${description.type}".`, 'Known are: expression, quadratic, linear.');
  return known;
}
