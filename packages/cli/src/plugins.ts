import * as data from '@updraft/data';
import * as nn from '@updraft/nn';
import * as rules from '@updraft/rules';
import { createJiti } from 'jiti';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CliError } from './errors.js';
import { findMethodPackages, InstalledPlugins } from './plugin-discovery.js';

/**
 * The plugins of the standard packages, of further ones (names of packages, or paths of modules, as seen from the working
 * folder), and of every method package that is installed.
 *
 * @throws CliError for a further one that cannot be loaded, CoreError for one without plugins or with a name that is taken.
 */
export async function loadPlugins(packages: readonly string[] = []): Promise<InstalledPlugins> {
  const installed = new InstalledPlugins()
    .add('@updraft/rules', rules)
    .add('@updraft/nn', nn)
    .add('@updraft/data', data);
  for (const name of packages) installed.add(name, await importFromHere(name));
  for (const found of await findMethodPackages()) await installed.load(found);
  return installed;
}

/**
 * Imported by Node itself, so that a plugin shares this process's `@updraft/core` with its tokens and error classes; jiti
 * only finds the file, as an import in the working folder would.
 */
async function importFromHere(name: string): Promise<Record<string, unknown>> {
  const here = pathToFileURL(join(process.cwd(), 'updraft.config.js')).href;
  const path = createJiti(here).esmResolve(name, { parentURL: here, try: true });
  try {
    // A package that is not here may still lie beside this one.
    return (await import(path ?? name)) as Record<string, unknown>;
  } catch (error) {
    if (path === undefined && (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND')
      throw new CliError(`There is no plugin package "${name}" here.`, {
        cause: error,
        hint: `Install it with "npm install ${name}", or give the path of a module, such as "./my-rule.js".`,
      });
    throw new CliError(`The plugin package "${name}" cannot be loaded: ${(error as Error).message}`, { cause: error });
  }
}
