import { DataError } from './errors.js';

/** Turns text into token ids and back. Any library fits behind these three members. */
export interface Tokenizer {
  /** Number of ids: they run from 0 to `vocabulary - 1`. */
  readonly vocabulary: number;
  encode(text: string): Uint32Array;
  /** @throws DataError for ids outside of the vocabulary. */
  decode(tokens: ArrayLike<number>): string;
}

/** @throws DataError for the first id outside of a vocabulary. */
export function checkTokens(tokens: ArrayLike<number>, vocabulary: number): void {
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as number;
    if (!(Number.isInteger(token) && token >= 0 && token < vocabulary))
      throw new DataError(`Token ${at} is ${token}; the vocabulary has ${vocabulary} ids from 0.`, {
        details: { at, token, vocabulary },
      });
  }
}

/** UTF-8 bytes as tokens: 256 of them, and every text has an encoding. Damaged sequences decode to U+FFFD. */
export const byteTokenizer: Tokenizer = {
  vocabulary: 256,
  encode: (text) => Uint32Array.from(new TextEncoder().encode(text)),
  decode(tokens) {
    checkTokens(tokens, 256);
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(tokens));
  },
};
