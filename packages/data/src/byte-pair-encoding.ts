import { BYTE_CHARACTERS } from './byte-alphabet.js';
import { DataError } from './errors.js';

export interface BytePairEncodingOptions {
  /** Ids in all: special tokens, 256 bytes and merges. Training stops earlier when no pair is frequent enough. */
  readonly vocabularySize: number;
  /** A pair must occur this often to be merged; default 2. */
  readonly minFrequency?: number;
  /** Tokens that text never produces by itself, such as `<|endoftext|>`; they get the first ids. */
  readonly specialTokens?: readonly string[];
}

/** A `tokenizer.json`, the format of Hugging Face tokenizers, as far as it is written here. */
export interface TokenizerJson {
  readonly version: string;
  readonly added_tokens: readonly Readonly<Record<string, unknown>>[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: {
    readonly type: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
  };
}

/** Words as GPT-2 cuts them; the white space of Rust's `\s`, by which the reference implementation trains. */
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Largest vocabulary: two ids must fit into one exact number as a key. */
const MAX_VOCABULARY = 2 ** 24;

/** A word of the corpus as ids that shrink as pairs merge. */
interface Word {
  ids: number[];
  readonly count: number;
}

/** Pairs by count, most frequent first, then by their ids: a binary heap whose stale entries are corrected when they surface. */
class PairQueue {
  readonly #counts: number[] = [];
  readonly #keys: number[] = [];

  #before(a: number, b: number): boolean {
    const difference = (this.#counts[a] as number) - (this.#counts[b] as number);
    return difference > 0 || (difference === 0 && (this.#keys[a] as number) < (this.#keys[b] as number));
  }
  #swap(a: number, b: number): void {
    for (const values of [this.#counts, this.#keys]) {
      const kept = values[a] as number;
      values[a] = values[b] as number;
      values[b] = kept;
    }
  }
  push(key: number, count: number): void {
    let at = this.#keys.push(key) - 1;
    this.#counts.push(count);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }
  pop(): { readonly key: number; readonly count: number } | undefined {
    const last = this.#keys.length - 1;
    if (last < 0) return undefined;
    this.#swap(0, last);
    const key = this.#keys.pop() as number;
    const count = this.#counts.pop() as number;
    for (let at = 0; ;) {
      let best = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < last && this.#before(child, best)) best = child;
      if (best === at) break;
      this.#swap(at, best);
      at = best;
    }
    return { key, count };
  }
}

/**
 * Learn a byte-level BPE vocabulary (Sennrich et al. 2016; byte level: Radford et al. 2019) from text. No maintained
 * JavaScript library trains one; this trainer writes the common `tokenizer.json` format and gives the merges that the
 * `tokenizers` package for Python gives. Load the result with `loadTokenizer`.
 *
 * @throws DataError for a vocabulary that cannot hold the bytes and special tokens.
 */
export function trainBytePairEncoding(
  texts: string | Iterable<string>,
  { vocabularySize, minFrequency = 2, specialTokens = [] }: BytePairEncodingOptions,
): TokenizerJson {
  const first = specialTokens.length + 256;
  if (!Number.isSafeInteger(vocabularySize) || vocabularySize < first || vocabularySize > MAX_VOCABULARY)
    throw new DataError(
      `The vocabulary size is ${vocabularySize}; it must be an integer from ${first} to ${MAX_VOCABULARY}.`,
      {
        hint: 'The 256 bytes and the special tokens are always in it.',
      },
    );
  if (new Set(specialTokens).size !== specialTokens.length || specialTokens.includes(''))
    throw new DataError('The special tokens must differ from each other and must not be empty.');

  // Ids: special tokens, then the characters of the bytes in the order of their code points, then merges.
  const tokens = [...specialTokens, ...[...BYTE_CHARACTERS].sort()];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const words = countWords(texts, ids);

  const counts = new Map<number, number>();
  const places = new Map<number, Set<number>>();
  const keyOf = (left: number, right: number): number => left * MAX_VOCABULARY + right;
  const note = (key: number, change: number, word: number): void => {
    counts.set(key, (counts.get(key) ?? 0) + change);
    if (change <= 0) return;
    const known = places.get(key);
    if (known === undefined) places.set(key, new Set([word]));
    else known.add(word);
  };
  words.forEach(({ ids: symbols, count }, word) => {
    for (let at = 1; at < symbols.length; at++)
      note(keyOf(symbols[at - 1] as number, symbols[at] as number), count, word);
  });
  const queue = new PairQueue();
  for (const [key, count] of counts) queue.push(key, count);

  const merges: (readonly [string, string])[] = [];
  while (tokens.length < vocabularySize) {
    const top = queue.pop();
    if (top === undefined) break;
    const current = counts.get(top.key) ?? 0;
    if (top.count !== current) {
      if (current > 0) queue.push(top.key, current);
      continue;
    }
    if (current < Math.max(1, minFrequency)) break;
    const left = Math.floor(top.key / MAX_VOCABULARY);
    const right = top.key % MAX_VOCABULARY;
    const token = (tokens[left] as string) + (tokens[right] as string);
    let id = ids.get(token);
    if (id === undefined) {
      id = tokens.push(token) - 1;
      ids.set(token, id);
    }
    merges.push([tokens[left] as string, tokens[right] as string]);
    const grown = new Set<number>();
    for (const index of places.get(top.key) ?? []) mergeWord(index, left, right, id, grown);
    places.delete(top.key);
    counts.set(top.key, 0);
    for (const key of grown) {
      const count = counts.get(key) ?? 0;
      if (count > 0) queue.push(key, count);
    }
  }

  function mergeWord(index: number, left: number, right: number, id: number, grown: Set<number>): void {
    const word = words[index] as Word;
    const old = word.ids;
    const merged: number[] = [];
    for (let at = 0; at < old.length; at++) {
      if (old[at] !== left || old[at + 1] !== right) {
        merged.push(old[at] as number);
        continue;
      }
      merged.push(id);
      at++;
    }
    if (merged.length === old.length) return;
    for (let at = 1; at < old.length; at++) note(keyOf(old[at - 1] as number, old[at] as number), -word.count, index);
    for (let at = 1; at < merged.length; at++) {
      const key = keyOf(merged[at - 1] as number, merged[at] as number);
      note(key, word.count, index);
      if (merged[at - 1] === id || merged[at] === id) grown.add(key);
    }
    word.ids = merged;
  }

  return {
    version: '1.0',
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab: Object.fromEntries(ids), merges, ...MODEL_DEFAULTS },
  };
}

const MODEL_DEFAULTS = {
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

/** Distinct words of a corpus as byte ids, with how often they occur. */
function countWords(texts: string | Iterable<string>, ids: ReadonlyMap<string, number>): Word[] {
  const counts = new Map<string, number>();
  for (const text of typeof texts === 'string' ? [texts] : texts)
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const encoder = new TextEncoder();
  return Array.from(counts, ([word, count]) => ({
    ids: Array.from(encoder.encode(word), (byte) => ids.get(BYTE_CHARACTERS[byte] as string) as number),
    count,
  }));
}
