import { UpdraftError } from '@updraft/graph';
import type { DependencyContainer } from 'tsyringe';
import type { z } from 'zod';
import { CoreError } from '../errors.js';
import { parseOptions } from '../options/parse-options.js';
import type { RevivePlugin } from '../options/plugin-option.js';
import { CONTRACT_METHODS, pluginMetadata, type PluginClass } from './metadata.js';
import { rememberPlugin } from './made-plugins.js';
import { createContainer, OPTIONS, serviceIfGiven } from './services.js';

/**
 * Validate options and construct a plugin with services from a container. What the factory of a package and the registry
 * both come to.
 *
 * @param plugins Makes the plugins that options name.
 * @throws OptionsError, CoreError
 */
export function instantiatePlugin<T>(
  Class: PluginClass<T>,
  options: unknown,
  container = createContainer(),
  plugins?: RevivePlugin,
): T {
  const metadata = pluginMetadata(Class);
  if (metadata === undefined)
    throw new CoreError('plugin', `The class ${Class.name} is no plugin.`, { hint: 'Declare it with @plugin({ … }).' });
  const own = container.createChildContainer();
  const schedules = serviceIfGiven(container, 'schedules');
  const parsed = parseOptions(metadata.options, options, metadata.name, { schedules, plugins });
  own.register(OPTIONS, { useValue: parsed });
  let instance: T;
  try {
    instance = own.resolve(Class as new (...services: unknown[]) => T);
  } catch (error) {
    if (error instanceof UpdraftError) throw error;
    throw new CoreError(
      'plugin',
      `The ${metadata.contract} "${metadata.name}" could not be made: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const [missing] = CONTRACT_METHODS[metadata.contract]
    .map((methods) => methods.filter((method) => typeof (instance as Record<string, unknown>)[method] !== 'function'))
    .sort((a, b) => a.length - b.length) as [string[], ...string[][]];
  if (missing.length > 0)
    throw new CoreError(
      'plugin',
      `The plugin "${metadata.name}" is no ${metadata.contract}: it lacks ${missing.map((method) => `${method}()`).join(', ')}.`,
      {
        hint: `Implement the contract of "${metadata.contract}", or declare another one.`,
      },
    );
  rememberPlugin(instance as object, { contract: metadata.contract, name: metadata.name, options: parsed });
  return instance;
}

/** The function that a package exports to be used from code: `lion({ learningRate: 1e-4 })`. */
export const pluginFactory =
  <T, Schema extends z.ZodObject>(Class: PluginClass<T>, _schema: Schema) =>
  (options?: z.input<Schema>, container?: DependencyContainer): T =>
    instantiatePlugin(Class, options, container);
