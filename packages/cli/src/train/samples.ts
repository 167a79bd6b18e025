import { RandomStream } from '@updraft/core';
import type { Tokenizer } from '@updraft/data';
import type { TensorData } from '@updraft/graph';
import { encodeImage, type MetricRecord, type SampleImage } from '@updraft/report';
import type { Pipeline } from '../pipeline.js';
import { examples, largestPerRow, type PlainSession } from './plain-session.js';

const IMAGES = 24;
const LARGEST_SIDE = 128;
/** Tokens of a prompt, and tokens that the model writes after it, at most. */
const PROMPT = 48;
const WRITTEN = 120;
/** Scores are divided by it: below 1 the likelier tokens come more often. */
const TEMPERATURE = 0.8;

/** What the model does with a few test examples, for the report: predicted images, or a text that goes on. */
export async function sampleRecord(
  session: PlainSession,
  pipeline: Pipeline,
  step: number,
): Promise<MetricRecord | undefined> {
  const { data, model } = pipeline;
  const [column, spec] = Object.entries(model.inputs)[0] ?? [];
  if (column === undefined || spec === undefined) return undefined;
  const common = { step, time: Date.now() };
  const [, channels, height, width] = spec.shape;
  if (data.tokenizer !== undefined && column === 'tokens')
    return {
      kind: 'texts',
      ...common,
      name: 'Written text',
      texts: [await writtenText(session, pipeline, data.tokenizer)],
    };
  if (
    data.classes !== undefined &&
    spec.shape.length === 4 &&
    (channels === 1 || channels === 3) &&
    Number(height) <= LARGEST_SIDE &&
    Number(width) <= LARGEST_SIDE
  ) {
    const size = { channels, height: Number(height), width: Number(width) } as const;
    return {
      kind: 'images',
      ...common,
      name: 'Test images',
      images: await predictedImages(session, pipeline, column, size),
    };
  }
  return undefined;
}

async function predictedImages(
  session: PlainSession,
  { data: { test, classes = [] } }: Pipeline,
  column: string,
  size: { readonly channels: 1 | 3; readonly height: number; readonly width: number },
): Promise<SampleImage[]> {
  const columns = examples(test, 0, IMAGES);
  const scores = (await session.run(columns))[session.outputNames[0] as string];
  const pixels = columns[column]?.data as Float32Array;
  const labels = columns['label']?.data;
  const length = size.channels * size.height * size.width;
  return (scores === undefined ? [] : largestPerRow(scores)).map((predicted, at) => {
    const data = pixels.subarray(at * length, (at + 1) * length);
    let [low, high] = [Infinity, -Infinity];
    for (const value of data) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const name = (index: number): string => classes[index] ?? String(index);
    return {
      ...encodeImage({ data, ...size, range: [low, high > low ? high : low + 1] }),
      predicted: name(predicted),
      ...(labels === undefined ? {} : { label: name(Number(labels[at])) }),
    };
  });
}

/** The beginning of the test text, and what the model writes after it, drawn token by token from a seeded stream. */
async function writtenText(
  session: PlainSession,
  { config, data: { test } }: Pipeline,
  tokenizer: Tokenizer,
): Promise<{ readonly prompt: string; readonly text: string; readonly reference: string }> {
  const window = examples(test, 0, 1)['tokens'] as TensorData<'int64'>;
  const context = window.dims[1] as number;
  const original = Array.from(window.data as BigInt64Array, Number);
  const tokens = original.slice(0, Math.min(PROMPT, Math.ceil(context / 2)));
  const prompt = tokens.length;
  const random = RandomStream.fromSeed(config.seed).split('samples');
  for (let written = 0; written < WRITTEN; written++) {
    const seen = tokens.slice(-context);
    // The model looks back only, so that what stands after the last token does not matter.
    const data = BigInt64Array.from({ length: context }, (_, at) => BigInt(seen[at] ?? 0));
    const logits = (await session.run({ tokens: { dataType: 'int64', dims: [1, context], data } }))[
      session.outputNames[0] as string
    ];
    const vocabulary = logits?.dims.at(-1) ?? 0;
    const scores = (logits?.data as Float32Array).subarray((seen.length - 1) * vocabulary, seen.length * vocabulary);
    tokens.push(draw(scores, random));
  }
  return {
    prompt: tokenizer.decode(tokens.slice(0, prompt)),
    text: tokenizer.decode(tokens.slice(prompt)),
    reference: tokenizer.decode(original.slice(prompt)),
  };
}

/** A position drawn with the probabilities softmax(scores / temperature). */
function draw(scores: Float32Array, random: RandomStream): number {
  const highest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
  return random.categorical(Array.from(scores, (score) => Math.exp((score - highest) / TEMPERATURE)));
}
