import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UpdraftError } from '@updraft/graph';
import { parseRecord, type MethodRecord, type RunStore, type StoredRun } from '@updraft/testing/experiment';
import { CliError, fileError } from '../errors.js';
import { writeAtomically } from '../write-atomically.js';

/** Parsed JSON, or undefined where there is no such file. @throws CliError for what cannot be read or is no JSON. */
async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(`"${path}" cannot be read`, error);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError(`"${path}" is no JSON: ${(error as Error).message}`, {
      cause: error,
      hint: 'Remove the file to begin anew.',
    });
  }
}

/** Write JSON in one piece, making its folder. @throws CliError */
export async function writeJson(path: string, value: unknown, indent?: number): Promise<void> {
  await makeFolder(dirname(path));
  await writeAtomically(path, new TextEncoder().encode(`${JSON.stringify(value, undefined, indent)}\n`));
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError(`The folder "${path}" cannot be made`, error);
  }
}

/** The record in a file; undefined where there is no file. @throws CliError */
export async function readRecord(path: string): Promise<MethodRecord | undefined> {
  const value = await readJson(path);
  if (value === undefined) return undefined;
  try {
    return parseRecord(value);
  } catch (error) {
    if (!(error instanceof UpdraftError)) throw error;
    throw new CliError(`"${path}": ${error.message}`, { cause: error });
  }
}

/** Runs that are done in one JSON file, rewritten after each, so that an interrupted experiment goes on where it was. */
export class FileRunStore implements RunStore {
  readonly #runs: Record<string, unknown>;

  private constructor(
    readonly path: string,
    runs: Readonly<Record<string, unknown>>,
  ) {
    this.#runs = { ...runs };
  }

  /** @param fresh Forget what the file holds. @throws CliError */
  static async open(path: string, fresh = false): Promise<FileRunStore> {
    const value = fresh ? undefined : await readJson(path);
    if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value)))
      throw new CliError(`"${path}" holds no runs of experiments.`, { hint: 'Remove the file to begin anew.' });
    return new FileRunStore(path, (value ?? {}) as Readonly<Record<string, unknown>>);
  }

  get(key: string): Promise<unknown> {
    return Promise.resolve(Object.hasOwn(this.#runs, key) ? this.#runs[key] : undefined);
  }

  async set(key: string, run: StoredRun): Promise<void> {
    this.#runs[key] = run;
    await writeJson(this.path, this.#runs);
  }
}
