import { CliError } from '../errors.js';
import { RunFolder } from '../run-folder.js';
import type { Assignment, ConfigFlags } from './flags.js';
import { readConfigFile } from './read-file.js';
import { parseConfig, type Config } from './schema.js';

type Values = Readonly<Record<string, unknown>>;

const isPlain = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Set a value deep inside; objects on the way are made. A bare name of a part becomes its object. */
function assign(target: unknown, { path, value }: Assignment, done: readonly string[] = []): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const inside = typeof target === 'string' && done.length === 1 ? { name: target } : (target ?? {});
  if (!isPlain(inside))
    throw new CliError(`"${[...done, ...path].join('.')}" cannot be set: "${done.join('.')}" is no object.`, {
      hint: 'Set the whole value as JSON.',
    });
  const next = [...done, key];
  return {
    ...inside,
    [key]: assign(Object.hasOwn(inside, key) ? inside[key] : undefined, { path: rest, value }, next),
  };
}

const partName = (part: unknown): unknown => (isPlain(part) ? part['name'] : part);

/** Lay flags over a configuration: names first, then options, then whatever was set. */
export function applyFlags(values: Values, flags: ConfigFlags): Values {
  let result: Values = { ...values };
  for (const part of ['model', 'data', 'sampler', 'reward', 'updateRule'] as const) {
    const name = flags[part];
    // Options belong to what they were written for.
    if (name !== undefined && partName(result[part]) !== name) result = { ...result, [part]: name };
  }
  for (const key of ['steps', 'seed', 'device', 'output', 'name'] as const)
    if (flags[key] !== undefined) result = { ...result, [key]: flags[key] };
  if (flags.plugin.length > 0) {
    const given = result['plugins'];
    result = { ...result, plugins: [...(Array.isArray(given) ? (given as unknown[]) : []), ...flags.plugin] };
  }
  for (const each of [...flags.option, ...flags.set]) result = assign(result, each) as Values;
  return result;
}

/** The configuration of a file, of flags, or of a file with flags laid over it. @throws CliError, OptionsError */
export async function loadConfig(path: string | undefined, flags: ConfigFlags): Promise<Config> {
  const values = path === undefined ? {} : await readConfigFile(path);
  return parseConfig(applyFlags(values, flags), path ?? 'The command line');
}

/**
 * The configuration to look at a run with: as `loadConfig`, but where neither a file nor a model is given, the one that
 * the newest checkpoint in the output folder was written with.
 */
export async function loadRunConfig(path: string | undefined, flags: ConfigFlags): Promise<Config> {
  if (path !== undefined || flags.model !== undefined) return loadConfig(path, flags);
  const folder = new RunFolder(flags.output ?? 'runs/latest');
  const { name, checkpoint } = await folder.newestCheckpoint();
  const { config } = checkpoint.manifest;
  return parseConfig(
    applyFlags({ ...(config as Values), output: folder.path }, flags),
    `The configuration in ${name} of "${folder.path}"`,
  );
}
