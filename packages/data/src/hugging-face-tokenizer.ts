import { Tokenizer as UntypedTokenizer } from '@huggingface/tokenizers';
import { DataError } from './errors.js';
import { checkTokens, type Tokenizer } from './tokenizer.js';

/** What is used of the library. Its own declarations import without file extensions, which strict ESM does not resolve. */
interface LibraryTokenizer {
  encode(text: string, options: { readonly add_special_tokens: boolean }): { readonly ids: readonly number[] };
  decode(
    ids: readonly number[],
    options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean },
  ): string;
}
const LibraryTokenizer = UntypedTokenizer as unknown as new (json: object, config: object) => LibraryTokenizer;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Sixteen million ids: more than any vocabulary has, and little enough to allocate. */
const MAX_VOCABULARY = 2 ** 24;

/** Number of ids that a `tokenizer.json` defines. */
function vocabularyOf(json: Readonly<Record<string, unknown>>): number {
  const { model, added_tokens: added = [] } = json;
  const vocab = isRecord(model) ? model['vocab'] : undefined;
  // Unigram models list [token, score] pairs, the others map tokens to ids.
  const ids = Array.isArray(vocab) ? vocab.map((_, id) => id) : isRecord(vocab) ? Object.values(vocab) : undefined;
  if (ids === undefined || ids.length === 0)
    throw new DataError('The tokenizer has no vocabulary at model.vocab.', {
      hint: 'Give the parsed contents of a tokenizer.json file.',
    });
  if (!Array.isArray(added)) throw new DataError('The added tokens of the tokenizer are no list.');
  let largest = -1;
  for (const id of [...ids, ...added.map((token: unknown) => (isRecord(token) ? token['id'] : undefined))]) {
    if (!isId(id))
      throw new DataError(`The tokenizer holds the id ${JSON.stringify(id)}; ids are whole numbers from 0.`);
    largest = Math.max(largest, id);
  }
  if (largest >= MAX_VOCABULARY)
    throw new DataError(`The tokenizer holds the id ${largest}; ids below ${MAX_VOCABULARY} are read.`);
  return largest + 1;
}

/**
 * A tokenizer from the contents of a `tokenizer.json` (BPE, WordPiece, Unigram), run by the maintained library
 * `@huggingface/tokenizers`. No special tokens are added to texts.
 *
 * @param json Parsed contents, or their text.
 * @param config Parsed `tokenizer_config.json`, where the model has one.
 * @throws DataError for contents that are no tokenizer.
 */
export function loadTokenizer(json: unknown, config: Readonly<Record<string, unknown>> = {}): Tokenizer {
  let contents = json;
  if (typeof json === 'string')
    try {
      contents = JSON.parse(json);
    } catch (error) {
      throw new DataError(`The tokenizer is no JSON: ${(error as Error).message}.`, { cause: error });
    }
  if (!isRecord(contents)) throw new DataError('The tokenizer is no JSON object.');
  const vocabulary = vocabularyOf(contents);
  let library: LibraryTokenizer;
  try {
    library = new LibraryTokenizer(contents, config);
  } catch (error) {
    throw new DataError(`The tokenizer cannot be used: ${(error as Error).message}.`, { cause: error });
  }
  // A vocabulary that does not hang together shows only when it is used.
  const guarded = <T>(run: () => T): T => {
    try {
      return run();
    } catch (error) {
      throw new DataError(`The tokenizer failed: ${(error as Error).message}.`, {
        cause: error,
        hint: 'Its vocabulary, merges and processing steps do not fit together.',
      });
    }
  };
  return {
    vocabulary,
    encode(text) {
      const ids = guarded(() => library.encode(text, { add_special_tokens: false }).ids);
      // Text that the vocabulary has no token for comes out as undefined.
      checkTokens(ids, vocabulary);
      return Uint32Array.from(ids);
    },
    decode(tokens) {
      checkTokens(tokens, vocabulary);
      // The library refuses empty lists.
      if (tokens.length === 0) return '';
      return guarded(() =>
        library.decode(Array.from(tokens), { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
      );
    },
  };
}
