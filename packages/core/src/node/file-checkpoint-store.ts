import { createHash, randomBytes } from 'node:crypto';
import * as nodeFiles from 'node:fs/promises';
import { join } from 'node:path';
import type { TensorData } from '@updraft/graph';
import {
  CHECKPOINT_FORMAT,
  checkpointName,
  CheckpointError,
  type Checkpoint,
  type CheckpointManifest,
  type CheckpointStore,
} from '../checkpoint/checkpoint.js';
import { scoreOf, superfluous, type KeepPolicy } from '../checkpoint/keep-policy.js';
import { headerLength, LENGTH_BYTES, parseSafetensorsHeader } from '../checkpoint/safetensors-header.js';
import { checkElements, safetensorsParts, tensorOfEntry } from '../checkpoint/safetensors.js';
import { HashingReader, syncFolder, writeDurably, type FileSystem } from './durable-files.js';

const TENSORS = 'tensors.safetensors';
const MANIFEST = 'manifest.json';
const NAME = /^step-\d{9,}$/;
/** Folders in the making or on their way out, named after the process that works on them. */
const TEMPORARY = /^\.(partial|replaced)-(\d+)-(step-\d{9,})-[0-9a-f]+$/;
/** Larger manifests are refused unread. */
const MAX_MANIFEST_BYTES = 1 << 28;

interface SignedManifest {
  readonly manifest: CheckpointManifest;
  /** SHA-256 of the tensors file. */
  readonly tensors: string;
  /** SHA-256 of the two fields above, as written. */
  readonly checksum: string;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Temporary folders that this process is working on. */
const inUse = new Set<string>();

/** Whether the process that a temporary folder is named after is still at work on it. */
function isAtWork(entry: string, pid: number): boolean {
  if (pid === process.pid) return inUse.has(entry);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Not ours to signal, but there.
    return codeOf(error) === 'EPERM';
  }
}

/**
 * Checkpoints as folders `step-000000100/` with `tensors.safetensors` and `manifest.json`. A checkpoint is written to a
 * temporary folder, synced, and renamed into place: whatever moment the process dies at, a folder with that name is
 * complete. Checksums of both files are verified on load. One process at a time may write to a folder; any may read.
 */
export class FileCheckpointStore implements CheckpointStore {
  readonly #scores = new Map<string, number | undefined>();

  constructor(
    readonly folder: string,
    readonly keep: KeepPolicy = {},
    readonly files: FileSystem = nodeFiles,
  ) {}

  async save({ manifest, tensors }: Checkpoint): Promise<string> {
    const name = checkpointName(manifest.step);
    const entry = this.#temporary('partial', name);
    const partial = join(this.folder, entry);
    inUse.add(entry);
    try {
      await this.files.mkdir(this.folder, { recursive: true });
      await this.#clean();
      await this.files.mkdir(partial);
      const digest = await writeDurably(this.files, join(partial, TENSORS), safetensorsParts(tensors));
      const body = { manifest, tensors: digest };
      const signed: SignedManifest = { ...body, checksum: sha256(JSON.stringify(body)) };
      await writeDurably(this.files, join(partial, MANIFEST), [Buffer.from(JSON.stringify(signed, null, 2))]);
      await syncFolder(this.files, partial);
      await this.#moveIntoPlace(partial, name);
      await syncFolder(this.files, this.folder);
    } catch (error) {
      await this.files.rm(partial, { recursive: true, force: true }).catch(() => undefined);
      throw this.#writeError(manifest.step, error);
    } finally {
      inUse.delete(entry);
    }
    this.#scores.delete(name);
    await this.#prune();
    return name;
  }

