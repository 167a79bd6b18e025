import type { Backend } from '@updraft/backend';
import {
  callInput,
  createContainer,
  instantiatePlugin,
  isGenerationSampler,
  parseOptions,
  probeAggregator,
  probeCall,
  probeFederation,
  probeGeneration,
  probeJsonSchema,
  probeModule,
  probeReward,
  probeSampler,
  probeUpdateRule,
  RandomStream,
  readArgument,
  readTensor,
  serialiseOptions,
  type Aggregator,
  type ContractName,
  type PluginSpec,
  type RevivePlugin,
  type GenerationSampler,
  type ProbeContext,
  type ProbeResult,
  type Reward,
  type Sampler,
  type UpdateRule,
} from '@updraft/core';
import { fromTensors, provideDataset, type Dataset } from '@updraft/data';
import type { TensorData } from '@updraft/graph';
import { schedules } from '@updraft/rules';
import { CliError } from '../errors.js';
import { shortName, type InstalledPlugins } from '../plugin-discovery.js';
import { probeModels } from './models.js';
import { exportNamed, findTarget, type Target } from './target.js';

type Values = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A list of candidates as columns: objects by key, anything else as the column "value". */
function columnsOf(candidates: unknown): Values {
  if (!Array.isArray(candidates)) {
    if (isObject(candidates)) return candidates;
    throw new CliError('"candidates" expected columns by name, or a list.');
  }
  const list = candidates as unknown[];
  const [first] = list;
  if (!isObject(first)) return { value: list };
  return Object.fromEntries(
    Object.keys(first).map((key) => [
      key,
      list.map((item, index) => {
        if (!isObject(item) || !(key in item)) throw new CliError(`"candidates.${index}" has no "${key}".`);
        return item[key];
      }),
    ]),
  );
}

const datasetOf = (candidates: unknown, allowNonFinite: boolean): Dataset =>
  fromTensors(
    Object.fromEntries(
      Object.entries(columnsOf(candidates)).map(([name, json]): [string, TensorData] => [
        name,
        readTensor(json, `candidates.${name}`, { allowNonFinite }).value,
      ]),
    ),
  );

/** Probes plugins of installed packages on one device. */
export class Prober {
  readonly #context: ProbeContext;

  constructor(
    readonly plugins: InstalledPlugins,
    readonly backend: Backend,
  ) {
    this.#context = {
      backend,
      model: probeModels(plugins),
      plugin: (contract, name, options) => plugins.create(contract, name, options, this.#container(0)),
      reward: (name, options) => plugins.create('reward', name, options, this.#container(0)),
    };
  }

  #container(seed: number): ReturnType<typeof createContainer> {
    return createContainer({
      schedules: schedules.scheduleFrom,
      backend: this.backend,
      random: RandomStream.fromSeed(seed).split('plugins'),
    });
  }

