import 'reflect-metadata';
import { container as globalContainer, injectable, type DependencyContainer, type InjectionToken } from 'tsyringe';
import { UpdraftError } from '@updraft/graph';
import { closest } from 'fastest-levenshtein';
import type { z } from 'zod';
import type { Aggregator } from '../contracts/aggregator.js';
import type { Reward } from '../contracts/reward.js';
import type { Sampler } from '../contracts/sampler.js';
import type { UpdateRule } from '../contracts/update-rule.js';
import { defaultLinearAlgebra, type LinearAlgebra } from '../linear-algebra/index.js';
import { parseOptions } from '../options/options.js';

/** The contracts and what implements them. */
export interface Contracts {
  readonly 'update-rule': UpdateRule;
  readonly sampler: Sampler;
  readonly reward: Reward;
  readonly aggregator: Aggregator;
}
export type ContractName = keyof Contracts;

/** Version of the contracts of this release; a plugin built for another one is refused. */
export const CONTRACT_VERSION = 1;

/** What a plugin says about itself. */
export interface PluginMetadata<Schema extends z.ZodObject = z.ZodObject> {
  /** Name in configurations and on the command line, kebab-case. */
  readonly name: string;
  readonly contract: ContractName;
  readonly options: Schema;
  /** One sentence for lists. */
  readonly summary: string;
  /** Source of the method. */
  readonly paper?: string;
  /** Version of the package; kept in checkpoints. */
  readonly version?: string;
  /** Version of the contracts that it was built for; default: this one. */
  readonly contractVersion?: number;
}

export type PluginClass<T = unknown> = new (...services: never[]) => T;

/** Token under which a plugin finds its validated options. */
export const OPTIONS: InjectionToken<unknown> = Symbol('updraft.options');
/** Services that plugins may ask for in their constructors. */
export const LINEAR_ALGEBRA: InjectionToken<LinearAlgebra> = Symbol('updraft.linear-algebra');

const METADATA = Symbol.for('updraft.plugin');

/** Declares a class as a plugin. Nothing is registered anywhere: importing a package changes nothing. */
export const plugin =
  (metadata: PluginMetadata) =>
  <Class extends PluginClass>(target: Class): void => {
    Reflect.defineMetadata(METADATA, metadata, target);
    injectable()(target);
  };

/** Metadata of a plugin class; undefined for other values. */
export const pluginMetadata = (value: unknown): PluginMetadata | undefined =>
  typeof value === 'function' ? (Reflect.getOwnMetadata(METADATA, value) as PluginMetadata | undefined) : undefined;

/** A container for one pipeline, with the default services; override them with `register`. */
export function createContainer(parent: DependencyContainer = globalContainer): DependencyContainer {
  const child = parent.createChildContainer();
  child.register(LINEAR_ALGEBRA, { useValue: defaultLinearAlgebra });
  return child;
}

/** Validate options and construct a plugin with services from a container. */
export function instantiatePlugin<T>(Class: PluginClass<T>, options: unknown, container = createContainer()): T {
  const metadata = pluginMetadata(Class);
  if (metadata === undefined)
    throw new UpdraftError('plugin', `The class ${Class.name} is no plugin.`, { hint: 'Declare it with @plugin({ … }).' });
  const own = container.createChildContainer();
  own.register(OPTIONS, { useValue: parseOptions(metadata.options, options, metadata.name) });
  return own.resolve(Class as new (...services: unknown[]) => T);
}

/** The function that a package exports to be used from code: `lion({ learningRate: 1e-4 })`. */
export const pluginFactory =
  <T, Schema extends z.ZodObject>(Class: PluginClass<T>, _schema: Schema) =>
  (options?: z.input<Schema>, container?: DependencyContainer): T =>
    instantiatePlugin(Class, options, container);

interface Registered {
  readonly Class: PluginClass;
  readonly metadata: PluginMetadata;
  readonly origin: string;
}

/** Plugins by contract and name. */
export class PluginRegistry {
  readonly #plugins = new Map<string, Registered>();

  /** Register every plugin class that a package exports. */
  use(exports: Readonly<Record<string, unknown>>, origin = 'code'): this {
    const seen = new Set<unknown>();
    for (const value of Object.values(exports)) {
      const metadata = pluginMetadata(value);
      if (metadata === undefined || seen.has(value)) continue;
      seen.add(value);
      this.#register({ Class: value as PluginClass, metadata, origin });
    }
    return this;
  }

  #register(entry: Registered): void {
    const { metadata, origin } = entry;
    const version = metadata.contractVersion ?? CONTRACT_VERSION;
    if (version !== CONTRACT_VERSION)
      throw new UpdraftError(
        'plugin',
        `The plugin "${metadata.name}" of ${origin} was built for contract version ${version}; this is ${CONTRACT_VERSION}.`,
        { hint: 'Install the release of the plugin that fits.' },
      );
    const key = `${metadata.contract}:${metadata.name}`;
    const known = this.#plugins.get(key);
    if (known !== undefined && known.Class !== entry.Class)
      throw new UpdraftError(
        'plugin',
        `Two plugins of contract ${metadata.contract} are named "${metadata.name}": one of ${known.origin}, one of ${origin}.`,
        { hint: 'Use one of the packages only.' },
      );
    this.#plugins.set(key, entry);
  }

  /** Metadata of all plugins, of one contract, or with names that match a pattern such as `adam*`. */
  list(contract?: ContractName, pattern = '*'): (PluginMetadata & { readonly origin: string })[] {
    const matcher = new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`);
    return [...this.#plugins.values()]
      .filter(({ metadata }) => (contract === undefined || metadata.contract === contract) && matcher.test(metadata.name))
      .map(({ metadata, origin }) => ({ ...metadata, origin }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Construct a plugin by name; unknown names are answered with the nearest known one. */
  create<C extends ContractName>(contract: C, name: string, options: unknown, container?: DependencyContainer): Contracts[C] {
    const entry = this.#plugins.get(`${contract}:${name}`);
    if (entry === undefined) {
      const names = this.list(contract).map((known) => known.name);
      throw new UpdraftError('plugin', `There is no ${contract} named "${name}".`, {
        hint: names.length === 0 ? `No ${contract} is registered.` : `Did you mean "${closest(name, names)}"? Known are: ${names.join(', ')}.`,
      });
    }
    return instantiatePlugin(entry.Class as PluginClass<Contracts[C]>, options, container);
  }
}
