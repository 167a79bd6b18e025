import type { Dataset } from './dataset.js';
import { DataError } from './errors.js';

/** Turns text into token ids and back. */
export interface Tokenizer {
  readonly vocabulary: number;
  encode(text: string): readonly number[];
  decode(tokens: readonly number[]): string;
}

/** UTF-8 bytes as tokens: 256 of them, and every text has an encoding. */
export const byteTokenizer: Tokenizer = {
  vocabulary: 256,
  encode: (text) => Array.from(new TextEncoder().encode(text)),
  decode: (tokens) => new TextDecoder().decode(Uint8Array.from(tokens)),
};

/**
 * Windows over a token sequence for language models: `tokens` int64 [context] and `label` int64 [context], the tokens
 * that follow each position. Windows start every `stride` tokens (default: the context).
 */
export function languageWindows(tokens: ArrayLike<number>, context: number, stride = context): Dataset {
  const length = Math.floor((tokens.length - 1 - context) / stride) + 1;
  if (!(context >= 1) || !(stride >= 1) || length < 1)
    throw new DataError(`${tokens.length} tokens give no window of ${context} tokens and the one after it.`, {
      hint: 'Use a longer text or a shorter context.',
    });
  return {
    length,
    columns: {
      tokens: { dataType: 'int64', shape: [context] },
      label: { dataType: 'int64', shape: [context] },
    },
    read(column, index, into, row) {
      const from = index * stride + (column === 'label' ? 1 : 0);
      const target = into.data as BigInt64Array;
      for (let at = 0; at < context; at++) target[row * context + at] = BigInt(tokens[from + at] as number);
    },
  };
}
