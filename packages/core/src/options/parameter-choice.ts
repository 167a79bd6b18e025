import { z } from 'zod';
import { CoreError } from '../errors.js';
import type { ParameterSpec } from '../module/parameter.js';
import { didYouMean } from '../names.js';
import type { NamedValues } from '../tree.js';

/** Some of the parameters of a model: those for which a function says so, or a list of their names. */
export type ParameterChoice = ((spec: ParameterSpec) => boolean) | readonly string[];

/**
 * An option that chooses parameters (which decay, which are left alone). Code gives a function of the parameter's spec,
 * `({ role }) => role === 'weight'`; configurations list names.
 */
export const parameterChoice = () =>
  z.union([
    z.custom<(spec: ParameterSpec) => boolean>(
      (value) => typeof value === 'function',
      'expected a function of a parameter spec',
    ),
    z.array(z.string()),
  ]);

/**
 * Names of the chosen parameters; all of them where there is no choice.
 *
 * @throws CoreError for a listed name that the model does not have.
 */
export function chosenParameters(
  choice: ParameterChoice | undefined,
  specs: NamedValues<ParameterSpec>,
): ReadonlySet<string> {
  const names = Object.keys(specs);
  if (choice === undefined) return new Set(names);
  if (typeof choice === 'function') return new Set(names.filter((name) => choice(specs[name] as ParameterSpec)));
  for (const name of choice)
    if (!names.includes(name))
      throw new CoreError('parameter', `The model has no parameter "${name}" that could be chosen.`, {
        hint: `It has ${names.join(', ')}; ${didYouMean(name, names)}`,
      });
  return new Set(choice);
}
