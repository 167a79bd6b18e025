import type { DependencyContainer } from 'tsyringe';
import { CoreError } from '../errors.js';
import { didYouMean } from '../names.js';
import { SPEC_KEYS, type SpecKey } from '../options/plugin-option.js';
import {
  CONTRACT_VERSION,
  pluginMetadata,
  type ContractName,
  type Contracts,
  type PluginClass,
  type PluginMetadata,
} from './metadata.js';
import { instantiatePlugin } from './plugin-factory.js';

/** A plugin and where it comes from. */
export interface RegisteredPlugin extends PluginMetadata {
  readonly origin: string;
}

interface Entry {
  readonly Class: PluginClass;
  readonly metadata: PluginMetadata;
  readonly origin: string;
}

/** A plugin by name, as configurations hold it: `{ "updateRule": "lion", "options": { … } }`. */
export type PluginSpec<Key extends SpecKey = SpecKey> = {
  readonly [K in Key]: { readonly [Name in K]: string } & { readonly options?: unknown };
}[Key];

/** What a spec makes. */
export type PluginOfSpec<Spec> = { [K in SpecKey & keyof Spec]: Contracts[(typeof SPEC_KEYS)[K]] }[SpecKey &
  keyof Spec];

/** Plugins by contract and name. Each registry is its own; there is no global one. */
export class PluginRegistry {
  readonly #plugins = new Map<string, Entry>();

  /**
   * Register every plugin class that a package exports.
   *
   * @param origin Name of the package, for messages and lists.
   * @throws CoreError when it exports none, when one was built for another version of the contracts, or when another
   *   package has a plugin of the same contract and name.
   */
  use(exports: Readonly<Record<string, unknown>>, origin = 'code'): this {
    const found = new Map<PluginClass, PluginMetadata>();
    for (const value of Object.values(exports)) {
      const metadata = pluginMetadata(value);
      if (metadata !== undefined) found.set(value as PluginClass, metadata);
    }
    if (found.size === 0)
      throw new CoreError('plugin', `"${origin}" exports no plugin.`, {
        hint: 'A plugin is an exported class with @plugin({ … }).',
      });
    for (const [Class, metadata] of found) this.#register({ Class, metadata, origin });
    return this;
  }

  #register(entry: Entry): void {
    const { metadata, origin } = entry;
    const version = metadata.contractVersion ?? CONTRACT_VERSION;
    if (version !== CONTRACT_VERSION)
      throw new CoreError(
        'plugin',
        `The plugin "${metadata.name}" of ${origin} was built for contract version ${version}; this is ${CONTRACT_VERSION}.`,
        {
          hint: version > CONTRACT_VERSION ? 'Update @updraft/core.' : 'Install the release of the plugin that fits.',
          details: { version, expected: CONTRACT_VERSION },
        },
      );
    const key = `${metadata.contract}:${metadata.name}`;
    const known = this.#plugins.get(key);
    if (known !== undefined && known.Class !== entry.Class)
      throw new CoreError(
        'plugin',
        `Two plugins of contract ${metadata.contract} are named "${metadata.name}": one of ${known.origin}, one of ${origin}.`,
        { hint: 'Use one of the packages only.' },
      );
    // The same class again, from a package that exports another's: the first origin stays.
    if (known === undefined) this.#plugins.set(key, entry);
  }

  /** Metadata of all plugins, of one contract, or with names that match a pattern such as `adam*`; sorted by name. */
  list(contract?: ContractName, pattern = '*'): RegisteredPlugin[] {
    const matches = matcher(pattern);
    return [...this.#plugins.values()]
      .filter(({ metadata }) => (contract === undefined || metadata.contract === contract) && matches(metadata.name))
      .map(({ metadata, origin }) => ({ ...metadata, origin }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.contract < b.contract ? -1 : 1));
  }

  /** The class of a plugin. @throws CoreError for an unknown name, with the nearest known ones. */
  find<C extends ContractName>(contract: C, name: string): PluginClass<Contracts[C]> {
    const entry = this.#plugins.get(`${contract}:${name}`);
    if (entry !== undefined) return entry.Class as PluginClass<Contracts[C]>;
    const names = this.list(contract).map((known) => known.name);
    const elsewhere = this.list().find((known) => known.name === name);
    const near = didYouMean(name, names);
    const hint =
      elsewhere !== undefined
        ? `"${name}" of ${elsewhere.origin} is a plugin of contract ${elsewhere.contract}.`
        : names.length === 0
          ? `No ${contract} is registered.`
          : `${near.charAt(0).toUpperCase()}${near.slice(1)} Known are: ${names.join(', ')}.`;
    throw new CoreError('plugin', `There is no ${contract} named "${name}".`, {
      hint,
      details: { contract, name, known: names },
    });
  }

  /** Construct a plugin by name; plugins that its options name come from this registry as well. @throws CoreError, OptionsError */
  create<C extends ContractName>(
    contract: C,
    name: string,
    options: unknown,
    container?: DependencyContainer,
  ): Contracts[C] {
    return instantiatePlugin(this.find(contract, name), options, container, (spec) =>
      this.fromSpec(spec as unknown as PluginSpec, container),
    );
  }

  /** Construct the plugin that a configuration names. @throws CoreError, OptionsError */
  fromSpec<Spec extends PluginSpec>(spec: Spec, container?: DependencyContainer): PluginOfSpec<Spec> {
    const keys = Object.keys(SPEC_KEYS) as SpecKey[];
    const given: Readonly<Record<string, unknown>> = typeof spec === 'object' && spec !== null ? spec : {};
    const named = keys.filter((key) => Object.hasOwn(given, key));
    const [key] = named;
    const name = key === undefined ? undefined : given[key];
    if (key === undefined || named.length > 1 || typeof name !== 'string')
      throw new CoreError(
        'plugin',
        `A plugin by name has ${named.length === 0 ? 'no name' : named.length > 1 ? `the names of ${named.join(' and ')}` : `a ${key} that is no text`}.`,
        {
          hint: `Write { "updateRule": "adamw", "options": { … } }, with one of ${keys.join(', ')}.`,
        },
      );
    const extra = Object.keys(given).filter((other) => other !== key && other !== 'options');
    if (extra.length > 0)
      throw new CoreError(
        'plugin',
        `The ${key} "${name}" has the unknown ${extra.length === 1 ? 'field' : 'fields'} ${extra.map((other) => `"${other}"`).join(', ')}.`,
        {
          hint: 'Put options of the method under "options".',
        },
      );
    return this.create(SPEC_KEYS[key], name, given['options'], container) as PluginOfSpec<Spec>;
  }
}

/** Tests names against a pattern in which `*` stands for any characters. Takes time linear in the name for each star. */
function matcher(pattern: string): (name: string) => boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (name) => name === pattern;
  return (name) => {
    if (!name.startsWith(first) || name.length < first.length + last.length) return false;
    let at = first.length;
    for (const part of rest) {
      const found = name.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return name.length - last.length >= at && name.endsWith(last);
  };
}
