import { open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file in one piece: to a temporary file beside it, synced, then renamed. A reader sees the old content or
 * the new, never a part.
 */
export async function replaceFile(
  path: string,
  chunks: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
): Promise<void> {
  const temporary = join(dirname(path), `${temporaryPrefix(path)}${process.pid}.tmp`);
  await removeLeftovers(path);
  try {
    const file = await open(temporary, 'w');
    try {
      for await (const chunk of chunks) await file.appendFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Temporary files are hidden, and their names lack the word by which TensorBoard finds event files: it would read what
 * a process left behind that was killed while it rewrote one.
 */
function temporaryPrefix(path: string): string {
  return `.${basename(path).replaceAll('tfevents', 'rewritten')}.`;
}

/** Removes the temporary files of processes that were killed while they replaced the same file. */
async function removeLeftovers(path: string): Promise<void> {
  const prefix = temporaryPrefix(path);
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(prefix) && /^\d+\.tmp$/u.test(name.slice(prefix.length)))
      await rm(join(dirname(path), name), { force: true });
  }
}

/** Makes a rename durable. Windows cannot open folders and does not need it. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
