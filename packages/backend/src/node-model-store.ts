import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import type { InferenceSession } from 'onnxruntime-common';
import type { ModelStore } from './ort-backend.js';
import type { OrtModule } from './runtime.js';

const SUFFIX = '.updraft-program';
const DIGEST_BYTES = 32;
/** Partial files older than this belong to a process that is gone. */
const ABANDONED_MILLISECONDS = 60 * 60 * 1000;

const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** The processor and its instruction sets: virtual machines give one name with different ones. */
function processor(): string {
  let features = '';
  try {
    features = /^(flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
  } catch {
    // Only Linux has this file.
  }
  return [platform(), arch(), cpus()[0]?.model ?? '', features].join('|');
}

/**
 * Programs as ONNX Runtime optimised them, kept on disk from process to process. The name of a file is a digest of the
 * program, its options, the version of the runtime and the processor, because optimised programs hold choices made for
 * one processor. A file starts with the digest of its contents: what was cut off or damaged is compiled anew and never
 * reaches native code. The digest tells damage, not malice: whoever can write to the folder can make it say anything, and
 * has native code load it. Keep the folder where only those who may run code as this user can write (it is made so).
 *
 * Any failure of the disk costs time, never the program.
 */
export class NodeModelStore implements ModelStore {
  readonly #machine: string;
  hits = 0;

  constructor(
    readonly folder: string,
    /** Programs kept; those used longest ago go. */
    readonly kept = 64,
  ) {
    const version = (createRequire(import.meta.url)('onnxruntime-node/package.json') as { readonly version: string })
      .version;
    this.#machine = `${version}|${processor()}`;
  }

  async create(
    ort: OrtModule,
    key: string,
    bytes: Uint8Array,
    options: InferenceSession.SessionOptions,
  ): Promise<InferenceSession> {
    const path = join(this.folder, sha256(this.#machine, '\n', key).toString('hex') + SUFFIX);
    const known = await this.#read(path);
    if (known !== undefined) {
      try {
        const session = await ort.InferenceSession.create(known, { ...options, graphOptimizationLevel: 'disabled' });
        this.hits++;
        return session;
      } catch {
        await rm(path, { force: true }).catch(() => undefined);
      }
    }
    const partial = `${path}.${process.pid}-${randomUUID()}.partial`;
    if (!(await this.#prepared())) return ort.InferenceSession.create(bytes, options);
    let session: InferenceSession;
    try {
      session = await ort.InferenceSession.create(bytes, { ...options, optimizedModelFilePath: partial });
    } catch {
      // Either the program or the disk: without the disk the error is the program's own.
      await rm(partial, { force: true }).catch(() => undefined);
      return ort.InferenceSession.create(bytes, options);
    }
    await this.#seal(partial, path);
    return session;
  }

  async #prepared(): Promise<boolean> {
    try {
      await mkdir(this.folder, { recursive: true, mode: 0o700 });
      return true;
    } catch {
      return false;
    }
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      const file = await readFile(path);
      const contents = file.subarray(DIGEST_BYTES);
      if (!sha256(contents).equals(file.subarray(0, DIGEST_BYTES))) return undefined;
      const now = new Date();
      await utimes(path, now, now);
      return contents;
    } catch {
      return undefined;
    }
  }

  /** Put the digest before what the runtime wrote, under the final name, in one step. */
  async #seal(partial: string, path: string): Promise<void> {
    const sealed = `${partial}.sealed`;
    try {
      const contents = await readFile(partial);
      await writeFile(sealed, Buffer.concat([sha256(contents), contents]), { mode: 0o600 });
      await rename(sealed, path);
      await this.#prune();
    } catch {
      await rm(sealed, { force: true }).catch(() => undefined);
    } finally {
      await rm(partial, { force: true }).catch(() => undefined);
    }
  }

  async #prune(): Promise<void> {
    const files: { path: string; used: number }[] = [];
    for (const name of await readdir(this.folder)) {
      const path = join(this.folder, name);
      const used = (await stat(path).catch(() => undefined))?.mtimeMs;
      if (used === undefined) continue;
      if (name.endsWith(SUFFIX)) files.push({ path, used });
      else if (name.includes(`${SUFFIX}.`) && Date.now() - used > ABANDONED_MILLISECONDS)
        await rm(path, { force: true });
    }
    files.sort((a, b) => b.used - a.used);
    for (const { path } of files.slice(this.kept)) await rm(path, { force: true });
  }
}