  /** Other exports, which arguments name as `name` or `package#name`. */
  #lookup(origin: string): (name: string) => unknown {
    return (name) => {
      const [place = '', exported] = name.split('#');
      if (exported === undefined) return exportNamed(this.plugins, origin, name);
      const found = findTarget(this.plugins, `${place}#${exported}`);
      return found.kind === 'plugin' ? found.Class : found.kind === 'export' ? found.value : undefined;
    };
  }

  /** Evaluate what a name stands for on an input. @throws UpdraftError */
  async probe(name: string, input: Values, contract?: ContractName): Promise<ProbeResult> {
    const target = findTarget(this.plugins, name, contract);
    if (input['call'] !== undefined) return this.#call(target, input);
    if (target.kind === 'package') throw packageError(this.plugins, target.origin);
    return target.kind === 'plugin' ? this.#plugin(target, input) : this.#export(target, input);
  }

  async #plugin(target: Target & { readonly kind: 'plugin' }, input: Values): Promise<ProbeResult> {
    const { Class, metadata, origin, contract, name } = target;
    const seed = typeof input['seed'] === 'number' ? input['seed'] : 0;
    let container = this.#container(seed);
    if (contract === 'sampler' && input['candidates'] !== undefined)
      container = provideDataset(datasetOf(input['candidates'], input['allowNonFinite'] === true), container);
    // Functions and compositions among the options are written as arguments are.
    const options = readArgument(input['options'] ?? {}, 'options', {
      lookup: this.#lookup(origin),
      allowNonFinite: true,
    });
    const made: RevivePlugin = (spec) => this.plugins.fromSpec(spec as unknown as PluginSpec, container);
    const parsed = parseOptions(metadata.options, options, metadata.name, {
      schedules: schedules.scheduleFrom,
      plugins: made,
    });
    const result = await this.#contract(contract, instantiatePlugin(Class, options, container, made), input);
    return {
      plugin: name,
      contract,
      origin,
      device: this.backend.device,
      options: JSON.parse(JSON.stringify(serialiseOptions(parsed))) as ProbeResult,
      ...result,
    };
  }

  #contract(contract: ContractName, plugin: unknown, { options: _, ...input }: Values): Promise<ProbeResult> {
    switch (contract) {
      case 'update-rule':
        return 'federation' in input
          ? probeFederation({ updateRule: plugin as UpdateRule }, input, this.#context)
          : probeUpdateRule(plugin as UpdateRule, input, this.#context);
      case 'reward':
        return probeReward(plugin as Reward, input, this.#context);
      case 'sampler':
        return isGenerationSampler(plugin as Sampler | GenerationSampler)
          ? probeGeneration(plugin as GenerationSampler, input, this.#context)
          : probeSampler(plugin as Sampler, input);
      case 'aggregator':
        return 'federation' in input
          ? probeFederation({ aggregator: plugin as Aggregator }, input, this.#context)
          : probeAggregator(plugin as Aggregator, input, this.#context);
    }
  }

  /** An export that makes something of a contract is probed as that; anything else as a layer or model. */
  async #export({ value, origin, name }: Target & { readonly kind: 'export' }, input: Values): Promise<ProbeResult> {
    const { arguments: items, options, ...rest } = input;
    const lookup = this.#lookup(origin);
    const head = { export: `${origin}#${name}`, device: this.backend.device };
    const given = Array.isArray(items) ? (items as unknown[]) : [];
    if (typeof value === 'function' && !('inputs' in input)) {
      const list = (options === undefined ? given : [options, ...given]).map((item, index) =>
        readArgument(item, `arguments.${index}`, { lookup, allowNonFinite: true }),
      );
      const made: unknown = (value as (...each: unknown[]) => unknown)(...list);
      const contract = contractOf(made);
      if (contract === undefined)
        throw new CliError(`${origin}#${name} makes nothing that can be probed with this input.`, {
          hint: 'A layer or model needs "inputs"; a plain function is named by "call".',
        });
      return { ...head, contract, ...(await this.#contract(contract, made, rest)) };
    }
    return { ...head, ...(await probeModule(value, input, this.#context, lookup)) };
  }

  async #call(target: Target, input: Values): Promise<ProbeResult> {
    const { call } = parseOptions(callInput, input, 'The input');
    const value = exportNamed(this.plugins, target.origin, call ?? '');
    return {
      export: `${target.origin}#${call ?? ''}`,
      device: this.backend.device,
      ...(await probeCall(value, input, this.#context, this.#lookup(target.origin))),
    };
  }
}

/** Which contract an object has the methods of. */
function contractOf(value: unknown): ContractName | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const has = (...methods: readonly string[]): boolean =>
    methods.every((method) => typeof (value as Values)[method] === 'function');
  if (has('init', 'update')) return 'update-rule';
  if (has('combine')) return 'aggregator';
  if (has('draw', 'state', 'restore') || has('init', 'steps', 'step')) return 'sampler';
  return has('objective') || has('score') || has('advantages') ? 'reward' : undefined;
}

function packageError(plugins: InstalledPlugins, origin: string): CliError {
  const names = plugins.list().filter((known) => known.origin === origin);
  return new CliError(`The package ${origin} has ${names.length === 0 ? 'no plugin' : `${names.length} plugins`}.`, {
    hint:
      names.length === 0
        ? `Probe one of its exports: ${shortName(origin)}#name, or give "call" in the input.`
        : `Name one of them: ${names.map(({ name }) => name).join(', ')}.`,
  });
}

/** JSON schema of the input for what a name stands for. @throws CliError */
export function inputSchema(
  plugins: InstalledPlugins,
  name: string,
  contract?: ContractName,
): ReturnType<typeof probeJsonSchema> {
  const target = findTarget(plugins, name, contract);
  if (target.kind === 'plugin') {
    const generates = target.contract === 'sampler' && typeof (target.Class.prototype as Values)['step'] === 'function';
    const schema = probeJsonSchema(generates ? 'generation' : target.contract, target.metadata.options);
    return {
      title: `${target.name} (${target.contract} of ${target.origin})`,
      description: target.metadata.summary,
      ...schema,
    };
  }
  const kinds = target.kind === 'package' ? (['call'] as const) : (['module', 'call'] as const);
  return {
    title: target.kind === 'package' ? target.origin : `${target.origin}#${target.name}`,
    anyOf: kinds.map((kind) => probeJsonSchema(kind)),
  };
}
