import { CONTRACT_VERSION } from '@updraft/core';
import { closest } from 'fastest-levenshtein';
import { readFile, realpath } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { CliError } from '../errors.js';
import { findMethodPackages, shortName } from '../plugin-discovery.js';

/** A package of a method, to be worked with. */
export interface Method {
  /** Name without its scope, by which people call it. */
  readonly slug: string;
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  /** Whether npm manages its folder, rather than somebody working in it. */
  readonly installed: boolean;
}

/**
 * The method of that name: the name of its package, with or without the scope, or the folder of the package.
 *
 * @throws CliError where there is none (with the nearest name), more than one (with all of them), or one that was built for
 *   another version of the contracts.
 */
export async function findMethod(name: string): Promise<Method> {
  const isPath = name.startsWith('.') || resolve(name) === name;
  const all = await findMethodPackages(isPath ? resolve(name) : process.cwd());
  const folder = isPath ? await realpath(resolve(name)).catch(() => undefined) : undefined;
  const fitting = isPath
    ? all.filter((each) => each.folder === resolve(name) || each.folder === folder)
    : all.filter((each) => each.name === name || shortName(each.name) === name);
  const [found] = fitting;
  if (found === undefined) {
    const known = all.map((each) => shortName(each.name));
    throw new CliError(isPath ? `"${name}" is no folder of a method.` : `There is no method "${name}" here.`, {
      hint:
        known.length === 0
          ? `No package of a method is installed; try "npm install @updraft/${shortName(name)}".`
          : `Did you mean "${closest(name, known)}"? Found are: ${known.join(', ')}.`,
    });
  }
  if (fitting.length > 1)
    throw new CliError(`More than one package has a method "${name}".`, {
      hint: `Give the whole name: ${fitting.map((each) => each.name).join(', ')}.`,
    });
  const { contractVersion = CONTRACT_VERSION } = found;
  if (contractVersion !== CONTRACT_VERSION)
    throw new CliError(
      `${found.name} was built for version ${contractVersion} of the contracts; this is version ${CONTRACT_VERSION}.`,
      {
        hint:
          contractVersion > CONTRACT_VERSION
            ? 'Install a newer @updraft/cli.'
            : `Install a newer version of ${found.name}.`,
      },
    );
  const real = await realpath(found.folder);
  const manifest = JSON.parse(await readFile(join(real, 'package.json'), 'utf8')) as { readonly version?: unknown };
  return {
    slug: shortName(found.name),
    name: found.name,
    version: typeof manifest.version === 'string' ? manifest.version : '0.0.0',
    folder: real,
    installed: real.includes(`${sep}node_modules${sep}`),
  };
}
