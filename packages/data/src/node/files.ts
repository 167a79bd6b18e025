import { open } from 'node:fs/promises';
import { DataError } from '../errors.js';
import { gunzip, isGzip } from '../gzip.js';

export interface ReadFileOptions {
  /** Largest content to accept, unpacked; default 2^28 bytes. */
  readonly maxBytes?: number;
}

/**
 * Contents of a file, unpacked when it is gzip.
 *
 * @throws DataError when it cannot be read, or is larger than the budget.
 */
export async function readBytes(path: string, { maxBytes = 2 ** 28 }: ReadFileOptions = {}): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    const file = await open(path);
    try {
      const stat = await file.stat();
      const { size } = stat;
      if (!stat.isFile()) throw new DataError(`"${path}" is no regular file.`);
      if (size > maxBytes)
        throw new DataError(`The file "${path}" has ${size} bytes; at most ${maxBytes} are read.`, {
          hint: 'Raise maxBytes if it is meant to be that large.',
        });
      bytes = await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`The file "${path}" cannot be read: ${(error as Error).message}.`, { cause: error });
  }
  return isGzip(bytes) ? gunzip(bytes, maxBytes) : bytes;
}

/**
 * A UTF-8 text file.
 *
 * @throws DataError for bytes that are no UTF-8, besides what {@link readBytes} throws.
 */
export async function readText(path: string, options: ReadFileOptions = {}): Promise<string> {
  const bytes = await readBytes(path, options);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new DataError(`The file "${path}" is no UTF-8 text.`, { cause: error, hint: 'Convert it to UTF-8.' });
  }
}
