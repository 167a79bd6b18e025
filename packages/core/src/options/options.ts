import { UpdraftError } from '@updraft/graph';
import { closest } from 'fastest-levenshtein';
import { z } from 'zod';
import { isSchedule, type ScalarValue } from './schedule.js';

/** Options that do not fit their schema; lists every problem. */
export class OptionsError extends UpdraftError {
  constructor(
    readonly where: string,
    readonly problems: readonly string[],
  ) {
    super('options', `${where}: ${problems.join('; ')}.`, { details: { where, problems } });
  }
}

/** A number with bounds, or a schedule of such numbers. */
export const scalar = (bounds: { readonly min?: number; readonly max?: number; readonly above?: number } = {}) =>
  z.custom<ScalarValue>((value) => {
    if (isSchedule(value)) return true;
    if (typeof value !== 'number' || !Number.isFinite(value)) return false;
    return (
      (bounds.min === undefined || value >= bounds.min) &&
      (bounds.max === undefined || value <= bounds.max) &&
      (bounds.above === undefined || value > bounds.above)
    );
  }, `expected ${boundsText(bounds)} or a schedule`);

function boundsText({ min, max, above }: { min?: number; max?: number; above?: number }): string {
  const low = above === undefined ? (min === undefined ? undefined : `at least ${min}`) : `above ${above}`;
  const high = max === undefined ? undefined : `at most ${max}`;
  const limits = [low, high].filter((part) => part !== undefined).join(' and ');
  return limits === '' ? 'a finite number' : `a number ${limits}`;
}

/** Parse options with a strict schema: unknown keys are refused with the nearest known name, every problem is listed. */
export function parseOptions<Schema extends z.ZodObject>(schema: Schema, input: unknown, where: string): z.output<Schema> {
  const result = schema.strict().safeParse(input ?? {});
  if (result.success) return result.data as z.output<Schema>;
  const known = Object.keys(schema.shape);
  const problems = result.error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => `there is no option "${key}"${known.length > 0 ? `; did you mean "${closest(key, known)}"?` : ''}`);
    return [`"${issue.path.join('.')}" ${issue.message.replace(/^Invalid input: /, '')}`];
  });
  throw new OptionsError(where, problems);
}

/** One option as documentation shows it. */
export interface OptionRow {
  readonly name: string;
  readonly type: string;
  readonly default: string;
  readonly description: string;
}

/** The options of a schema, for documentation and help. */
export function describeOptions(schema: z.ZodObject): OptionRow[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const inner = field as z.ZodType;
    const fallback = (inner as unknown as { _zod: { def: { defaultValue?: unknown } } })._zod.def.defaultValue;
    return {
      name,
      type: typeText(inner),
      default: fallback === undefined ? '' : JSON.stringify(fallback),
      description: inner.description ?? '',
    };
  });
}

function typeText(field: z.ZodType): string {
  const { def } = (field as unknown as { _zod: { def: { type: string; innerType?: z.ZodType; entries?: object } } })._zod;
  if (def.type === 'default' || def.type === 'optional') return def.innerType === undefined ? def.type : typeText(def.innerType);
  if (def.type === 'enum' && def.entries !== undefined) return Object.keys(def.entries).join(' | ');
  return def.type === 'custom' ? 'number | schedule' : def.type;
}
