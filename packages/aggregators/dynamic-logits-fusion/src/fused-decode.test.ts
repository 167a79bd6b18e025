import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import {
  defineModel,
  generate,
  mapValues,
  modelSpecs,
  RandomStream,
  type GenerationModel,
  type Model,
  type ParameterSpec,
} from '@updraft/core';
import type { Tokenizer } from '@updraft/data';
import { emptyTensor, tensor, writeElement, type Tensor, type TensorData } from '@updraft/graph';
import { gpt } from '@updraft/nn';
import { runProbeCase } from '@updraft/testing';
import { dynamicLogitsFusion, fusedDecode, fusedDecoding, staticLogitsFusion } from './index.js';
import * as all from './index.js';

// Machines that run checks are busy.
jest.setTimeout(120_000);

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const LETTERS = 'abcd';
const letters: Tokenizer = {
  vocabulary: 4,
  encode: (text) => Uint32Array.from(text, (letter) => LETTERS.indexOf(letter)),
  decode: (tokens) => Array.from(tokens, (token) => LETTERS[token]).join(''),
};

type Table = readonly (readonly number[])[];
/** Logits of the next token given the one before; of any context, or of a fixed one. */
const bigram = (context?: number): Model =>
  defineModel({
    name: 'bigram',
    inputs: { tokens: { dataType: 'int64', shape: ['batch', context ?? 'length'] } },
    build: (scope, { tokens }) => ({
      logits: scope.parameter('table', [4, 4], { initialize: () => new Float32Array(16) }).gather(tokens as Tensor),
    }),
  });
const of = (table: Table, context?: number): GenerationModel => ({
  model: bigram(context),
  values: { table: tensor(table as number[][]) },
});

const LARGE: Table = [
  [2, 1, 0, -1],
  [0, 1, 2, 0],
  [1, 0, 0, 3],
  [0, 0, 1, 1],
];
const BASE: Table = [
  [1, 1, 0, 0],
  [0, 0, 1, 1],
  [0, 0, 0, 1],
  [1, 0, 0, 0],
];
const EXPERT: Table = [
  [0, 2, 1, 0],
  [0, 0, 3, 1],
  [2, 0, 0, 1],
  [0, 2, 0, 0],
];

const logSoftmax = (logits: readonly number[]): number[] => {
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return logits.map((logit) => logit - total);
};
const kl = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, one, v) => sum + Math.exp(one) * (one - (b[v] as number)), 0);
/** The search for one expert, in plain numbers. */
function search(large: readonly number[], base: readonly number[], expert: readonly number[]) {
  const fused = (alpha: number): number[] =>
    large.map((logit, v) => logit + alpha * ((expert[v] as number) - (base[v] as number)));
  const [p, q, tuned] = [large, base, expert].map(logSoftmax) as [number[], number[], number[]];
  const objective = (alpha: number): number => {
    const moved = logSoftmax(fused(alpha));
    return (kl(moved, p) - kl(tuned, q)) ** 2 + (kl(p, moved) - kl(q, tuned)) ** 2;
  };
  const best = (points: readonly number[]): number =>
    points.reduce((least, point) => (objective(point) < objective(least) ? point : least));
  const coarse = best(Array.from({ length: 21 }, (_, i) => i / 10));
  const fine = Array.from({ length: 11 }, (_, i) => coarse + (i - 5) / 50).filter((point) => point >= 0 && point <= 2);
  const alpha = best(fine);
  return { alpha, logits: fused(alpha) };
}

