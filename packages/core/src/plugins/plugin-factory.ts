import { UpdraftError } from '@updraft/graph';
import type { DependencyContainer } from 'tsyringe';
import type { z } from 'zod';
import { CoreError } from '../errors.js';
import { parseOptions } from '../options/parse-options.js';
import { CONTRACT_METHODS, pluginMetadata, type PluginClass } from './metadata.js';
import { createContainer, OPTIONS, serviceIfGiven } from './services.js';

/**
 * Validate options and construct a plugin with services from a container. What the factory of a package and the registry
 * both come to.
 *
 * @throws OptionsError, CoreError
 */
export function instantiatePlugin<T>(Class: PluginClass<T>, options: unknown, container = createContainer()): T {
  const metadata = pluginMetadata(Class);
  if (metadata === undefined)
    throw new CoreError('plugin', `The class ${Class.name} is no plugin.`, { hint: 'Declare it with @plugin({ … }).' });
  const own = container.createChildContainer();
  const schedules = serviceIfGiven(container, 'schedules');
  own.register(OPTIONS, { useValue: parseOptions(metadata.options, options, metadata.name, { schedules }) });
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
  const missing = CONTRACT_METHODS[metadata.contract].filter(
    (method) => typeof (instance as Record<string, unknown>)[method] !== 'function',
  );
  if (missing.length > 0)
    throw new CoreError(
      'plugin',
      `The plugin "${metadata.name}" is no ${metadata.contract}: it lacks ${missing.map((method) => `${method}()`).join(', ')}.`,
      {
        hint: `Implement the contract of "${metadata.contract}", or declare another one.`,
      },
    );
  return instance;
}

/** The function that a package exports to be used from code: `lion({ learningRate: 1e-4 })`. */
export const pluginFactory =
  <T, Schema extends z.ZodObject>(Class: PluginClass<T>, _schema: Schema) =>
  (options?: z.input<Schema>, container?: DependencyContainer): T =>
    instantiatePlugin(Class, options, container);
