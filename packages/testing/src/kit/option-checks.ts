import { describeOptions, OptionsError, optionsJsonSchema, parseOptions } from '@updraft/core';
import { UpdraftError } from '@updraft/graph';
import { ContractError } from '../errors.js';
import type { Check } from './contract-kit.js';
import type { Options, ResolvedSubject } from './subject.js';

/** Another value for an option, under which the subject must behave otherwise. */
export interface OptionEffect {
  readonly value: unknown;
  /** Other options that must be set for this one to matter. */
  readonly with?: Options;
}

/** What kits take about options. */
export interface OptionSettings {
  /** Sensible options, with which most checks are run; default: the defaults. */
  readonly options?: Options;
  /** For options whose effect the kit cannot show by itself (texts, functions, those that need others): what to set. */
  readonly effects?: Readonly<Record<string, OptionEffect>>;
  /** Numeric options for which every finite number is right. */
  readonly unbounded?: readonly string[];
}

interface Leaf {
  readonly path: readonly string[];
  readonly schema: Readonly<Record<string, unknown>>;
}

/** The numeric part of a JSON schema, where a union has one. */
function numericPart(schema: Readonly<Record<string, unknown>>): Leaf['schema'] | undefined {
  if (schema['type'] === 'number' || schema['type'] === 'integer') return schema;
  const branches = (schema['anyOf'] ?? []) as readonly Leaf['schema'][];
  return branches.map(numericPart).find((part) => part !== undefined);
}

function numericLeaves(schema: Leaf['schema'], path: readonly string[] = []): Leaf[] {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Leaf['schema']>>;
  return Object.entries(properties).flatMap(([name, property]) => {
    const numeric = numericPart(property);
    return numeric === undefined
      ? numericLeaves(property, [...path, name])
      : [{ path: [...path, name], schema: numeric }];
  });
}

const withValue = (options: Options, [name, ...rest]: readonly string[], value: unknown): Options =>
  name === undefined
    ? options
    : { ...options, [name]: rest.length === 0 ? value : withValue((options[name] ?? {}) as Options, rest, value) };

const bound = (schema: Leaf['schema'], key: string): number | undefined => {
  const value = schema[key];
  return typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : undefined;
};

/** Values just outside of the bounds of a numeric option. */
function outside(schema: Leaf['schema']): number[] {
  const [minimum, maximum] = [bound(schema, 'minimum'), bound(schema, 'maximum')];
  const [above, below] = [bound(schema, 'exclusiveMinimum'), bound(schema, 'exclusiveMaximum')];
  return [
    minimum === undefined ? [] : [minimum - 1],
    maximum === undefined ? [] : [maximum + 1],
    above === undefined ? [] : [above],
    below === undefined ? [] : [below],
  ].flat();
}

/**
 * Values other than the present one that the schema takes: 0.5 first, because half of anything is rarely lost in
 * rounding.
 */
function otherValues(type: string, present: unknown): unknown[] {
  if (type === 'boolean') return [present !== true];
  const numbers = typeof present === 'number' ? [present / 2, present + 1, present - 1, present * 2] : [];
  if (/number|integer/.test(type)) return [0.5, ...numbers, 0.1, 1, 2, 3, 0];
  if (type === 'string') return [`other-${String(present)}`];
  if (!type.includes(' | ')) return [];
  return type.split(' | ').filter((choice) => choice !== present);
}

/**
 * The checks on the options of a plugin: documented, defaults valid, refused out of range with their path, and each with
 * an effect.
 *
 * @param behaviour What the subject does with options, as a text that differs where the behaviour does; undefined to leave
 *   the effects unchecked.
 */
