import { isSchedule, parseOptions, type JsonValue } from '@updraft/core';
import { z } from 'zod';
import type { NamedPart } from '../catalogue/entry.js';

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

type GivenPart = string | { readonly name?: string; readonly options?: NamedPart['options'] };

const isPart = (value: unknown, named: boolean): boolean =>
  typeof value === 'string' ||
  (isPlain(value) &&
    (typeof value['name'] === 'string' || (value['name'] === undefined && !named)) &&
    (value['options'] === undefined || isPlain(value['options'])) &&
    Object.keys(value).every((key) => key === 'name' || key === 'options'));

/** How the reference writes the type of a part. */
export const PART_TYPE = 'a name, or { name, options }';

/** A named part with its options; a bare name takes their defaults, and bare options the default name. */
const part = (fallback?: string) =>
  z
    .custom<GivenPart>((value) => isPart(value, fallback === undefined), `expected ${PART_TYPE}`)
    .transform((given): NamedPart => {
      const { name = fallback ?? '', options = {} } = typeof given === 'string' ? { name: given } : given;
      return { name, options };
    });

/** Keys of a configuration that hold a {@link NamedPart}. */
export const PARTS = ['model', 'data', 'sampler', 'reward', 'updateRule'] as const;

/** Every key of a configuration; the reference and the checks are made of it. */
export const configSchema = z.object({
  model: part().describe('Reference model.'),
  data: part().describe('Dataset.'),
  sampler: part('shuffled').prefault('shuffled').describe('Which batches are drawn.'),
  reward: part()
    .optional()
    .describe('What is good; default: `cross-entropy` for classes and tokens, `mean-squared-error` for numbers.'),
  updateRule: part('adamw').prefault('adamw').describe('How parameters change.'),
  clipGlobalNorm: z.number().positive().optional().describe('Scale gradients down to this global norm.'),
  steps: z.number().int().positive().describe('Steps to take.'),
  seed: z.number().int().default(0).describe('Seeds parameters, order and noise.'),
  device: z.enum(['auto', 'webgpu', 'cuda', 'cpu']).default('auto').describe('Where to run; `auto` takes the fastest.'),
  output: z.string().min(1).default('runs/latest').describe('Folder for checkpoints, metrics, report and model.'),
  checkpointEvery: z.number().int().positive().default(500).describe('Steps between checkpoints.'),
  evaluateEvery: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('Steps between evaluations; there is always one at the end.'),
  evaluationBatchSize: z.number().int().positive().default(500).describe('Examples in a batch of an evaluation.'),
  monitorEvery: z
    .number()
    .int()
    .min(0)
    .default(50)
    .describe('Steps between records of gradient and update norms; 0: never.'),
  plugins: z.array(z.string()).default([]).describe('Packages, or paths of modules, with further plugins.'),
  name: z.string().default('run').describe('Name of the run in reports.'),
});

/** A checked configuration. */
export type Config = z.output<typeof configSchema>;

/** Check a configuration. @param where What it was read from. @throws OptionsError */
export const parseConfig = (input: unknown, where: string): Config => parseOptions(configSchema, input, where);

/**
 * A configuration as plain JSON for records, its keys in the order of the schema, so that equal configurations give equal
 * text: schedules become what they describe, functions are left out.
 */
export function configRecord(config: Config): { readonly [key: string]: JsonValue } {
  const ordered = Object.fromEntries(Object.keys(configSchema.shape).map((key) => [key, config[key as keyof Config]]));
  return JSON.parse(
    JSON.stringify(ordered, (_key, value: unknown) =>
      isSchedule(value) ? (value.describe?.() ?? { type: 'custom' }) : value,
    ),
  ) as { readonly [key: string]: JsonValue };
}
