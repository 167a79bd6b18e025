import { pluginMetadata, type ContractName, type PluginClass, type PluginMetadata } from '@updraft/core';
import { closest } from 'fastest-levenshtein';
import { CliError } from '../errors.js';
import { shortName, type InstalledPlugins } from '../plugin-discovery.js';

/** What is probed: a plugin of a contract, or anything else that a package exports. */
export type Target =
  | {
      readonly kind: 'plugin';
      readonly contract: ContractName;
      readonly name: string;
      readonly Class: PluginClass;
      readonly metadata: PluginMetadata;
      readonly origin: string;
    }
  | { readonly kind: 'export'; readonly name: string; readonly value: unknown; readonly origin: string }
  | { readonly kind: 'package'; readonly origin: string };

const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

const probeable = (value: unknown): boolean =>
  (typeof value === 'function' && pluginMetadata(value) === undefined) ||
  (typeof value === 'object' && value !== null && 'build' in value);

/** The full name of a loaded package, by full or short name. */
const packageNamed = (plugins: InstalledPlugins, name: string): string | undefined =>
  plugins.packages.has(name) ? name : [...plugins.packages.keys()].find((known) => shortName(known) === name);

function plugin(plugins: InstalledPlugins, name: string, contract: ContractName): Target {
  const Class = plugins.find(contract, name) as PluginClass;
  const { origin } = plugins.list(contract).find((known) => known.name === name) as { readonly origin: string };
  return { kind: 'plugin', contract, name, Class, metadata: pluginMetadata(Class) as PluginMetadata, origin };
}

/** What a package exports under a name. @throws CliError */
export function exportNamed(plugins: InstalledPlugins, origin: string, name: string): unknown {
  const exports = plugins.packages.get(origin) ?? {};
  const found = [name, camelCase(name)].find((candidate) => Object.hasOwn(exports, candidate));
  if (found !== undefined) return exports[found];
  const names = Object.keys(exports).filter((key) => probeable(exports[key]));
  throw new CliError(`The package ${origin} exports no "${name}".`, {
    hint:
      names.length === 0
        ? 'It exports nothing that can be probed.'
        : `Did you mean "${closest(name, names)}"? It exports: ${names.join(', ')}.`,
  });
}

/**
 * Find what a person names: `lion`, `@updraft/auon#newtonSchulz`, `dense`, or a package.
 *
 * @throws CliError with the nearest names; the error of a package that was found and cannot be used.
 */
export function findTarget(plugins: InstalledPlugins, text: string, contract?: ContractName): Target {
  const [packageName = '', exported] = text.split('#');
  if (exported !== undefined) {
    plugins.checkRefused(packageName);
    const origin = packageNamed(plugins, packageName);
    if (origin === undefined) throw unknown(plugins, packageName, 'package');
    const value = exportNamed(plugins, origin, exported);
    const metadata = pluginMetadata(value);
    return metadata === undefined
      ? { kind: 'export', name: exported, value, origin }
      : {
          kind: 'plugin',
          contract: metadata.contract,
          name: metadata.name,
          Class: value as PluginClass,
          metadata,
          origin,
        };
  }
  plugins.checkRefused(text);
  if (contract !== undefined) return plugin(plugins, text, contract);
  const named = plugins.list().filter(({ name }) => name === text);
  if (named.length > 1)
    throw new CliError(
      `"${text}" names several plugins: ${named.map((one) => `a ${one.contract} of ${one.origin}`).join(', ')}.`,
      { hint: 'Say which with --contract.' },
    );
  const [only] = named;
  if (only !== undefined) return plugin(plugins, text, only.contract);
  const origin = packageNamed(plugins, text);
  if (origin !== undefined) {
    const own = plugins.list().filter((known) => known.origin === origin);
    const [first] = own;
    return own.length === 1 && first !== undefined
      ? plugin(plugins, first.name, first.contract)
      : { kind: 'package', origin };
  }
  const places = [...plugins.packages].filter(([, exports]) =>
    [text, camelCase(text)].some((name) => Object.hasOwn(exports, name) && probeable(exports[name])),
  );
  const [place] = places;
  if (places.length > 1)
    throw new CliError(`"${text}" is exported by ${places.map(([name]) => name).join(' and ')}.`, {
      hint: `Say which: ${places.map(([name]) => `"${name}#${camelCase(text)}"`).join(' or ')}.`,
    });
  if (place !== undefined)
    return { kind: 'export', name: text, value: exportNamed(plugins, place[0], text), origin: place[0] };
  throw unknown(plugins, text, 'plugin, package or export');
}

function unknown(plugins: InstalledPlugins, name: string, what: string): CliError {
  const known = [
    ...plugins.list().map((each) => each.name),
    ...[...plugins.packages.keys()].map(shortName),
    ...[...plugins.packages.values()].flatMap((exports) =>
      Object.keys(exports).filter((key) => probeable(exports[key])),
    ),
  ];
  return new CliError(`There is no ${what} named "${name}".`, {
    hint: `Did you mean "${closest(name, known)}"? "updraft plugins" lists plugins; --package loads further ones.`,
  });
}
