import { DataError } from './errors.js';

/** Whether bytes begin like a gzip file. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/**
 * Unpack gzip, in Node and browsers. Stops as soon as more than `maxBytes` come out, so that a small hostile file cannot
 * fill the memory.
 *
 * @throws DataError for damaged input and for results beyond the budget.
 */
export async function gunzip(bytes: Uint8Array, maxBytes = 2 ** 28): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'));
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > maxBytes) {
        await reader.cancel();
        throw new DataError(`The compressed data unpacks to more than ${maxBytes} bytes.`, {
          hint: 'Raise the budget if it is meant to be that large.',
        });
      }
      chunks.push(value);
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`The compressed data is damaged: ${(error as Error).message}.`, { cause: error });
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
