import {
  createContainer,
  instantiatePlugin,
  pluginMetadata,
  PluginRegistry,
  serialiseOptions,
  type ContractName,
  type Contracts,
  type PluginClass,
  type PluginMetadata,
} from '@updraft/core';
import { ContractError } from '../errors.js';

export type Options = Readonly<Record<string, unknown>>;
type Container = ReturnType<typeof createContainer>;

/** What a kit checks: a plugin class, or a function that makes an implementation which is no plugin. */
export type Subject<C extends ContractName> =
  PluginClass<Contracts[C]> | { readonly name: string; readonly create: (options: Options) => Contracts[C] };

/** A subject as kits use it. */
export interface ResolvedSubject<C extends ContractName> {
  readonly contract: C;
  readonly name: string;
  /** `update-rule "adam"`. */
  readonly label: string;
  /** Schema of the options; plugins have one. */
  readonly schema: PluginMetadata['options'] | undefined;
  create(options?: Options): Contracts[C];
  /** The way that configurations go: the name is looked up, options come as JSON. */
  readonly byName: ((options?: Options) => Contracts[C]) | undefined;
}

/**
 * @param defaults Options that every instance gets unless `create` is given others.
 * @param container Services for plugins that ask for some.
 * @throws ContractError for a class that is no plugin or one of another contract.
 */
export function resolveSubject<C extends ContractName>(
  contract: C,
  subject: Subject<C>,
  defaults: Options = {},
  container: () => Container = createContainer,
): ResolvedSubject<C> {
  if (typeof subject !== 'function')
    return {
      contract,
      name: subject.name,
      label: `${contract} "${subject.name}"`,
      schema: undefined,
      create: (options = defaults) => subject.create(options),
      byName: undefined,
    };
  const metadata = pluginMetadata(subject);
  if (metadata === undefined)
    throw new ContractError(`The class ${subject.name} is no plugin.`, {
      hint: 'Declare it with @plugin({ … }), or give { name, create }.',
    });
  if (metadata.contract !== contract)
    throw new ContractError(`The plugin "${metadata.name}" is of contract ${metadata.contract}, not ${contract}.`, {
      hint: `Use the kit for ${metadata.contract}.`,
    });
  return {
    contract,
    name: metadata.name,
    label: `${contract} "${metadata.name}"`,
    schema: metadata.options,
    create: (options = defaults) => instantiatePlugin(subject, options, container()),
    byName: (options = defaults) =>
      new PluginRegistry()
        .use({ [subject.name]: subject }, 'contract kit')
        .create(contract, metadata.name, JSON.parse(JSON.stringify(serialiseOptions(options))) as unknown, container()),
  };
}
