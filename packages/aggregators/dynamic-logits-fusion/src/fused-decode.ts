import type { Backend } from '@updraft/backend';
import { Generator, type Aggregator, type GenerationModel } from '@updraft/core';
import type { Tokenizer } from '@updraft/data';
import type { TensorData } from '@updraft/graph';
import { FusionError } from './errors.js';
import { fusedDecoding, type FusedDecodingOptions } from './fused-decoding.js';
import { LARGE, SMALL_BASE } from './logit-sources.js';

/** Models that decode together, all with the vocabulary of one tokenizer. */
export interface FusedModels {
  readonly large: GenerationModel;
  readonly smallBase: GenerationModel;
  readonly experts: readonly GenerationModel[];
  readonly tokenizer: Tokenizer;
  readonly backend: Backend;
  /** Default: dynamic logits fusion with its defaults. */
  readonly aggregator?: Aggregator;
  /** Input of the models that has the tokens; default: `tokens`. */
  readonly column?: string;
}

export interface DecodeOptions {
  /** Default 32. */
  readonly maxTokens?: number;
  /** Take the most probable token; default: true, unless there is a temperature. */
  readonly greedy?: boolean;
  /** Default 1 where it is not greedy. */
  readonly temperature?: number;
  /** Default 1. */
  readonly topP?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Text of one token that ends a sequence. */
  readonly end?: string;
}

/** A text that continues a prompt. */
export interface Decoded {
  /** What follows the prompt, without the end. */
  readonly text: string;
  /** Tokens of the text, and the end where it was reached. */
  readonly tokens: readonly number[];
  /** α of every expert at each of these tokens; empty where the aggregator shows none. */
  readonly alphaTrace: readonly (readonly number[])[];
  /** J at each of these tokens; empty where the aggregator shows none. */
  readonly objectiveTrace: readonly number[];
}

/**
 * Several language models that write one text. Programs are kept: texts of the same options and number of prompts compile
 * nothing after the first. Dispose it after use.
 */
export class FusedDecoder {
  readonly #generators = new Map<string, Generator>();

  constructor(readonly models: FusedModels) {}

  /** Continue one prompt. `largePrompt` is what the large model sees instead, such as examples before the question. */
  async generate(prompt: string, options: DecodeOptions & { readonly largePrompt?: string } = {}): Promise<Decoded> {
    const { largePrompt, ...rest } = options;
    const [only] = await this.generateAll([prompt], {
      ...rest,
      ...(largePrompt === undefined ? {} : { largePrompts: [largePrompt] }),
    });
    return only as Decoded;
  }

  /** Continue several prompts at once, each with its own α. @throws FusionError for empty prompts and too long ones. */
  async generateAll(
    prompts: readonly string[],
    options: DecodeOptions & { readonly largePrompts?: readonly string[] } = {},
  ): Promise<Decoded[]> {
    const { tokenizer } = this.models;
    const { largePrompts, seed = 0, end } = options;
    const endToken = end === undefined ? undefined : this.#endToken(end);
    const inputs = {
      ...this.#encoded(prompts, 'prompt'),
      ...(largePrompts === undefined ? {} : this.#encoded(largePrompts, 'largePrompt')),
    };
    const run = this.#generator(options, endToken).generate({ inputs, seed });
    const decoded = prompts.map(() => ({
      tokens: [] as number[],
      alphaTrace: [] as number[][],
      objectiveTrace: [] as number[],
    }));
    for await (const event of run) {
      if (event.type !== 'generation-step') continue;
      const { token, alpha, objective } = event.outputs;
      decoded.forEach((one, row) => {
        if (endToken !== undefined && one.tokens.at(-1) === endToken) return;
        one.tokens.push(Number((token as TensorData).data[row]));
        if (alpha !== undefined) {
          const count = alpha.dims[1] as number;
          one.alphaTrace.push(Array.from({ length: count }, (_, t) => Number(alpha.data[row * count + t])));
        }
        if (objective !== undefined) one.objectiveTrace.push(Number(objective.data[row]));
      });
    }
    await run.result();
    return decoded.map((one) => ({ text: tokenizer.decode(one.tokens.filter((token) => token !== endToken)), ...one }));
  }

  async dispose(): Promise<void> {
    const generators = [...this.#generators.values()];
    this.#generators.clear();
    for (const generator of generators) await generator.dispose();
  }

  #generator(options: DecodeOptions, endToken: number | undefined): Generator {
    const { large, smallBase, experts, aggregator, backend, column = 'tokens' } = this.models;
    const { maxTokens = 32, temperature = 1, topP = 1, greedy = options.temperature === undefined } = options;
    const names = experts.map((_, t) => `expert${t + 1}`);
    const contextOf = ({ model }: GenerationModel): number | undefined => {
      const size = model.inputs[column]?.shape[1];
      return typeof size === 'number' ? size : undefined;
    };
    const [context, largeContext] = [contextOf(smallBase), contextOf(large)];
    const given: FusedDecodingOptions = {
      maxTokens,
      experts: names,
      temperature: greedy ? 0 : temperature,
      topP,
      column,
      ...(endToken === undefined ? {} : { endToken }),
      ...(context === undefined ? {} : { context }),
      ...(largeContext === undefined ? {} : { largeContext }),
    };
    const key = JSON.stringify(given);
    const known = this.#generators.get(key);
    if (known !== undefined) return known;
    const made = new Generator({
      models: {
        [LARGE]: large,
        [SMALL_BASE]: smallBase,
        ...Object.fromEntries(experts.map((expert, t) => [names[t] as string, expert])),
      },
      sampler: fusedDecoding({ ...given, ...(aggregator === undefined ? {} : { aggregator }) }),
      backend,
    });
    this.#generators.set(key, made);
    return made;
  }

  #endToken(end: string): number {
    const [token, ...more] = this.models.tokenizer.encode(end);
    if (token === undefined || more.length > 0)
      throw new FusionError(
        `The end ${JSON.stringify(end)} is ${more.length + (token === undefined ? 0 : 1)} tokens.`,
        {
          hint: 'Give the text of exactly one token.',
        },
      );
    return token;
  }

  #encoded(prompts: readonly string[], name: string): Record<string, TensorData<'int64'>> {
    const encoded = prompts.map((prompt) => this.models.tokenizer.encode(prompt));
    const width = Math.max(1, ...encoded.map(({ length }) => length));
    const tokens = new BigInt64Array(prompts.length * width);
    encoded.forEach((list, row) => {
      tokens.set(BigInt64Array.from(list, BigInt), row * width);
    });
    return {
      [name]: { dataType: 'int64', dims: [prompts.length, width], data: tokens },
      [`${name}Length`]: {
        dataType: 'int64',
        dims: [prompts.length],
        data: BigInt64Array.from(encoded, ({ length }) => BigInt(length)),
      },
    };
  }
}

/** Decode with a large model and small experts: `fusedDecode({ large, smallBase, experts: [math], tokenizer, backend })`. */
export const fusedDecode = (models: FusedModels): FusedDecoder => new FusedDecoder(models);
