import {
  defineOptions,
  OPTIONS,
  plugin,
  pluginFactory,
  type Aggregator,
  type Combined,
  type CombineContext,
  type Source,
} from '@updraft/core';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { FusionError } from './errors.js';
import { checkLogits, shiftedLogits, sourceRoles } from './logit-sources.js';

const fusionOptions = defineOptions({
  alpha: z
    .union([z.number(), z.array(z.number()).min(1)])
    .default(1)
    .describe('Coefficient α of the shift of every expert, or a list with one for each.'),
});

/**
 * The large model plus fixed multiples of the shifts of small experts. α = 1 of one expert is proxy tuning; α = 0 is the
 * large model itself.
 */
@plugin({
  name: 'static-logits-fusion',
  contract: 'aggregator',
  options: fusionOptions,
  summary: 'Logit shifts of small experts move a large model, by a fixed coefficient (proxy tuning).',
  paper: 'Liu et al. 2024, Tuning Language Models by Proxy',
})
export class StaticLogitsFusion implements Aggregator {
  readonly policy = { minimum: 3, late: 'refuse', duplicated: 'refuse', malformed: 'refuse' } as const;

  constructor(@inject(OPTIONS) readonly options: z.output<typeof fusionOptions>) {}

  combine(_context: CombineContext, sources: readonly Source[]): Combined {
    const { name, roles } = sourceRoles(sources);
    checkLogits(roles);
    const { alpha } = this.options;
    const list = typeof alpha === 'number' ? roles.experts.map(() => alpha) : alpha;
    if (list.length !== roles.experts.length)
      throw new FusionError(`There are ${list.length} coefficients for ${roles.experts.length} experts.`, {
        hint: 'Give one for each expert, or a single one for all of them.',
      });
    return { values: { [name]: shiftedLogits(roles, list) } };
  }
}

/** Logit shifts of small experts with fixed coefficients: proxy tuning (Liu et al. 2024). */
export const staticLogitsFusion = pluginFactory(StaticLogitsFusion, fusionOptions);
