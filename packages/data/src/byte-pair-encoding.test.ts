import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { trainBytePairEncoding, type TokenizerJson } from './byte-pair-encoding.js';
import { DataError } from './errors.js';
import { loadTokenizer } from './hugging-face-tokenizer.js';
import { mobyDick } from './node/corpora.js';
import { byteTokenizer, type Tokenizer } from './tokenizer.js';

interface Golden {
  readonly name: string;
  readonly corpus: string;
  readonly characters: number;
  readonly vocabulary: number;
  readonly special: readonly string[];
  readonly frequency: number;
  readonly mergeCount: number;
  readonly mergesSha256: string;
  readonly vocabularySha256: string;
  readonly firstMerges: readonly (readonly [string, string])[];
  readonly samples: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly tokensOfCorpus: number;
}

const golden = JSON.parse(await readFile(new URL('../golden/byte-pair-encoding.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Golden[];
};
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe.each(golden.cases.map((entry): [string, Golden] => [entry.name, entry]))(
  'equals the Python package: %s',
  (_, expected) => {
    let text: string;
    let json: TokenizerJson;
    let tokenizer: Tokenizer;
    beforeAll(async () => {
      text = expected.corpus === 'moby-dick' ? (await mobyDick()).slice(0, expected.characters) : expected.corpus;
      json = trainBytePairEncoding(text, {
        vocabularySize: expected.vocabulary,
        minFrequency: expected.frequency,
        specialTokens: expected.special,
      });
      tokenizer = loadTokenizer(json);
    });

    test('merges and vocabulary', () => {
      expect(json.model.merges.slice(0, 40)).toEqual(expected.firstMerges);
      expect(json.model.merges.length).toBe(expected.mergeCount);
      expect(sha256(json.model.merges.map((merge) => merge.join('\n')).join('\n\n'))).toBe(expected.mergesSha256);
      const vocabulary = Object.entries(json.model.vocab).sort((a, b) => a[1] - b[1]);
      expect(sha256(vocabulary.map(([token]) => token).join('\n'))).toBe(expected.vocabularySha256);
    });
    test('encodings', () => {
      for (const { text: sample, ids } of expected.samples) expect(Array.from(tokenizer.encode(sample))).toEqual(ids);
      expect(tokenizer.encode(text).length).toBe(expected.tokensOfCorpus);
    });
  },
);

describe('a trained vocabulary', () => {
  const json = trainBytePairEncoding(['the cat sat on the mat', 'the cat and the hat'], {
    vocabularySize: 270,
    specialTokens: ['<|endoftext|>'],
  });
  const tokenizer = loadTokenizer(json);

  test('gives every text back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(text);
        expect(ids.every((id) => id < tokenizer.vocabulary)).toBe(true);
      }),
    );
  });
  test('survives being written as JSON', () => {
    const again = loadTokenizer(JSON.stringify(json));
    expect(again.vocabulary).toBe(json.model.merges.length + 257);
    expect(Array.from(again.encode('the cat'))).toEqual(Array.from(tokenizer.encode('the cat')));
  });
  test('keeps special tokens whole', () => {
    expect(Array.from(tokenizer.encode('<|endoftext|>'))).toEqual([0]);
    expect(tokenizer.decode([0])).toBe('<|endoftext|>');
  });
  test('needs fewer tokens than bytes', () => {
    const text = 'the cat sat on the mat';
    expect(tokenizer.encode(text).length).toBeLessThan(byteTokenizer.encode(text).length);
  });
  test('refuses ids that it does not have', () => {
    expect(() => tokenizer.decode([tokenizer.vocabulary])).toThrow(DataError);
    expect(() => byteTokenizer.decode([256])).toThrow(/Token 0 is 256/);
  });
});

test('sizes that cannot hold the bytes are refused', () => {
  expect(() => trainBytePairEncoding('text', { vocabularySize: 255 })).toThrow(DataError);
  expect(() => trainBytePairEncoding('text', { vocabularySize: 256.5 })).toThrow(DataError);
  expect(() => trainBytePairEncoding('text', { vocabularySize: 300, specialTokens: ['a', 'a'] })).toThrow(DataError);
});

test.each([
  ['no JSON', '{"model":'],
  ['a list', []],
  ['no model', {}],
  ['no vocabulary', { model: { type: 'BPE', vocab: {}, merges: [] } }],
  ['an id that is no number', { model: { type: 'BPE', vocab: { a: 'b' }, merges: [] } }],
  ['a negative id', { model: { type: 'BPE', vocab: { a: -1 }, merges: [] } }],
  ['an id that would fill the memory', { model: { type: 'BPE', vocab: { a: 2 ** 40 }, merges: [] } }],
  ['an unknown model', { model: { type: 'Nonsense', vocab: { a: 0 } }, added_tokens: [] }],
  ['added tokens that are no list', { model: { type: 'BPE', vocab: { a: 0 }, merges: [] }, added_tokens: 3 }],
  ['merges that are no list', { model: { type: 'BPE', vocab: { a: 0 }, merges: 7 }, added_tokens: [] }],
])('a tokenizer with %s is refused', (_, json) => {
  expect(() => loadTokenizer(json)).toThrow(DataError);
});

test('a damaged tokenizer works or gives a typed error, wherever the damage is', () => {
  const whole = JSON.stringify(trainBytePairEncoding('the cat sat on the mat', { vocabularySize: 262 }));
  type Path = readonly (string | number)[];
  /** Paths to everything in it, but only the first entries of long lists. */
  const paths = (value: unknown, path: Path = []): Path[] =>
    typeof value === 'object' && value !== null
      ? [
          path,
          ...Object.entries(value)
            .slice(0, 8)
            .flatMap(([key, inner]) => paths(inner, [...path, key])),
        ]
      : [path];
  // The library reports some damage on the console as well.
  jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const damage = fc.constantFrom<unknown>(
    undefined,
    null,
    0,
    -1,
    1e300,
    '',
    'x',
    [],
    {},
    [[]],
    ['a'],
    { type: 'Split' },
    { type: 'BPE' },
  );
  fc.assert(
    fc.property(fc.constantFrom(...paths(JSON.parse(whole)).slice(1)), damage, (path, value) => {
      const json = JSON.parse(whole) as Record<string, unknown>;
      let place: Record<string, unknown> = json;
      for (const key of path.slice(0, -1)) place = place[key] as Record<string, unknown>;
      const last = path[path.length - 1] as string;
      if (value === undefined) Reflect.deleteProperty(place, last);
      else place[last] = value;
      try {
        const tokenizer = loadTokenizer(json);
        const ids = tokenizer.encode('the hat — é');
        expect(ids.every((id) => id < tokenizer.vocabulary)).toBe(true);
        expect(typeof tokenizer.decode(ids)).toBe('string');
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    }),
    { numRuns: 400 },
  );
  jest.restoreAllMocks();
});
