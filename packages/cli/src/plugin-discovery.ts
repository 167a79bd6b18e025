import { CONTRACT_VERSION, CoreError, pluginMetadata, PluginRegistry } from '@updraft/core';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CliError } from './errors.js';

/** A package whose package.json says that it holds methods: `"updraft": { "contract": "update-rule", … }`. */
export interface MethodPackage {
  readonly name: string;
  readonly folder: string;
  /** Version of the contracts that it was built for. */
  readonly contractVersion: number | undefined;
  /** File that its main export is in, if it says so. */
  readonly entry: string | undefined;
}

type Manifest = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Manifest =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

async function manifestOf(folder: string): Promise<Manifest | undefined> {
  try {
    const found: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    return isObject(found) ? found : undefined;
  } catch {
    // No package, or one in the middle of an installation: there is nothing to find in it.
    return undefined;
  }
}

async function subfolders(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map((entry) => join(folder, entry.name))
      .sort();
  } catch {
    return [];
  }
}

/** The folder and all above it. */
function* upwards(folder: string): Generator<string> {
  for (let at = folder; ; at = dirname(at)) {
    yield at;
    if (at === dirname(at)) return;
  }
}

/** Conditions of `exports` that this process was started with, such as `--conditions=@updraft/source`. */
function ownConditions(): readonly string[] {
  const flags = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  return flags.flatMap((flag, index) => {
    if (flag === '-C' || flag === '--conditions') return [flags[index + 1] ?? ''];
    return /^(?:--conditions=|-C=?)(.+)$/.exec(flag)?.slice(1) ?? [];
  });
}

function entryOf(folder: string, { exports, main }: Manifest): string | undefined {
  const conditions = new Set([...ownConditions(), 'node', 'import', 'default']);
  let target: unknown = isObject(exports) && '.' in exports ? exports['.'] : exports;
  while (isObject(target)) {
    const inside: Manifest = target;
    const key = Object.keys(inside).find((condition) => conditions.has(condition));
    target = key === undefined ? undefined : inside[key];
  }
  const file = typeof target === 'string' ? target : main;
  return typeof file === 'string' ? join(folder, file) : undefined;
}

/** Folders that may be packages of methods, the nearest first: those installed, and those of a workspace. */
async function candidateFolders(from: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of upwards(from)) {
    const manifest = await manifestOf(folder);
    if (manifest !== undefined) {
      found.push(folder);
      // Packages of others may be named anything: what this project depends on is looked at.
      for (const key of ['dependencies', 'devDependencies'])
        for (const name of Object.keys(isObject(manifest[key]) ? manifest[key] : {}))
          if (!name.startsWith('@updraft/')) found.push(join(folder, 'node_modules', name));
      for (const pattern of Array.isArray(manifest['workspaces']) ? (manifest['workspaces'] as unknown[]) : [])
        if (typeof pattern === 'string')
          found.push(
            ...(pattern.endsWith('/*')
              ? await subfolders(join(folder, pattern.slice(0, -2)))
              : [join(folder, pattern)]),
          );
    }
    found.push(...(await subfolders(join(folder, 'node_modules', '@updraft'))));
  }
  return found;
}

/** Method packages that can be seen from the working folder or lie beside this command, the nearest of each name. */
export async function findMethodPackages(from = process.cwd()): Promise<MethodPackage[]> {
  const beside = dirname(fileURLToPath(import.meta.url));
  const folders = [...(await candidateFolders(from)), ...(await candidateFolders(beside))];
  const found = new Map<string, MethodPackage>();
  await Promise.all(folders.map(async (folder) => [folder, await manifestOf(folder)] as const)).then((manifests) => {
    for (const [folder, manifest] of manifests) {
      const { name, updraft } = manifest ?? {};
      if (manifest === undefined || typeof name !== 'string' || !isObject(updraft) || found.has(name)) continue;
      const version = updraft['contractVersion'];
      found.set(name, {
        name,
        folder,
        contractVersion: typeof version === 'number' ? version : undefined,
        entry: entryOf(folder, manifest),
      });
    }
  });
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** `lion` of `@updraft/lion`. */
export const shortName = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

/**
 * Plugins of loaded packages. A package that was found and cannot be used is no obstacle to others; what it says comes up
 * when one of its names is asked for.
 */
export class InstalledPlugins extends PluginRegistry {
  /** Everything that the loaded packages export, by package. */
  readonly packages = new Map<string, Readonly<Record<string, unknown>>>();
  readonly #refused = new Map<string, Error>();

  /** Register the plugins of a package, and know its exports. @throws CoreError as {@link PluginRegistry.use} */
  add(name: string, exports: Readonly<Record<string, unknown>>): this {
    this.packages.set(name, exports);
    return this.use(exports, name);
  }

  /** Load a package that was found. What is wrong with it is kept for when it is asked for. */
  async load(found: MethodPackage): Promise<void> {
    // Named explicitly, or standard.
    if (this.packages.has(found.name)) return;
    const refuse = (names: readonly string[], error: Error): void => {
      for (const name of names) this.#refused.set(name, this.#refused.get(name) ?? error);
    };
    const own = [found.name, shortName(found.name)];
    if (found.contractVersion !== undefined && found.contractVersion !== CONTRACT_VERSION) {
      refuse(
        own,
        new CoreError(
          'plugin',
          `The package ${found.name} was built for contract version ${found.contractVersion}; this is ${CONTRACT_VERSION}.`,
          {
            hint:
              found.contractVersion > CONTRACT_VERSION
                ? 'Update @updraft/core.'
                : `Install a release of ${found.name} that fits.`,
            details: { version: found.contractVersion, expected: CONTRACT_VERSION },
          },
        ),
      );
      return;
    }
    let exports: Readonly<Record<string, unknown>>;
    try {
      exports = (await import(
        found.entry === undefined ? found.name : pathToFileURL(await realpath(found.entry)).href
      )) as Readonly<Record<string, unknown>>;
    } catch (error) {
      refuse(
        own,
        new CliError(`The package "${found.name}" in "${found.folder}" cannot be loaded: ${(error as Error).message}`, {
          cause: error,
          hint: 'Build or reinstall it.',
        }),
      );
      return;
    }
    this.packages.set(found.name, exports);
    // One by one, so that a name that is taken keeps no other plugin of the package out.
    for (const value of Object.values(exports)) {
      const metadata = pluginMetadata(value);
      if (metadata === undefined) continue;
      try {
        this.use({ [metadata.name]: value }, found.name);
      } catch (error) {
        refuse([metadata.name], error as Error);
      }
    }
  }

  /** Why packages or plugins that were found are not used. */
  get refusals(): readonly Error[] {
    return [...new Set(this.#refused.values())];
  }

  /** @throws What is wrong with the package or plugin of this name. */
  checkRefused(name: string): void {
    const error = this.#refused.get(name);
    if (error !== undefined) throw error;
  }

  override find<C extends Parameters<PluginRegistry['find']>[0]>(
    contract: C,
    name: string,
  ): ReturnType<typeof PluginRegistry.prototype.find<C>> {
    this.checkRefused(name);
    return super.find(contract, name);
  }
}
