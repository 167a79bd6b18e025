import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createJiti } from 'jiti';
import { parse as parseYaml } from 'yaml';
import { CliError, fileError } from '../errors.js';

const exported = (module: unknown): unknown => {
  const { config, default: fallback } = module as { config?: unknown; default?: unknown };
  return config ?? fallback;
};
const readYaml = async (path: string): Promise<unknown> => parseYaml(await readFile(path, 'utf8'));
const runTypeScript = async (path: string): Promise<unknown> =>
  exported(await createJiti(import.meta.url, { interopDefault: false }).import(path));
const runJavaScript = async (path: string): Promise<unknown> => exported(await import(pathToFileURL(path).href));

const LOADERS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  '.json': async (path) => JSON.parse(await readFile(path, 'utf8')) as unknown,
  '.yaml': readYaml,
  '.yml': readYaml,
  '.ts': runTypeScript,
  '.mts': runTypeScript,
  '.js': runJavaScript,
  '.mjs': runJavaScript,
};

/** What a configuration file (JSON, YAML, or TypeScript or JavaScript that exports `config`) holds. @throws CliError */
export async function readConfigFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  const load = LOADERS[extname(path)];
  if (load === undefined)
    throw new CliError(`The configuration "${path}" has an unknown ending.`, {
      hint: `Known are: ${Object.keys(LOADERS).join(', ')}.`,
    });
  let content: unknown;
  try {
    content = await load(resolve(path));
  } catch (error) {
    const what = `The configuration "${path}" cannot be read`;
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw fileError(what, error);
    throw new CliError(`${what}: ${(error as Error).message.trim()}`, { cause: error });
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new CliError(`The configuration "${path}" holds no object.`, {
      hint: 'A TypeScript or JavaScript file exports it as `config`.',
    });
  return content as Readonly<Record<string, unknown>>;
}
