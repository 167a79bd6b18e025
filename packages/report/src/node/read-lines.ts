import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** The lines of a file, one after the other, without holding the file in memory. */
export function readLines(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
}
