import {
  aggregate,
  defineOptions,
  OPTIONS,
  plugin,
  pluginFactory,
  pluginOption,
  type Aggregator,
  type GenerationContext,
  type GenerationInitContext,
  type GenerationSampler,
  type GenerationStep,
  type StateSpec,
} from '@updraft/core';
import { and, cumSum, equal, gatherND, shapeText, topK, where, type Tensor, type TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { dynamicLogitsFusion } from './dynamic-logits-fusion.js';
import { FusionError } from './errors.js';
import { LARGE, SMALL_BASE } from './logit-sources.js';

const decodingOptions = defineOptions({
  maxTokens: z.number().int().min(1).max(1e6).default(32).describe('Most tokens to generate.'),
  experts: z
    .array(z.string().min(1))
    .min(1)
    .default(['expert'])
    .describe('Names of the expert models, beside `large` and `smallBase`.'),
  aggregator: pluginOption('aggregator').optional().describe('Fuses the logits; default: dynamic-logits-fusion.'),
  temperature: z
    .number()
    .min(0)
    .max(1e3)
    .default(0)
    .describe('Temperature of the draw from the fused logits; 0 takes the most probable token.'),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('Draw from the most probable tokens that together have this probability, at this temperature.'),
  endToken: z.number().int().min(0).optional().describe('Token that ends a sequence.'),
  context: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Tokens that the models see, where that is fixed; default: prompt and new tokens.'),
  largeContext: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('The same of the large model, where it differs from that of the small ones.'),
  column: z.string().min(1).default('tokens').describe('Name of the input of the models that has the tokens.'),
});
export type FusedDecodingOptions = z.input<typeof decodingOptions>;

/** Tokens so far, in a buffer, and how many they are. */
export interface DecodingState extends Record<string, StateSpec> {
  /** int64 [sequences, context]; what follows the last token is 0, or a token that came after the end. */
  readonly tokens: StateSpec;
  /** int64 [sequences]. */
  readonly length: StateSpec;
  /** int64 [sequences]: 1 where the end token was drawn. */
  readonly done: StateSpec;
}

/** Logits this low are never drawn. */
const EXCLUDED = -1e30;

/**
 * Decodes with T + 2 causal language models in lockstep, whose logits an aggregator fuses at every token. A model has the
 * tokens int64 [sequences, context] as its input and logits [sequences, context, vocabulary] as first output.
 *
 * A request has the input `prompt` int64 [sequences, length], with `promptLength` int64 [sequences] where prompts of unlike
 * length are padded at their end; `largePrompt` and `largePromptLength` where the large model sees another one, such as
 * examples before the question. Outputs of a step are `token` [sequences], `logits` [sequences, vocabulary] and what the
 * aggregator shows: `alpha` [sequences, T] and `objective` [sequences].
 */
@plugin({
  name: 'fused-decoding',
  contract: 'sampler',
  options: decodingOptions,
  summary: 'Decoding with several language models in lockstep, fused at every token.',
  paper: "Fan et al. 2024, On Giant's Shoulders: Effortless Weak to Strong by Dynamic Logits Fusion",
})
export class FusedDecoding implements GenerationSampler<DecodingState> {
  readonly #aggregator: Aggregator;

  constructor(@inject(OPTIONS) readonly options: z.output<typeof decodingOptions>) {
    this.#aggregator = options.aggregator ?? dynamicLogitsFusion();
    const names = [LARGE, SMALL_BASE, ...options.experts];
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined)
      throw new FusionError(`Two models are named "${twice}".`, { hint: 'Give every expert a name of its own.' });
  }

  init({ inputs, state }: GenerationInitContext): DecodingState {
    const { context, largeContext = context } = this.options;
    const buffer = (prompt: Prompt, size: number | undefined): Pick<DecodingState, 'tokens' | 'length'> => {
      const [sequences, width] = prompt.tokens.dims as [number, number];
      const longest = Math.max(...prompt.lengths);
      const wide = size ?? width + this.options.maxTokens;
      if (longest + this.options.maxTokens > wide)
        throw new FusionError(
          `A prompt of ${longest} tokens and ${this.options.maxTokens} new ones exceed a context of ${wide}.`,
          { hint: 'Give shorter prompts, fewer maxTokens, or models of a longer context.' },
        );
      const tokens = new BigInt64Array(sequences * wide);
      prompt.lengths.forEach((length, row) => {
        tokens.set(prompt.tokens.data.subarray(row * width, row * width + length) as BigInt64Array, row * wide);
      });
      return {
        tokens: state([sequences, wide], {
          dataType: 'int64',
          initial: { dataType: 'int64', dims: [sequences, wide], data: tokens },
        }),
        length: state([sequences], {
          dataType: 'int64',
          initial: { dataType: 'int64', dims: [sequences], data: BigInt64Array.from(prompt.lengths, BigInt) },
        }),
      };
    };
    const small = readPrompt(inputs, 'prompt');
    const [sequences] = small.tokens.dims as [number];
    const own = inputs['largePrompt'] === undefined ? undefined : readPrompt(inputs, 'largePrompt');
    if (own !== undefined && own.tokens.dims[0] !== sequences)
      throw new FusionError(`There are ${sequences} prompts, and ${own.tokens.dims[0]} for the large model.`, {
        hint: 'Give one of each for every sequence.',
      });
    const apart = own !== undefined || largeContext !== context;
    const large = apart ? buffer(own ?? small, largeContext) : undefined;
    return {
      ...buffer(small, context),
      done: state([sequences], { dataType: 'int64' }),
      ...(large === undefined ? {} : { largeTokens: large.tokens, largeLength: large.length }),
    };
  }

  steps(): number {
    return this.options.maxTokens;
  }

  step(context: GenerationContext<DecodingState>): GenerationStep<DecodingState> {
    const { tokens, length, done } = context.state;
    const { largeTokens, largeLength } = context.state as { readonly [name: string]: Tensor | undefined };
    const models = [LARGE, SMALL_BASE, ...this.options.experts];
    const sources = models.map((id) => {
      const own = id === LARGE && largeTokens !== undefined && largeLength !== undefined;
      return {
        id,
        values: { logits: this.#lastLogits(context, id, own ? largeTokens : tokens, own ? largeLength : length) },
      };
    });
    const fused = aggregate(this.#aggregator, sources, context);
    const logits = fused.values['logits'] as Tensor;
    const drawn = this.#draw(context, logits);
    const { endToken } = this.options;
    const running = equal(done, tokens.graph.constant(0, 'int64'));
    const token = endToken === undefined ? drawn : where(running, drawn, tokens.graph.constant(endToken, 'int64'));
    const written = (buffer: Tensor, at: Tensor): Tensor => {
      const width = buffer.shape[1] as number;
      const places = buffer.graph.constant({
        dataType: 'int64',
        dims: [1, width],
        data: BigInt64Array.from({ length: width }, (_, place) => BigInt(place)),
      });
      return where(and(equal(places, at.unsqueeze([1])), running.unsqueeze([1])), token.unsqueeze([1]), buffer);
    };
    const longer = (before: Tensor): Tensor => before.add(running.cast('int64'));
    const ended = endToken === undefined ? done : equal(token, tokens.graph.constant(endToken, 'int64')).cast('int64');
    return {
      state: {
        tokens: written(tokens, length),
        length: longer(length),
        done: ended,
        ...(largeTokens === undefined || largeLength === undefined
          ? {}
          : { largeTokens: written(largeTokens, largeLength), largeLength: longer(largeLength) }),
      },
      outputs: { token, logits, ...fused.outputs },
      ...(endToken === undefined ? {} : { finished: ended.cast('bool') }),
    };
  }

  /** Logits [sequences, V] that follow the last token of every sequence. */
  #lastLogits(context: GenerationContext<DecodingState>, model: string, tokens: Tensor, length: Tensor): Tensor {
    const logits = Object.values(context.forward({ [this.options.column]: tokens }, model))[0];
    if (logits?.rank !== 3)
      throw new FusionError(
        `The first output of the model "${model}" is ${logits === undefined ? 'missing' : shapeText(logits.shape)}.`,
        { hint: 'It is to be logits [sequences, context, vocabulary].' },
      );
    return gatherND(logits, length.sub(length.graph.constant(1, 'int64')).unsqueeze([1]), { batchDims: 1 });
  }

  /** The most probable token, or one drawn by the Gumbel trick: temperature and top-p act on the fused logits. */
  #draw(context: GenerationContext<DecodingState>, logits: Tensor): Tensor {
    const { temperature, topP } = this.options;
    if (temperature === 0) return logits.argMax(1);
    let scaled = logits.cast('float32').div(temperature);
    if (topP < 1) {
      const { values } = topK(scaled, logits.shape[1] as number, { axis: 1 });
      // A token is kept while those before it have less than topP together; the first always is.
      const kept = cumSum(values.softmax(1), 1, { exclusive: true }).less(topP);
      const lowest = where(kept, values, -EXCLUDED).min([1], { keepDims: true });
      scaled = where(scaled.less(lowest), EXCLUDED, scaled);
    }
    return scaled.add(context.noise('token', logits.shape, 'gumbel')).argMax(1);
  }
}

