import './reflect.js';
import { injectable } from 'tsyringe';
import type { z } from 'zod';
import type { Aggregator } from '../contracts/aggregator.js';
import type { Reward } from '../contracts/reward.js';
import type { Sampler } from '../contracts/sampler.js';
import type { UpdateRule } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';

/** The contracts and what implements them. */
export interface Contracts {
  readonly 'update-rule': UpdateRule;
  /** Classes of this contract may be generation samplers instead: ask `isGenerationSampler` of one that is made by name. */
  readonly sampler: Sampler;
  readonly reward: Reward;
  readonly aggregator: Aggregator;
}
export type ContractName = keyof Contracts;

/** Methods that every implementation of a contract has: all of one list. */
export const CONTRACT_METHODS: Readonly<Record<ContractName, readonly [readonly string[], ...(readonly string[])[]]>> =
  {
    'update-rule': [['init', 'update']],
    sampler: [
      ['draw', 'state', 'restore'],
      ['init', 'steps', 'step'],
    ],
    // A reward has an objective, a score or advantages; each may be absent.
    reward: [[]],
    aggregator: [['combine']],
  };

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

const METADATA = Symbol.for('updraft.plugin');
const KEBAB_CASE = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/**
 * Declares a class as a plugin: its metadata are kept with the class. Nothing is registered anywhere: importing a package
 * changes nothing.
 *
 * @throws CoreError for a name that is not kebab-case.
 */
export const plugin = (metadata: PluginMetadata) => {
  if (!KEBAB_CASE.test(metadata.name))
    throw new CoreError('plugin', `"${metadata.name}" is no name for a plugin.`, {
      hint: 'Names are kebab-case: "my-method".',
    });
  return <Class extends PluginClass>(target: Class): void => {
    Reflect.defineMetadata(METADATA, metadata, target);
    injectable()(target);
  };
};

/** Metadata of a plugin class; undefined for other values, subclasses of plugins among them. */
export const pluginMetadata = (value: unknown): PluginMetadata | undefined =>
  typeof value === 'function' ? (Reflect.getOwnMetadata(METADATA, value) as PluginMetadata | undefined) : undefined;
