import type { Backend } from '@updraft/backend';
import {
  compareResult,
  instantiatePlugin,
  isGenerationSampler,
  parseOptions,
  pluginMetadata,
  PluginRegistry,
  probeAggregator,
  probeCall,
  probeFederation,
  probeGeneration,
  probeModule,
  probeReward,
  probeSampler,
  probeUpdateRule,
  type Aggregator,
  type createContainer,
  type PluginClass,
  type PluginSpec,
  type ProbeContext,
  type Reward,
  type Sampler,
  type UpdateRule,
} from '@updraft/core';
import { UpdraftError } from '@updraft/graph';
import { z } from 'zod';
import { ContractError } from '../errors.js';

const tolerance = z.object({ absolute: z.number().min(0).optional(), relative: z.number().min(0).optional() });
const caseSchema = z.object({
  name: z.string().min(1).describe('What the case shows.'),
  plugin: z.string().describe('A plugin, or `package#export`, or a package where the input has a `call`.'),
  input: z.record(z.string(), z.unknown()).describe('Input of the probe.'),
  expected: z.unknown().optional().describe('The part of the result that is expected.'),
  error: z.string().optional().describe('A text of the expected error, instead of a result.'),
  tolerance: z.union([z.number().min(0), tolerance]).optional().describe('How far numbers may be off.'),
});
const fileSchema = z.object({
  origin: z.string().min(10).describe('Where the numbers come from.'),
  cases: z.array(caseSchema).min(1).describe('The cases.'),
});

/** One case of a file that `updraft probe --cases` takes as well. */
export type ProbeCase = z.output<typeof caseSchema>;

/** Cases with their origin. @throws OptionsError */
export const parseProbeCases = (json: unknown): readonly ProbeCase[] =>
  parseOptions(fileSchema, json, 'The file of cases').cases;

export interface ProbeCaseSettings {
  /** What the package exports: `import * as all from './index.js'`. */
  readonly exports: Readonly<Record<string, unknown>>;
  /** Exports of further packages whose plugins options and inputs name, such as `@updraft/rules`. */
  readonly others?: readonly Readonly<Record<string, unknown>>[];
  readonly backend: Backend;
  /** Services for the plugin of a case, such as the dataset of its `candidates`. */
  readonly container?: (input: Readonly<Record<string, unknown>>) => ReturnType<typeof createContainer>;
}

/**
 * Run a case of a file for `updraft probe`, without the command: plugins, layers, models and functions of one package.
 *
 * @throws ContractError with every value that differs.
 */
export async function runProbeCase(one: ProbeCase, settings: ProbeCaseSettings): Promise<void> {
  let found: unknown;
  try {
    found = await probe(one, settings);
  } catch (error) {
    if (one.error !== undefined && error instanceof UpdraftError && error.message.includes(one.error)) return;
    throw error;
  }
  if (one.error !== undefined)
    throw new ContractError(`The case "${one.name}" gives a result, where the error "${one.error}" was expected.`);
  const allowed = typeof one.tolerance === 'number' ? { absolute: one.tolerance, relative: 0 } : (one.tolerance as object);
  const { problems, compared } = compareResult(found, one.expected, allowed);
  if (problems.length > 0)
    throw new ContractError(`The case "${one.name}" differs:\n${problems.slice(0, 10).join('\n')}`);
  if (compared === 0) throw new ContractError(`The case "${one.name}" compares no number.`);
}

async function probe({ plugin, input }: ProbeCase, { exports, others = [], backend, container }: ProbeCaseSettings): Promise<unknown> {
  const registry = new PluginRegistry();
  for (const each of [exports, ...others])
    if (Object.values(each).some((value) => pluginMetadata(value) !== undefined)) registry.use(each, 'this package');
  const context: ProbeContext = {
    backend,
    reward: (name, options) => registry.create('reward', name, options),
    plugin: (contract, name, options) => registry.create(contract, name, options),
  };
  const lookup = (name: string): unknown => {
    const exported = name.slice(name.indexOf('#') + 1);
    return [exports, ...others].find((each) => Object.hasOwn(each, exported))?.[exported];
  };
  const { options = {}, ...rest } = input;
  if (typeof rest['call'] === 'string') return probeCall(lookup(rest['call']), input, context, lookup);
  if (plugin.includes('#')) return probeModule(lookup(plugin), input, context, lookup);
  const Class = Object.values(exports).find((value) => pluginMetadata(value)?.name === plugin) as PluginClass | undefined;
  if (Class === undefined) throw new ContractError(`The package exports no plugin "${plugin}".`);
  const made: unknown = instantiatePlugin(Class, options, container?.(input), (spec) => registry.fromSpec(spec as unknown as PluginSpec));
  switch (pluginMetadata(Class)?.contract) {
    case 'update-rule':
      return 'federation' in rest
        ? probeFederation({ updateRule: made as UpdateRule }, rest, context)
        : probeUpdateRule(made as UpdateRule, rest, context);
    case 'reward':
      return probeReward(made as Reward, rest, context);
    case 'aggregator':
      return 'federation' in rest
        ? probeFederation({ aggregator: made as Aggregator }, rest, context)
        : probeAggregator(made as Aggregator, rest, context);
    default:
      return isGenerationSampler(made as Sampler)
        ? probeGeneration(made as never, rest, context)
        : probeSampler(made as Sampler, rest);
  }
}
