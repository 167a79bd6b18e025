import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';

/** The calls of `node:fs/promises` that a store makes; tests give ones that fail. */
export interface FileSystem {
  readonly mkdir: typeof mkdir;
  readonly open: typeof open;
  readonly readdir: typeof readdir;
  readonly readFile: typeof readFile;
  readonly rename: typeof rename;
  readonly rm: typeof rm;
}

/** Bytes written, read and hashed at a time, so that other work gets its turn in between. */
const CHUNK_BYTES = 1 << 22;

/** Small parts together, large ones cut: few system calls, none of them long. */
function* chunksOf(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let bytes = 0;
  const joined = (): Uint8Array => Buffer.concat(small, bytes);
  for (const part of parts) {
    if (bytes + part.length <= CHUNK_BYTES) {
      small.push(part);
      bytes += part.length;
      continue;
    }
    if (bytes > 0) yield joined();
    small = [];
    bytes = 0;
    for (let at = 0; at < part.length; at += CHUNK_BYTES) yield part.subarray(at, at + CHUNK_BYTES);
  }
  if (bytes > 0) yield joined();
}

/** Write a new file, bring it to the disk, and give its SHA-256. */
export async function writeDurably(files: FileSystem, path: string, parts: Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  const file = await files.open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644);
  try {
    for (const chunk of chunksOf(parts)) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** Bring the entries of a folder to the disk, so that a rename in it survives a power cut. */
export async function syncFolder(files: FileSystem, path: string): Promise<void> {
  // Windows cannot open folders; its renames are journalled.
  if (process.platform === 'win32') return;
  const folder = await files.open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Reads a file from start to end and hashes what it reads. */
export class HashingReader {
  readonly #hash = createHash('sha256');

  constructor(readonly file: FileHandle) {}

  /** Fill `target` with the next bytes; false when the file ends before it is full. */
  async fill(target: Uint8Array): Promise<boolean> {
    let at = 0;
    while (at < target.length) {
      const { bytesRead } = await this.file.read(target, at, Math.min(CHUNK_BYTES, target.length - at), null);
      if (bytesRead === 0) return false;
      this.#hash.update(target.subarray(at, at + bytesRead));
      at += bytesRead;
    }
    return true;
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}
