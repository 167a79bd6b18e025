import {
  createContainer,
  CoreError,
  PluginRegistry,
  type Model,
  type Reward,
  type Sampler,
  type UpdateRule,
} from '@updraft/core';
import { inOrder, shuffled } from '@updraft/data';
import * as nn from '@updraft/nn';
import * as rules from '@updraft/rules';
import { chain, clipByGlobalNorm, schedules } from '@updraft/rules';
import { DATASETS, fromCatalogue, MODELS, type Datasets } from './catalogue.js';
import type { Config } from './config.js';
import { CliError } from './errors.js';

/** The plugins of the standard packages and of those that the configuration names. */
export async function loadPlugins(packages: readonly string[] = []): Promise<PluginRegistry> {
  const registry = new PluginRegistry().use(rules, '@updraft/rules').use(nn, '@updraft/nn');
  for (const name of packages) {
    let exports: Record<string, unknown>;
    try {
      exports = (await import(name)) as Record<string, unknown>;
    } catch (error) {
      throw new CliError(`The plugin package "${name}" cannot be loaded: ${(error as Error).message}.`, {
        cause: error,
        hint: `Install it with "npm install ${name}".`,
      });
    }
    registry.use(exports, name);
  }
  return registry;
}

export interface Pipeline {
  readonly model: Model;
  readonly data: Datasets;
  readonly sampler: Sampler;
  readonly evaluationSampler: () => Sampler;
  readonly reward: Reward;
  readonly updateRule: UpdateRule;
}

/** Serialised schedules among options become schedules. */
const reviveOptions = (options: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      typeof value === 'object' && value !== null && 'type' in value
        ? schedules.scheduleFrom(value as Record<string, number>)
        : value,
    ]),
  );

const EVALUATION_BATCH = 500;

/** Everything that a configuration names, resolved by name and checked. */
export async function buildPipeline(config: Config): Promise<Pipeline> {
  const registry = await loadPlugins(config.plugins);
  const container = createContainer();
  const model = fromCatalogue('model', MODELS, config.model);
  const data = await fromCatalogue('dataset', DATASETS, config.data);
  if (config.sampler.name !== 'shuffled')
    throw new CoreError('plugin', `There is no sampler named "${config.sampler.name}".`, {
      hint: 'Known is: shuffled.',
    });
  const { batchSize = 64, ...others } = config.sampler.options as { batchSize?: number };
  if (Object.keys(others).length > 0)
    throw new CliError(
      `The sampler "shuffled" has no option ${Object.keys(others)
        .map((name) => `"${name}"`)
        .join(', ')}.`,
      { hint: 'It has: batchSize.' },
    );
  const rule = registry.create(
    'update-rule',
    config.updateRule.name,
    reviveOptions(config.updateRule.options),
    container,
  );
  return {
    model,
    data,
    sampler: shuffled(data.train, { batchSize, seed: config.seed }),
    evaluationSampler: () => inOrder(data.test, EVALUATION_BATCH),
    reward: registry.create('reward', config.reward.name, reviveOptions(config.reward.options), container),
    updateRule: config.clipGlobalNorm === undefined ? rule : chain(clipByGlobalNorm(config.clipGlobalNorm), rule),
  };
}