export function optionChecks(
  {
    schema,
    label,
    create,
  }: Pick<ResolvedSubject<'reward'>, 'schema' | 'label'> & { create(options?: Options): unknown },
  settings: OptionSettings,
  behaviour: (options: Options) => Promise<string>,
): Check[] {
  if (schema === undefined) return [];
  const given = settings.options ?? {};
  const parse = (options: Options): Options => parseOptions(schema, options, label) as Options;

  /** To be refused in use is an effect, too: another name of a column that there is not. */
  const behaviourOrError = async (options: Options): Promise<string> => {
    try {
      return await behaviour(options);
    } catch (error) {
      if (error instanceof UpdraftError && !(error instanceof ContractError)) return error.message;
      throw error;
    }
  };

  const refuses = (options: Options, path: string, what: string): void => {
    try {
      create(options);
    } catch (error) {
      if (error instanceof OptionsError && error.problems.some((problem) => problem.path === path)) return;
      throw new ContractError(`${what} is refused, but not by an OptionsError that names "${path}": ${String(error)}`, {
        hint: 'Let the schema of the options refuse it.',
      });
    }
    throw new ContractError(`${what} is taken.`, { hint: 'Give the option bounds in the schema.' });
  };

  return [
    {
      id: 'options-described',
      title: 'every option has a description',
      async run() {
        await Promise.resolve();
        const visit = (properties: Leaf['schema'], path: string): void => {
          for (const [name, property] of Object.entries(properties) as [string, Leaf['schema']][]) {
            const described = typeof property['description'] === 'string' && property['description'].trim() !== '';
            if (!described)
              throw new ContractError(`The option "${path}${name}" has no description.`, {
                hint: "Add .describe('…') to it.",
              });
            if (property['properties'] !== undefined)
              visit(property['properties'] as Leaf['schema'], `${path}${name}.`);
          }
        };
        // Rows hold options that no file can hold (functions) as well; the JSON schema goes deeper.
        visit(Object.fromEntries(describeOptions(schema).map((row) => [row.name, { ...row }])), '');
        visit((optionsJsonSchema(schema)['properties'] ?? {}) as Leaf['schema'], '');
      },
    },
    {
      id: 'options-defaults',
      title: 'defaults are values that the options take',
      async run() {
        await Promise.resolve();
        const parsed = parse(given);
        // Defaults pass a schema unseen; given again they are looked at.
        const again = parse(parsed);
        for (const name of Object.keys(parsed))
          if (JSON.stringify(parsed[name]) !== JSON.stringify(again[name]))
            throw new ContractError(`The default of the option "${name}" does not stay what it is when it is given.`);
      },
    },
    {
      id: 'options-refused',
      title: 'options out of range are refused with their path, unknown ones with their name',
      async run() {
        await Promise.resolve();
        for (const { path, schema: leaf } of numericLeaves(optionsJsonSchema(schema))) {
          const name = path.join('.');
          const wrong = outside(leaf);
          if (wrong.length === 0 && settings.unbounded?.includes(name) !== true)
            throw new ContractError(`The option "${name}" takes every number.`, {
              hint: 'Give it bounds in the schema, or list it under `unbounded` where every number is right.',
            });
          for (const value of [...wrong, NaN, Infinity, 'text'])
            refuses(withValue(given, path, value), name, `"${name}": ${JSON.stringify(value)}`);
        }
        refuses({ ...given, 'no-such-option': 1 }, 'no-such-option', 'An unknown option');
      },
    },
    {
      id: 'options-matter',
      title: 'every option changes something',
      async run() {
        const known = new Map<string, string>();
        for (const { name, type } of describeOptions(schema)) {
          const effect = settings.effects?.[name];
          const base = { ...given, ...effect?.with };
          const present = parse(base)[name];
          const fits = (value: unknown): boolean => {
            try {
              parse({ ...base, [name]: value });
              return JSON.stringify(value) !== JSON.stringify(present);
            } catch {
              return false;
            }
          };
          const values = effect === undefined ? otherValues(type, present).filter(fits).slice(0, 2) : [effect.value];
          if (values.length === 0)
            throw new ContractError(`The kit knows no other value for the option "${name}" (${type}).`, {
              hint: `Give one: effects: { ${name}: { value: … } }.`,
            });
          const key = JSON.stringify(base);
          const before = known.get(key) ?? (await behaviour(base));
          // Functions and schedules are not in the key.
          if (effect?.with === undefined) known.set(key, before);
          let differs = false;
          for (const value of values) differs ||= (await behaviourOrError({ ...base, [name]: value })) !== before;
          if (!differs)
            throw new ContractError(
              `The option "${name}" changes nothing: ${values.map((value) => JSON.stringify(value) ?? 'the given value').join(' and ')} do what ${JSON.stringify(present) ?? 'the present value'} does.`,
              { hint: `If it needs other options, say so: effects: { ${name}: { value: …, with: { … } } }.` },
            );
        }
      },
    },
  ];
}

/** Options that take a schedule, with a positive value for each. */
export function scheduledOptions(
  schema: ResolvedSubject<'reward'>['schema'],
  options: Options = {},
): { name: string; value: number }[] {
  if (schema === undefined) return [];
  const parsed = parseOptions(schema, options, 'options') as Options;
  return describeOptions(schema)
    .filter(({ type }) => type === 'number | schedule')
    .map(({ name }) => {
      const value = parsed[name];
      return { name, value: typeof value === 'number' && value !== 0 ? value : 0.25 };
    });
}
