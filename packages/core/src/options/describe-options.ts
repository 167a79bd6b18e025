import { z } from 'zod';
import { optionContract, specKey } from './plugin-option.js';
import { rangeText, scalarBounds, type Bounds } from './scalar.js';
import { isSchedule, serialiseOptions } from './schedule.js';
import { defaultOf, definitionOf, descriptionOf, innermost, mayBeMissing } from './schema-shape.js';

/** One option as documentation and help show it. */
export interface OptionRow {
  readonly name: string;
  readonly type: string;
  /** As JSON; empty where there is none. */
  readonly default: string;
  /** `at least 0 and below 1`; empty where every value of the type will do. */
  readonly range: string;
  readonly required: boolean;
  readonly description: string;
}

/** A JSON schema, as far as this package makes them. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The options of a schema, one row each. */
export const describeOptions = (schema: z.ZodObject): OptionRow[] =>
  Object.entries(schema.shape).map(([name, field]) => {
    const option = field as z.ZodType;
    return {
      name,
      type: typeText(option),
      default: defaultText(option),
      range: rangeOf(option),
      required: !mayBeMissing(option),
      description: descriptionOf(option) ?? '',
    };
  });

function defaultText(option: z.ZodType): string {
  const found = defaultOf(option);
  if (found === undefined || found.value === undefined) return '';
  if (typeof found.value === 'function') return '(function)';
  return isSchedule(found.value)
    ? JSON.stringify(found.value.describe?.() ?? '(schedule)')
    : JSON.stringify(serialiseOptions({ value: found.value })['value']);
}

function typeText(option: z.ZodType): string {
  const inner = innermost(option);
  if (scalarBounds(inner) !== undefined || scalarBounds(option) !== undefined) return 'number | schedule';
  const contract = optionContract(inner) ?? optionContract(option);
  if (contract !== undefined) return contract;
  const { type, entries, element } = definitionOf(inner);
  if (type === 'enum' && entries !== undefined) return Object.values(entries).map(String).join(' | ');
  if (type === 'literal') return [...(inner as z.ZodLiteral).values].map(String).join(' | ');
  if (type === 'union') return (inner as z.ZodUnion<readonly z.ZodType[]>).options.map(typeText).join(' | ');
  if (type === 'array' && element !== undefined) return `list of ${typeText(element)}`;
  if (type === 'number') return numberSchema(inner)['type'] === 'integer' ? 'integer' : 'number';
  return type === 'custom' ? 'value in code' : type;
}

const numberSchema = (inner: z.ZodType): JsonSchema => z.toJSONSchema(inner, { io: 'input', unrepresentable: 'any' });

function boundsOf(option: z.ZodType): Bounds {
  const inner = innermost(option);
  const bounds = scalarBounds(inner) ?? scalarBounds(option);
  if (bounds !== undefined) return bounds;
  if (definitionOf(inner).type !== 'number') return {};
  const schema = numberSchema(inner);
  const finite = (key: string): number | undefined => {
    const value = schema[key];
    // The bounds of safe integers are no news.
    return typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : undefined;
  };
  return definedOnly({
    min: finite('minimum'),
    max: finite('maximum'),
    above: finite('exclusiveMinimum'),
    below: finite('exclusiveMaximum'),
  });
}

const definedOnly = (bounds: Readonly<Record<keyof Bounds, number | undefined>>): Bounds =>
  Object.fromEntries(Object.entries(bounds).filter(([, value]) => value !== undefined));

const rangeOf = (option: z.ZodType): string => rangeText(boundsOf(option));

/** The JSON schema (draft 2020-12) of options as configuration files hold them, for editors and forms. */
export function optionsJsonSchema(schema: z.ZodObject): JsonSchema {
  const fields = Object.entries(schema.shape) as [string, z.ZodType][];
  const inFiles = fields.filter(
    ([, field]) => definitionOf(innermost(field)).type !== 'function' && typeof defaultOf(field)?.value !== 'function',
  );
  const required = inFiles.filter(([, field]) => !mayBeMissing(field)).map(([name]) => name);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: Object.fromEntries(inFiles.map(([name, field]) => [name, fieldSchema(field)])),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

function fieldSchema(field: z.ZodType): JsonSchema {
  const inner = innermost(field);
  const bounds = scalarBounds(inner) ?? scalarBounds(field);
  const description = descriptionOf(field);
  const found = defaultOf(field);
  const shown = found === undefined ? undefined : serialiseOptions({ value: found.value })['value'];
  const contract = optionContract(inner) ?? optionContract(field);
  const {
    $schema: _draft,
    default: _default,
    ...own
  } = bounds !== undefined
    ? scalarSchema(bounds)
    : contract !== undefined
      ? pluginSchema(contract)
      : numberSchema(inner);
  return {
    ...own,
    ...(description === undefined ? {} : { description }),
    ...(shown === undefined ? {} : { default: shown }),
  };
}

const pluginSchema = (contract: string): Record<string, unknown> => {
  const key = specKey(contract) ?? contract;
  return {
    type: 'object',
    properties: {
      [key]: { type: 'string', description: `Name of the ${contract}.` },
      options: { type: 'object', description: 'Its options.' },
    },
    required: [key],
    additionalProperties: false,
  };
};

const scalarSchema = ({ min, max, above, below }: Bounds): Record<string, unknown> => ({
  anyOf: [
    {
      type: 'number',
      ...(min === undefined ? {} : { minimum: min }),
      ...(max === undefined ? {} : { maximum: max }),
      ...(above === undefined ? {} : { exclusiveMinimum: above }),
      ...(below === undefined ? {} : { exclusiveMaximum: below }),
    },
    { type: 'object', description: 'A schedule.', properties: { type: { type: 'string' } }, required: ['type'] },
  ],
});
