import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseOptions } from '@updraft/core';
import { createJiti } from 'jiti';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { CliError } from './errors.js';

/** A named part with its options; a bare name takes the defaults. */
const part = z.union([
  z.string().transform((name) => ({ name, options: {} })),
  z.object({ name: z.string(), options: z.record(z.string(), z.unknown()).default({}) }),
]);

const configSchema = z.object({
  name: z.string().default('run').describe('Name of the run in reports.'),
  plugins: z.array(z.string()).default([]).describe('Packages with further plugins.'),
  model: part.describe('Reference model and its options.'),
  data: part.describe('Dataset.'),
  sampler: part.default({ name: 'shuffled', options: {} }).describe('What batches are drawn.'),
  reward: part.default({ name: 'cross-entropy', options: {} }).describe('What is good.'),
  updateRule: part.default({ name: 'adamw', options: {} }).describe('How parameters change.'),
  clipGlobalNorm: z.number().positive().optional().describe('Scale gradients down to this global norm.'),
  steps: z.number().int().positive().describe('Steps to take.'),
  seed: z.number().int().default(0).describe('Seeds parameters, order and noise.'),
  device: z.enum(['auto', 'webgpu', 'cuda', 'cpu']).default('auto').describe('Where to run.'),
  output: z.string().default('runs/latest').describe('Folder for checkpoints, metrics, report and model.'),
  checkpointEvery: z.number().int().positive().default(500).describe('Steps between checkpoints.'),
  evaluateEvery: z.number().int().positive().optional().describe('Steps between evaluations; always one at the end.'),
  monitorEvery: z
    .number()
    .int()
    .min(0)
    .default(50)
    .describe('Steps between records of gradient and update norms (0: never).'),
});

/** A checked configuration of `updraft train`. */
export type Config = z.output<typeof configSchema>;

const LOADERS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  '.json': async (path) => JSON.parse(await readFile(path, 'utf8')) as unknown,
  '.yaml': async (path) => parseYaml(await readFile(path, 'utf8')) as unknown,
  '.yml': async (path) => parseYaml(await readFile(path, 'utf8')) as unknown,
  '.ts': async (path) => exported(await createJiti(import.meta.url).import(path)),
  '.mts': async (path) => exported(await createJiti(import.meta.url).import(path)),
  '.js': async (path) => exported(await import(pathToFileURL(path).href)),
  '.mjs': async (path) => exported(await import(pathToFileURL(path).href)),
};

const exported = (module: unknown): unknown => {
  const { config, default: fallback } = module as { config?: unknown; default?: unknown };
  return config ?? fallback;
};

/** Read a configuration (JSON, YAML, TypeScript or JavaScript that exports `config`) and apply overrides. */
export async function loadConfig(path: string, overrides: Readonly<Record<string, unknown>> = {}): Promise<Config> {
  const load = LOADERS[extname(path)];
  if (load === undefined)
    throw new CliError(`The configuration "${path}" has an unknown ending.`, {
      hint: `Known are: ${Object.keys(LOADERS).join(', ')}.`,
    });
  let content: unknown;
  try {
    content = await load(resolve(path));
  } catch (error) {
    throw new CliError(`The configuration "${path}" cannot be read: ${(error as Error).message}.`, { cause: error });
  }
  if (typeof content !== 'object' || content === null)
    throw new CliError(`The configuration "${path}" holds no object.`, {
      hint: 'A TypeScript file exports it as `config`.',
    });
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  return parseOptions(configSchema, { ...content, ...given }, path);
}
