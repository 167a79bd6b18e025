import { createBackend, type Backend } from '@updraft/backend';
import {
  createContainer,
  OptionsError,
  parseOptions,
  pluginMetadata,
  RandomStream,
  type ContractName,
  type Logger,
  type Model,
  type OptionProblem,
  type PluginRegistry,
  type Reward,
  type Sampler,
  type UpdateRule,
} from '@updraft/core';
import { inOrder, provideDataset } from '@updraft/data';
import { chain, clipByGlobalNorm, schedules } from '@updraft/rules';
import type { z } from 'zod';
import { DATASETS, type Datasets } from './catalogue/datasets.js';
import { findEntry, makeEntry, type NamedPart } from './catalogue/entry.js';
import { inferredOptions, inferredReward, MODELS } from './catalogue/models.js';
import type { Config } from './config/schema.js';
import { loadPlugins } from './plugins.js';

/** Everything that a run is composed of. */
export interface Pipeline {
  /** The configuration, completed by what followed from the data. */
  readonly config: Config;
  readonly model: Model;
  readonly data: Datasets;
  readonly sampler: Sampler;
  readonly evaluationSampler: () => Sampler;
  readonly reward: Reward;
  readonly updateRule: UpdateRule;
}

const parsing = { schedules: schedules.scheduleFrom };

/** Check the options of all named parts at once, so that every problem is told, with its path in the configuration. */
function checkOptions(config: Config, registry: PluginRegistry): void {
  const schemaOf = (contract: ContractName, { name }: NamedPart): z.ZodObject =>
    (pluginMetadata(registry.find(contract, name)) as { readonly options: z.ZodObject }).options;
  const parts: [keyof Config, NamedPart, z.ZodObject][] = [
    ['model', config.model, findEntry('model', MODELS, config.model.name).options],
    ['data', config.data, findEntry('dataset', DATASETS, config.data.name).options],
    ['sampler', config.sampler, schemaOf('sampler', config.sampler)],
    ['updateRule', config.updateRule, schemaOf('update-rule', config.updateRule)],
  ];
  if (config.reward !== undefined) parts.push(['reward', config.reward, schemaOf('reward', config.reward)]);
  const problems = parts.flatMap(([key, { name, options }, schema]): readonly OptionProblem[] => {
    try {
      parseOptions(schema, options, name, parsing);
      return [];
    } catch (error) {
      if (!(error instanceof OptionsError)) throw error;
      return error.problems.map((problem) => {
        const path = [key, 'options', problem.path].filter((step) => step !== '').join('.');
        return { ...problem, path, message: problem.message.replace(`"${problem.path}"`, () => `"${path}"`) };
      });
    }
  });
  if (problems.length > 0) throw new OptionsError('The configuration', problems);
}

/** What a plugin logs goes to the standard error, so that it never mixes with results. */
const logger: Logger = {
  log(level, message, facts) {
    if (level === 'debug') return;
    process.stderr.write(`${level}: ${message}${facts === undefined ? '' : ` ${JSON.stringify(facts)}`}\n`);
  },
};

/**
 * Make everything that a configuration names, resolved by name and checked, use it, and free the device. Names and options
 * are checked before the device is looked for.
 *
 * @throws CliError, CoreError for unknown names, OptionsError for options, DeviceUnavailableError, DataError for the data.
 */
export async function withPipeline<T>(
  config: Config,
  use: (pipeline: Pipeline, backend: Backend) => T | Promise<T>,
): Promise<T> {
  const registry = await loadPlugins(config.plugins);
  checkOptions(config, registry);
  // The process is ours, which is what this option asks for.
  const backend = await createBackend({ device: config.device, flushDenormals: true });
  try {
    return await use(await buildPipeline(config, registry, backend), backend);
  } finally {
    await backend.dispose();
  }
}

async function buildPipeline(config: Config, registry: PluginRegistry, backend: Backend): Promise<Pipeline> {
  const data = await makeEntry('dataset', DATASETS, config.data);
  const model: NamedPart = {
    name: config.model.name,
    options: {
      ...inferredOptions(config.model.name, data, config.model.options['column']),
      ...config.model.options,
    },
  };
  const complete: Config = { ...config, model, reward: config.reward ?? { name: inferredReward(data), options: {} } };
  const reward = complete.reward as NamedPart;
  const container = createContainer({
    ...parsing,
    backend,
    logger,
    random: RandomStream.fromSeed(config.seed).split('plugins'),
  });
  const rule = registry.create('update-rule', config.updateRule.name, config.updateRule.options, container);
  return {
    config: complete,
    model: makeEntry('model', MODELS, model),
    data,
    sampler: registry.create(
      'sampler',
      config.sampler.name,
      config.sampler.options,
      provideDataset(data.train, container),
    ),
    evaluationSampler: () => inOrder(data.test, config.evaluationBatchSize),
    reward: registry.create('reward', reward.name, reward.options, container),
    updateRule: config.clipGlobalNorm === undefined ? rule : chain(clipByGlobalNorm(config.clipGlobalNorm), rule),
  };
}