describe('decoding with fused models', () => {
  const models = () => ({
    large: of(LARGE),
    smallBase: of(BASE),
    experts: [of(EXPERT)],
    tokenizer: letters,
    backend,
  });

  test('greedy texts and α at every token are those of the search by hand, for prompts of unlike length', async () => {
    const decoder = fusedDecode(models());
    const prompts = ['a', 'cab', 'd', 'bc'];
    const found = await decoder.generateAll(prompts, { maxTokens: 5 });
    for (const [row, prompt] of prompts.entries()) {
      let last = letters.encode(prompt).at(-1) as number;
      let text = '';
      for (let step = 0; step < 5; step++) {
        const { alpha, logits } = search(LARGE[last]!, BASE[last]!, EXPERT[last]!);
        expect(found[row]?.alphaTrace[step]?.[0]).toBeCloseTo(alpha, 6);
        last = logits.indexOf(Math.max(...logits));
        text += LETTERS.charAt(last);
      }
      expect(found[row]?.text).toBe(text);
      // One prompt alone gives the same text.
      expect(await decoder.generate(prompt, { maxTokens: 5 })).toEqual(found[row]);
    }
    expect(new Set(found.flatMap(({ alphaTrace }) => alphaTrace.flat())).size).toBeGreaterThan(2);
    await decoder.dispose();
  });

  test('α 0 is the large model alone; a large model that is the small base writes what the expert does', async () => {
    const alone = (table: Table, start: string): string => {
      let [last, text] = [LETTERS.indexOf(start), ''];
      for (let step = 0; step < 4; step++) {
        last = table[last]!.indexOf(Math.max(...table[last]!));
        text += LETTERS.charAt(last);
      }
      return text;
    };
    const off = fusedDecode({ ...models(), aggregator: staticLogitsFusion({ alpha: 0 }) });
    const same = fusedDecode({ ...models(), large: of(BASE) });
    for (const start of LETTERS) {
      const plain = await off.generate(start, { maxTokens: 4 });
      expect([plain.text, plain.alphaTrace, plain.objectiveTrace]).toEqual([alone(LARGE, start), [], []]);
      const expert = await same.generate(start, { maxTokens: 4 });
      expect(expert.text).toBe(alone(EXPERT, start));
      for (const [alpha] of expert.alphaTrace) expect(alpha).toBe(1);
    }
    await off.dispose();
    await same.dispose();
  });

  test('a sequence ends with its end token, and generation when all have ended', async () => {
    // a → b → c → d, and d goes on as it likes.
    const chain: Table = [0, 1, 2, 3].map((row) => [0, 1, 2, 3].map((at) => (at === (row + 1) % 4 ? 5 : 0)));
    const decoder = fusedDecode({
      ...models(),
      large: of(chain),
      aggregator: staticLogitsFusion({ alpha: 0 }),
    });
    const found = await decoder.generateAll(['a', 'c'], { maxTokens: 9, end: 'd' });
    expect(found.map(({ text, tokens }) => [text, tokens])).toEqual([
      ['bc', [1, 2, 3]],
      ['', [3]],
    ]);
    await expect(decoder.generate('a', { end: 'cd' })).rejects.toThrow(/2 tokens/);
    await expect(decoder.generate('')).rejects.toThrow(/between 1 and/);
    await decoder.dispose();
    const sampler = fusedDecoding({ maxTokens: 9, endToken: 3, aggregator: staticLogitsFusion({ alpha: 0 }) });
    const prompt: TensorData = { dataType: 'int64', dims: [2, 1], data: BigInt64Array.of(0n, 2n) };
    const { steps, reason } = await generate({
      models: { large: of(chain), smallBase: of(BASE), expert: of(EXPERT) },
      sampler,
      backend,
      inputs: { prompt },
    }).result();
    expect([steps, reason]).toEqual([3, 'finished']);
  });

  test('temperature and top-p act on the fused logits', async () => {
    const count = 4000;
    const [shifted] = LARGE.map((row, at) => row.map((logit, v) => logit + EXPERT[at]![v]! - BASE[at]![v]!));
    const decoder = fusedDecode({ ...models(), aggregator: staticLogitsFusion() });
    const prompts = new Array<string>(count).fill('a');
    const shares = async (options: { temperature: number; topP?: number }): Promise<number[]> => {
      const found = await decoder.generateAll(prompts, { maxTokens: 1, seed: 3, ...options });
      return [0, 1, 2, 3].map((token) => found.filter(({ tokens }) => tokens[0] === token).length / count);
    };
    const expected = logSoftmax((shifted as number[]).map((logit) => logit / 1.5)).map(Math.exp);
    const drawn = await shares({ temperature: 1.5 });
    // Standard errors are below 0.008.
    drawn.forEach((share, token) => {
      expect(Math.abs(share - expected[token]!)).toBeLessThan(0.032);
    });
    // Probabilities by size: 1, then 0 and 2 alike, then 3: with one 0.5 and the next two, 0.9 are reached.
    const order = [...expected.keys()].sort((left, right) => expected[right]! - expected[left]!);
    const [first, , , last] = order as [number, number, number, number];
    const most = await shares({ temperature: 1.5, topP: 0.9 });
    expect(most[last]).toBe(0);
    expect(Math.abs(most[first]! - expected[first]! / (1 - expected[last]!))).toBeLessThan(0.032);
    const only = await shares({ temperature: 1.5, topP: 0.05 });
    expect(only[first]).toBe(1);
    // Cold draws are greedy ones.
    expect((await shares({ temperature: 0.001 }))[first]).toBe(1);
    await decoder.dispose();
  });

  test('the large model may see a prompt of its own, and have a longer context', async () => {
    const decoder = fusedDecode({
      ...models(),
      large: of(LARGE, 12),
      smallBase: of(BASE, 8),
      experts: [of(EXPERT, 8)],
    });
    // Bigrams see the last token only: with examples before it the text is the same, with another end it is not.
    const plain = await decoder.generate('ab', { maxTokens: 4 });
    const examples = await decoder.generate('ab', { maxTokens: 4, largePrompt: 'dcdcdcab' });
    expect(examples).toEqual(plain);
    const other = await decoder.generate('ab', { maxTokens: 1, largePrompt: 'c' });
    const { alpha } = search(LARGE[2]!, BASE[1]!, EXPERT[1]!);
    expect(other.alphaTrace[0]?.[0]).toBeCloseTo(alpha, 6);
    await expect(decoder.generate('abcda', { maxTokens: 4 })).rejects.toThrow(/exceed a context of 8/);
    await decoder.dispose();
  });

  test('two experts, one of them active at each token', async () => {
    const second: Table = LARGE.map((row) => row.map((logit, v) => logit - 2 * v));
    const decoder = fusedDecode({
      ...models(),
      experts: [of(EXPERT), of(second)],
      aggregator: dynamicLogitsFusion(),
    });
    const { alphaTrace } = await decoder.generate('a', { maxTokens: 6 });
    for (const alphas of alphaTrace) {
      expect(alphas).toHaveLength(2);
      expect(Math.min(...alphas)).toBe(0);
    }
    await decoder.dispose();
  });

  test('transformers: padding behind a prompt does not change what follows it', async () => {
    const model = gpt({ vocabulary: 4, context: 9, width: 8, depth: 1, heads: 2 });
    const make = (seed: number): GenerationModel => {
      const random = RandomStream.fromSeed(seed);
      const draw = ({ shape, dataType }: ParameterSpec): TensorData => {
        const value = emptyTensor(dataType, shape);
        for (let at = 0; at < value.data.length; at++) writeElement(value, at, random.normal());
        return value;
      };
      return { model, values: mapValues(modelSpecs(model).params, draw) };
    };
    const decoder = fusedDecode({ ...models(), large: make(1), smallBase: make(2), experts: [make(3)] });
    const prompts = ['a', 'abcd', 'dd'];
    const together = await decoder.generateAll(prompts, { maxTokens: 5 });
    for (const [row, prompt] of prompts.entries()) {
      const alone = await decoder.generate(prompt, { maxTokens: 5 });
      expect(together[row]?.text).toBe(alone.text);
    }
    await decoder.dispose();
  });

  test('by name, with models as JSON', async () => {
    const model = (table: Table) => ({
      type: 'expression',
      params: { table },
      inputs: { tokens: { dtype: 'int64', data: [[0, 0]] } },
      outputs: { logits: 'gather(table, tokens)' },
    });
    await runProbeCase(
      {
        name: 'greedy tokens',
        plugin: 'fused-decoding',
        input: {
          options: { maxTokens: 1, experts: ['expert'], context: 2 },
          inputs: { prompt: { dtype: 'int64', data: [[0]] } },
          models: { large: model(LARGE), smallBase: model(BASE), expert: model(EXPERT) },
        },
        expected: { steps: [{ outputs: { token: [1], alpha: [[0.82]] } }] },
      },
      { exports: all, backend },
    );
  });
});
