import type { Experiment } from '@updraft/testing/experiment';
import { createJiti } from 'jiti';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CliError } from '../errors.js';
import type { Method } from './find-method.js';

/**
 * The experiments that a package exports as `experiments` from its entry `./experiment`.
 *
 * @throws CliError where there are none.
 */
export async function loadExperiments(method: Method): Promise<readonly Experiment[]> {
  const entry = `${method.name}/experiment`;
  const url = pathToFileURL(join(method.folder, 'package.json')).href;
  const path = createJiti(url).esmResolve(entry, { parentURL: url, try: true });
  if (path === undefined)
    throw new CliError(`${method.name} has no experiment to run.`, {
      hint: 'Its package.json needs an entry "./experiment".',
    });
  let found: { readonly experiments?: unknown };
  try {
    found = (await import(path)) as { readonly experiments?: unknown };
  } catch (error) {
    throw new CliError(`The experiments of ${method.name} cannot be loaded: ${(error as Error).message}`, {
      cause: error,
      hint: 'In the folder of the package, "npm run build" may be missing.',
    });
  }
  const { experiments } = found;
  const isExperiment = (value: unknown): value is Experiment =>
    typeof value === 'object' && value !== null && typeof (value as { run?: unknown }).run === 'function';
  if (!Array.isArray(experiments) || experiments.length === 0 || !experiments.every(isExperiment))
    throw new CliError(`"${entry}" exports no experiments.`, {
      hint: 'Export an array `experiments` of what defineExperiment() returns.',
    });
  return experiments;
}
