import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CHECKPOINT_FORMAT,
  checkpointName,
  CheckpointError,
  type Checkpoint,
  type CheckpointManifest,
  type CheckpointStore,
  type KeepPolicy,
} from '../checkpoint/checkpoint.js';
import { decodeSafetensors, encodeSafetensors } from '../checkpoint/safetensors.js';

const TENSORS = 'tensors.safetensors';
const MANIFEST = 'manifest.json';
const PARTIAL = '.partial-';
const NAME = /^step-\d{9,}$/;

interface SignedManifest {
  readonly manifest: CheckpointManifest;
  /** SHA-256 of the tensors file. */
  readonly tensors: string;
  /** SHA-256 of the two fields above, as written. */
  readonly checksum: string;
}

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** Write a new file and bring it to the disk before returning. */
async function writeDurably(path: string, bytes: Uint8Array | string): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Bring the entries of a folder to the disk, so that a rename in it survives a power cut. */
async function syncFolder(path: string): Promise<void> {
  // Windows cannot open folders; its renames are journalled.
  if (process.platform === 'win32') return;
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Checkpoints as folders `step-000000100/` with `tensors.safetensors` and `manifest.json`. A checkpoint is written to a
 * temporary folder, synced, and renamed into place: whatever moment the process dies at, a folder with that name is
 * complete. Checksums are verified on load.
 */
export class FileCheckpointStore implements CheckpointStore {
  constructor(
    readonly folder: string,
    readonly keep: KeepPolicy = {},
  ) {}

  async save({ manifest, tensors }: Checkpoint): Promise<string> {
    const name = checkpointName(manifest.step);
    const partial = join(this.folder, `${PARTIAL}${name}-${randomBytes(6).toString('hex')}`);
    try {
      await mkdir(partial, { recursive: true });
      const bytes = encodeSafetensors(tensors);
      const body = { manifest, tensors: sha256(bytes) };
      const signed: SignedManifest = { ...body, checksum: sha256(JSON.stringify(body)) };
      await writeDurably(join(partial, TENSORS), bytes);
      await writeDurably(join(partial, MANIFEST), JSON.stringify(signed, null, 2));
      await syncFolder(partial);
      await this.#moveIntoPlace(partial, join(this.folder, name));
      await syncFolder(this.folder);
    } catch (error) {
      await rm(partial, { recursive: true, force: true }).catch(() => undefined);
      const { code } = error as NodeJS.ErrnoException;
      throw new CheckpointError(
        code === 'ENOSPC' || code === 'EDQUOT'
          ? `The disk is full: the checkpoint of step ${manifest.step} was not written to "${this.folder}"; earlier ones are untouched.`
          : `The checkpoint of step ${manifest.step} could not be written to "${this.folder}": ${(error as Error).message}.`,
        { cause: error, hint: code === 'ENOSPC' ? 'Free some space, or keep fewer checkpoints.' : 'Check that the folder can be written to.' },
      );
    }
    await this.#prune();
    return name;
  }

  async #moveIntoPlace(partial: string, target: string): Promise<void> {
    try {
      await rename(partial, target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EPERM') throw error;
      // The same step again (a resumed run that was stopped at once): move the old one aside, then take its place.
      const old = `${partial}-old`;
      await rename(target, old);
      await rename(partial, target);
      await rm(old, { recursive: true, force: true });
    }
  }

  async list(): Promise<readonly string[]> {
    try {
      const entries = await readdir(this.folder, { withFileTypes: true });
      return entries
        .filter((entry) => entry.isDirectory() && NAME.test(entry.name))
        .map((entry) => entry.name)
        .sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  async load(name: string): Promise<Checkpoint> {
    if (!NAME.test(name)) throw new CheckpointError(`"${name}" is no name of a checkpoint.`, { hint: 'Names look like step-000000100.' });
    const path = join(this.folder, name);
    const refuse = (why: string, cause?: unknown): never => {
      throw new CheckpointError(`The checkpoint "${path}" cannot be used: ${why}.`, {
        cause,
        hint: 'Use an earlier checkpoint; the damaged one may be deleted.',
      });
    };
    let text: string;
    let bytes: Uint8Array;
    try {
      text = await readFile(join(path, MANIFEST), 'utf8');
      bytes = await readFile(join(path, TENSORS));
    } catch (error) {
      return refuse((error as Error).message, error);
    }
    let signed: SignedManifest;
    try {
      signed = JSON.parse(text) as SignedManifest;
    } catch (error) {
      return refuse(`${MANIFEST} is not JSON`, error);
    }
    if (typeof signed !== 'object' || signed === null || typeof signed.manifest !== 'object') refuse(`${MANIFEST} has no manifest`);
    const { manifest, tensors } = signed;
    if (sha256(JSON.stringify({ manifest, tensors })) !== signed.checksum) refuse(`the checksum of ${MANIFEST} is wrong`);
    if (manifest.format !== CHECKPOINT_FORMAT) refuse(`it has format ${manifest.format}, this version reads ${CHECKPOINT_FORMAT}`);
    if (sha256(bytes) !== tensors) refuse(`the checksum of ${TENSORS} is wrong`);
    return { manifest, tensors: decodeSafetensors(bytes).tensors };
  }

  /** Remove checkpoints that the policy does not keep, and what interrupted writes left behind. */
  async #prune(): Promise<void> {
    const names = await this.list();
    const { last = 3, every } = this.keep;
    for (const name of names.slice(0, Math.max(0, names.length - Math.max(1, last)))) {
      if (every !== undefined && Number(name.slice(5)) % every === 0) continue;
      // Renamed first: a process that dies while it deletes must not leave half a checkpoint under its name.
      await rename(join(this.folder, name), join(this.folder, `${PARTIAL}${name}-${randomBytes(6).toString('hex')}`));
    }
    for (const entry of await readdir(this.folder))
      if (entry.startsWith(PARTIAL)) await rm(join(this.folder, entry), { recursive: true, force: true });
  }
}
