import { z } from 'zod';
import { CoreError } from '../errors.js';
import { descriptionOf } from './schema-shape.js';

/**
 * The options of a plugin: `defineOptions({ beta: z.number().min(0).lt(1).default(0.9).describe('Decay β.') })`. Defaults,
 * bounds and descriptions are given here once; documentation, help and errors are made from them. Unknown names are refused.
 *
 * @throws CoreError when an option has no description.
 */
export function defineOptions<Shape extends z.ZodRawShape>(shape: Shape) {
  const bare = Object.entries(shape)
    .filter(([, field]) => descriptionOf(field as z.ZodType) === undefined)
    .map(([name]) => `"${name}"`);
  if (bare.length > 0)
    throw new CoreError(
      'options',
      `The ${bare.length === 1 ? 'option has' : 'options have'} no description: ${bare.join(', ')}.`,
      {
        hint: "Add .describe('…').",
      },
    );
  return z.strictObject(shape);
}
