import { describeOptions, optionsJsonSchema } from '@updraft/core';
import { configSchema, PART_TYPE, PARTS } from './schema.js';

type JsonSchema = ReturnType<typeof optionsJsonSchema>;

const isPart = (name: string): boolean => (PARTS as readonly string[]).includes(name);

/** One key of a configuration. */
interface KeyRow {
  readonly name: string;
  readonly type: string;
  /** As JSON; `required` where there is none; empty where it may be left out. */
  readonly default: string;
  readonly description: string;
}

/** Every key of a configuration, one row each. */
export const configKeys = (): KeyRow[] =>
  describeOptions(configSchema).map(({ name, type, default: value, range, required, description }) => ({
    name,
    type: isPart(name) ? PART_TYPE : [type, range].filter((text) => text !== '').join(', '),
    default: required ? 'required' : value,
    description,
  }));

/** The keys as a table of Markdown, as the README has it. */
export function configTable(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const code = (text: string): string => (text === '' || text === 'required' ? text : `\`${text}\``);
  return [
    '| Key | Value | Default | What it is |',
    '| --- | --- | --- | --- |',
    ...configKeys().map(
      (row) => `| \`${row.name}\` | ${cell(row.type)} | ${code(row.default)} | ${cell(row.description)} |`,
    ),
  ].join('\n');
}

/** The JSON schema of configurations, for editors. */
export function configJsonSchema(): JsonSchema {
  const schema = optionsJsonSchema(configSchema);
  const properties = schema['properties'] as Readonly<Record<string, JsonSchema>>;
  const options = { type: 'object' };
  const asPart = ({ description, default: value }: JsonSchema): JsonSchema => ({
    ...(description === undefined ? {} : { description }),
    ...(value === undefined ? {} : { default: value }),
    anyOf: [
      { type: 'string' },
      {
        type: 'object',
        properties: { name: { type: 'string' }, options },
        required: ['name'],
        additionalProperties: false,
      },
    ],
  });
  return {
    ...schema,
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, property]) => [name, isPart(name) ? asPart(property) : property]),
    ),
  };
}