  #temporary(kind: 'partial' | 'replaced', name: string): string {
    return `.${kind}-${process.pid}-${name}-${randomBytes(6).toString('hex')}`;
  }

  #writeError(step: number, error: unknown): CheckpointError {
    const code = codeOf(error);
    const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
    const details = { step, folder: this.folder, code };
    return full
      ? new CheckpointError(
          `The ${code === 'ENOSPC' ? 'disk is full' : 'disk quota or file size limit is reached'}: the checkpoint of step ${step} was not written to "${this.folder}"; earlier ones are untouched.`,
          {
            cause: error,
            details,
            hint: 'Free some space, or keep fewer checkpoints, then run the same command to continue.',
          },
        )
      : new CheckpointError(
          `The checkpoint of step ${step} could not be written to "${this.folder}": ${(error as Error).message}.`,
          {
            cause: error,
            details,
            hint: 'Check that the folder can be written to.',
          },
        );
  }

  async #moveIntoPlace(partial: string, name: string): Promise<void> {
    const target = join(this.folder, name);
    try {
      await this.files.rename(partial, target);
      return;
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EPERM') throw error;
    }
    // The same step again: a damaged checkpoint was passed over, or a run repeated. The old one moves aside under a name
    // from which `#clean` brings it back, should the process die before the new one is in place.
    const entry = this.#temporary('replaced', name);
    const aside = join(this.folder, entry);
    inUse.add(entry);
    try {
      await this.files.rename(target, aside);
      try {
        await this.files.rename(partial, target);
      } catch (error) {
        await this.files.rename(aside, target);
        throw error;
      }
      await this.files.rm(aside, { recursive: true, force: true });
    } finally {
      inUse.delete(entry);
    }
  }

  /** Finish what processes that are gone left half done: bring back what they moved aside, remove what they began. */
  async #clean(): Promise<void> {
    const entries = await this.files.readdir(this.folder);
    for (const entry of entries) {
      const [, kind, pid, name] = TEMPORARY.exec(entry) ?? [];
      if (kind === undefined || name === undefined || isAtWork(entry, Number(pid))) continue;
      const path = join(this.folder, entry);
      if (kind === 'replaced' && !entries.includes(name)) await this.files.rename(path, join(this.folder, name));
      else await this.files.rm(path, { recursive: true, force: true });
    }
  }

  async list(): Promise<readonly string[]> {
    try {
      const read = () => this.files.readdir(this.folder, { withFileTypes: true });
      let entries = await read();
      if (entries.some(({ name }) => name.startsWith('.replaced-'))) {
        await this.#clean();
        entries = await read();
      }
      return entries
        .filter((entry) => entry.isDirectory() && NAME.test(entry.name))
        .map((entry) => entry.name)
        .sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw new CheckpointError(`The folder "${this.folder}" cannot be read: ${(error as Error).message}.`, {
        cause: error,
      });
    }
  }

  #refuse(name: string, why: string, cause?: unknown): never {
    throw new CheckpointError(`The checkpoint "${join(this.folder, name)}" cannot be used: ${why}.`, {
      cause,
      hint: 'Use an earlier checkpoint; the damaged one may be deleted.',
      details: { name, why },
    });
  }

  async #readManifest(name: string): Promise<SignedManifest> {
    let signed: SignedManifest;
    try {
      const file = await this.files.open(join(this.folder, name, MANIFEST), 'r');
      try {
        const { size } = await file.stat();
        if (size > MAX_MANIFEST_BYTES)
          this.#refuse(name, `${MANIFEST} has ${size} bytes, the limit is ${MAX_MANIFEST_BYTES}`);
        signed = JSON.parse(await file.readFile('utf8')) as SignedManifest;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      return this.#refuse(
        name,
        error instanceof SyntaxError ? `${MANIFEST} is not JSON` : (error as Error).message,
        error,
      );
    }
    // What the checksum covers is what this class wrote; anything else fails here.
    if (
      typeof signed !== 'object' ||
      signed === null ||
      typeof signed.manifest !== 'object' ||
      signed.manifest === null
    )
      this.#refuse(name, `${MANIFEST} has no manifest`);
    const { manifest, tensors } = signed;
    if (sha256(JSON.stringify({ manifest, tensors })) !== signed.checksum)
      this.#refuse(name, `the checksum of ${MANIFEST} is wrong`);
    if (manifest.format !== CHECKPOINT_FORMAT)
      this.#refuse(name, `it has format ${manifest.format}, this version reads ${CHECKPOINT_FORMAT}`);
    if (checkpointName(manifest.step) !== name) this.#refuse(name, `it holds step ${manifest.step}`);
    return signed;
  }

  async #readTensors(name: string, expected: string): Promise<Record<string, TensorData>> {
    const file = await this.files.open(join(this.folder, name, TENSORS), 'r');
    try {
      const { size } = await file.stat();
      const reader = new HashingReader(file);
      const read = async (target: Uint8Array): Promise<Uint8Array> =>
        (await reader.fill(target)) ? target : this.#refuse(name, `${TENSORS} ends early`);
      const length = headerLength(await read(new Uint8Array(Math.min(LENGTH_BYTES, size))), size);
      const { entries } = parseSafetensorsHeader(await read(new Uint8Array(length)), size - LENGTH_BYTES - length);
      const tensors = new Map<string, TensorData>();
      // Straight into each tensor: a checkpoint is never in memory twice.
      for (const { name: tensor, dtype, shape } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
        const made = tensorOfEntry(tensor, dtype, shape);
        await read(made.bytes);
        tensors.set(tensor, made.tensor);
      }
      if (reader.digest() !== expected) this.#refuse(name, `the checksum of ${TENSORS} is wrong`);
      for (const [tensor, value] of tensors) checkElements(tensor, value);
      return Object.fromEntries(entries.map((entry) => [entry.name, tensors.get(entry.name) as TensorData]));
    } finally {
      await file.close();
    }
  }

  async load(name: string): Promise<Checkpoint> {
    if (!NAME.test(name))
      throw new CheckpointError(`"${name}" is no name of a checkpoint.`, { hint: 'Names look like step-000000100.' });
    const { manifest, tensors } = await this.#readManifest(name);
    try {
      return { manifest, tensors: await this.#readTensors(name, tensors) };
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      return this.#refuse(name, (error as Error).message.replace(/\.$/, ''), error);
    }
  }

  async setAside(): Promise<void> {
    const names = await this.list();
    if (names.length === 0) return;
    const aside = join(this.folder, `earlier-${new Date().toISOString().replace(/[:.]/g, '-')}`);
    try {
      await this.files.mkdir(aside);
      for (const name of names) await this.files.rename(join(this.folder, name), join(aside, name));
      await syncFolder(this.files, this.folder);
    } catch (error) {
      throw new CheckpointError(
        `The earlier checkpoints in "${this.folder}" could not be set aside: ${(error as Error).message}.`,
        { cause: error },
      );
    }
  }

  async #score(name: string): Promise<number | undefined> {
    const { best } = this.keep;
    if (best === undefined) return undefined;
    if (!this.#scores.has(name)) {
      // A damaged checkpoint has no score.
      const signed = await this.#readManifest(name).catch(() => undefined);
      this.#scores.set(name, signed === undefined ? undefined : scoreOf(signed.manifest, best));
    }
    return this.#scores.get(name);
  }

  /** Remove checkpoints that the policy does not keep. */
  async #prune(): Promise<void> {
    const names = await this.list();
    const all = await Promise.all(
      names.map(async (name) => ({ name, step: Number(name.slice(5)), score: await this.#score(name) })),
    );
    for (const name of superfluous(all, this.keep)) {
      // Renamed first: a process that dies while it deletes must not leave half a checkpoint under its name.
      const gone = join(this.folder, this.#temporary('partial', name));
      try {
        await this.files.rename(join(this.folder, name), gone);
        await this.files.rm(gone, { recursive: true, force: true });
      } catch (error) {
        if (codeOf(error) === 'ENOENT') continue;
        throw new CheckpointError(
          `The old checkpoint "${join(this.folder, name)}" could not be removed: ${(error as Error).message}.`,
          { cause: error },
        );
      }
      this.#scores.delete(name);
    }
  }
}
