import { z } from 'zod';
import { CONTRACT_METHODS, type ContractName, type Contracts } from '../plugins/metadata.js';

const META = 'updraftPlugin';

/** Key under which configurations name a plugin of a contract: `{ "updateRule": "sgd", "options": { … } }`. */
export const SPEC_KEYS = {
  updateRule: 'update-rule',
  sampler: 'sampler',
  reward: 'reward',
  aggregator: 'aggregator',
} as const satisfies Readonly<Record<string, ContractName>>;
export type SpecKey = keyof typeof SPEC_KEYS;

/** The key for a contract. */
export const specKey = (contract: string): SpecKey | undefined =>
  (Object.keys(SPEC_KEYS) as SpecKey[]).find((key) => SPEC_KEYS[key] === contract);

/** Makes the plugin that a configuration names; throws an `UpdraftError` where it cannot. */
export type RevivePlugin = (spec: Readonly<Record<string, unknown>>) => unknown;

const implementsContract = (contract: ContractName, value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  CONTRACT_METHODS[contract].some((methods) =>
    methods.every((method) => typeof (value as Readonly<Record<string, unknown>>)[method] === 'function'),
  );

/**
 * An option that is a plugin itself, such as the rule that another one wraps. Code gives an instance; in configurations it is
 * named, `{ "updateRule": "sgd", "options": { "learningRate": 0.1 } }`, and the registry that makes the outer plugin makes it.
 */
export const pluginOption = <C extends ContractName>(contract: C) =>
  z
    .custom<Contracts[C]>(
      (value) => implementsContract(contract, value),
      `expected an implementation of the contract "${contract}", or { "${specKey(contract) ?? contract}": name, "options": { … } }`,
    )
    .meta({ [META]: contract });

/** Contract of a schema made by {@link pluginOption}; undefined for others. */
export const optionContract = (schema: z.ZodType): ContractName | undefined =>
  schema.meta()?.[META] as ContractName | undefined;

/** Whether a value names a plugin, as configurations do. */
export const namesPlugin = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  Object.keys(SPEC_KEYS).some((key) => typeof (value as Record<string, unknown>)[key] === 'string');

/** Something that has the methods of a contract and does nothing. */
export const placeholder = (contract: ContractName): Readonly<Record<string, () => undefined>> =>
  Object.fromEntries(CONTRACT_METHODS[contract][0].map((method) => [method, () => undefined]));
