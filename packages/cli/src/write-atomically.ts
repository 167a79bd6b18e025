import { open, rename, rm } from 'node:fs/promises';
import { fileError } from './errors.js';

/** Write a file in one piece: beside its place first, synced, then renamed. @throws CliError; then nothing is left behind. */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    const file = await open(partial, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw fileError(`The file "${path}" cannot be written`, error);
  }
}
