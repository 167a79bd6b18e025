import { UpdraftError } from '@updraft/graph';
import type { z } from 'zod';
import { didYouMean, nearestNames } from '../names.js';
import { OptionsError, valueText, type OptionProblem } from './options-error.js';
import type { ContractName } from '../plugins/metadata.js';
import { namesPlugin, optionContract, placeholder, type RevivePlugin } from './plugin-option.js';
import { rangeText, scalarBounds } from './scalar.js';
import { isSerialisedSchedule, type ReviveSchedule } from './schedule.js';
import { definitionOf, innermost } from './schema-shape.js';

/** What parsing may need besides the schema. */
export interface ParseContext {
  /** Makes schedules of serialised ones, wherever the schema has a {@link scalar}. */
  readonly schedules?: ReviveSchedule | undefined;
  /** Makes plugins that options name, wherever the schema has a {@link pluginOption}. */
  readonly plugins?: RevivePlugin | undefined;
}

/**
 * Parse options strictly: unknown names are refused, nested ones too, with the nearest known ones; every problem is listed.
 *
 * @param where Whose options these are; begins the message.
 * @throws OptionsError
 */
export function parseOptions<Schema extends z.ZodObject>(
  schema: Schema,
  input: unknown,
  where: string,
  context: ParseContext = {},
): z.output<Schema> {
  const problems: OptionProblem[] = [];
  const given = prepare(schema, input ?? {}, [], problems, context);
  const result = schema.safeParse(given);
  if (!result.success) for (const issue of result.error.issues) problems.push(...problemsOf(issue, given));
  if (problems.length > 0) throw new OptionsError(where, problems);
  return result.data as z.output<Schema>;
}

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Walks input beside its schema: notes unknown names (left out of the result), revives schedules. */
function prepare(
  schema: z.ZodType,
  input: unknown,
  path: readonly string[],
  problems: OptionProblem[],
  context: ParseContext,
): unknown {
  const inner = innermost(schema);
  if (scalarBounds(inner) !== undefined || scalarBounds(schema) !== undefined)
    return reviveSchedule(input, path, problems, context);
  const contract = optionContract(inner) ?? optionContract(schema);
  if (contract !== undefined) return revivePlugin(contract, input, path, problems, context);
  const { shape, catchall, element } = definitionOf(inner);
  if (element !== undefined && Array.isArray(input))
    return input.map((item, index) => prepare(element, item, [...path, String(index)], problems, context));
  if (shape === undefined || !isPlain(input)) return input;
  const known = Object.keys(shape);
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(input)) {
    if (Object.hasOwn(shape, name))
      result[name] = prepare(shape[name] as z.ZodType, value, [...path, name], problems, context);
    else if (catchall !== undefined && definitionOf(catchall).type !== 'never') result[name] = value;
    else problems.push(unknownName([...path, name].join('.'), name, known, value));
  }
  return result;
}

function unknownName(path: string, name: string, known: readonly string[], value: unknown): OptionProblem {
  const hint = known.length === 0 ? 'there are none' : didYouMean(name, known);
  return {
    path,
    expected: known.length === 0 ? 'no options' : `one of ${known.join(', ')}`,
    got: valueText(value),
    message: `there is no option "${path}"; ${hint}${nearestNames(name, known).length < known.length ? ` Known are: ${known.join(', ')}` : ''}`,
  };
}

function reviveSchedule(
  input: unknown,
  path: readonly string[],
  problems: OptionProblem[],
  { schedules }: ParseContext,
): unknown {
  if (schedules === undefined || !isSerialisedSchedule(input)) return input;
  // Already told where it fails; any number passes for the rest of the check.
  return revived(() => schedules(input), 'a schedule', input, path, problems) ?? { at: () => 0 };
}

function revivePlugin(
  contract: ContractName,
  input: unknown,
  path: readonly string[],
  problems: OptionProblem[],
  { plugins }: ParseContext,
): unknown {
  if (plugins === undefined || !namesPlugin(input)) return input;
  // Already told where it fails; something with the right methods passes for the rest of the check.
  return revived(() => plugins(input), `the contract "${contract}"`, input, path, problems) ?? placeholder(contract);
}

/** What `make` gives; undefined where it throws, which becomes a problem. */
function revived(
  make: () => unknown,
  expected: string,
  input: unknown,
  path: readonly string[],
  problems: OptionProblem[],
): unknown {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof UpdraftError)) throw error;
    const at = path.join('.');
    problems.push({
      path: at,
      expected,
      got: valueText(input),
      message: `"${at}": ${error.message.replace(/\.$/, '')}`,
    });
    return undefined;
  }
}

function problemsOf(issue: z.core.$ZodIssue, input: unknown): OptionProblem[] {
  const path = issue.path.map(String).join('.');
  const value = issue.path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    input,
  );
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => unknownName([...issue.path.map(String), key].join('.'), key, [], undefined));
  const expected = expectation(issue);
  const got = valueText(value);
  const hint =
    issue.code === 'invalid_value' && typeof value === 'string'
      ? `, ${didYouMean(value, issue.values.map(String))}`
      : '';
  return [{ path, expected, got, message: `"${path}" expected ${expected}, got ${got}${hint}` }];
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int'
        ? 'a whole number'
        : `${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`;
    case 'too_small':
      return sized(
        issue.origin,
        issue.inclusive === false ? { above: Number(issue.minimum) } : { min: Number(issue.minimum) },
      );
    case 'too_big':
      return sized(
        issue.origin,
        issue.inclusive === false ? { below: Number(issue.maximum) } : { max: Number(issue.maximum) },
      );
    case 'invalid_value':
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'invalid_union':
      return (
        [...new Set(issue.errors.flatMap((branch) => branch.slice(0, 1).map(expectation)))].join(' or ') ||
        issue.message
      );
    default:
      return issue.message.replace(/^(Invalid input: )?expected /, '');
  }
}

function sized(origin: string, bounds: Parameters<typeof rangeText>[0]): string {
  const range = rangeText(bounds);
  if (origin === 'string') return `a text of ${range} characters`;
  if (origin === 'array' || origin === 'set') return `a list of ${range} items`;
  return `a number ${range}`;
}