interface Prompt {
  readonly tokens: TensorData<'int64'>;
  readonly lengths: readonly number[];
}

function readPrompt(inputs: Readonly<Record<string, TensorData>>, name: string): Prompt {
  const tokens = inputs[name];
  if (tokens?.dataType !== 'int64' || tokens.dims.length !== 2)
    throw new FusionError(
      `The input "${name}" is ${tokens === undefined ? 'missing' : `${tokens.dataType}[${tokens.dims.join(', ')}]`}.`,
      { hint: 'Give tokens as int64 [sequences, length].' },
    );
  const [sequences, width] = tokens.dims as [number, number];
  const given = inputs[`${name}Length`];
  const lengths =
    given === undefined ? new Array<number>(sequences).fill(width) : Array.from(given.data as BigInt64Array, Number);
  if (lengths.length !== sequences || lengths.some((length) => !(length >= 1 && length <= width)))
    throw new FusionError(`The lengths of the ${sequences} prompts "${name}" are ${lengths.join(', ')}.`, {
      hint: `Give int64 [${sequences}] between 1 and ${width}: models need a token to continue.`,
    });
  return { tokens: tokens as TensorData<'int64'>, lengths };
}

/** Decoding with several language models in lockstep, fused at every token. */
export const fusedDecoding = pluginFactory(FusedDecoding, decodingOptions);
