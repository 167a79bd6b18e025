import { parseOptions, type Model } from '@updraft/core';
import {
  byteTokenizer,
  DataError,
  fitTable,
  languageWindows,
  parseTable,
  splitTable,
  tableDataset,
  take,
  twoMoons,
  type Dataset,
  type Table,
} from '@updraft/data';
import { mnist } from '@updraft/data/node';
import { gpt, lenet, mlp, resnet, vit } from '@updraft/nn';
import { closest } from 'fastest-levenshtein';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { CliError } from './errors.js';

/** A training set and a test set. */
export interface Datasets {
  readonly train: Dataset;
  readonly test: Dataset;
  /** Names of the classes, where the labels are classes. */
  readonly classes?: readonly string[];
}

interface Entry<T> {
  readonly summary: string;
  readonly options: z.ZodObject;
  readonly make: (options: never) => T;
}

const entry = <Schema extends z.ZodObject, T>(
  summary: string,
  options: Schema,
  make: (options: z.output<Schema>) => T,
): Entry<T> => ({ summary, options, make });

const classifier = {
  input: z.array(z.number().int().positive()).default([1, 28, 28]).describe('Shape of one example.'),
  classes: z.number().int().min(2).default(10).describe('Number of classes.'),
  column: z.string().default('image').describe('Batch column with the examples.'),
};

export const MODELS: Readonly<Record<string, Entry<Model>>> = {
  mlp: entry(
    'Multi-layer perceptron.',
    z.object({
      ...classifier,
      hidden: z.array(z.number().int().positive()).default([256]).describe('Sizes of the hidden layers.'),
    }),
    mlp,
  ),
  lenet: entry(
    'Small convolutional network.',
    z.object({
      ...classifier,
      channels: z.array(z.number().int().positive()).default([16, 32]).describe('Channels of the convolutions.'),
      kernelSize: z.number().int().positive().default(5).describe('Size of their kernels.'),
      hidden: z.number().int().positive().default(128).describe('Size of the hidden layer.'),
    }),
    lenet,
  ),
  resnet: entry(
    'Residual network for small images.',
    z.object({
      ...classifier,
      width: z.number().int().positive().default(16).describe('Channels of the first stage.'),
      blocksPerStage: z.number().int().positive().default(1).describe('Blocks in each of the three stages.'),
    }),
    resnet,
  ),
  vit: entry(
    'Vision transformer.',
    z.object({
      ...classifier,
      patchSize: z.number().int().positive().default(7).describe('Side of a patch.'),
      width: z.number().int().positive().default(64).describe('Width of the blocks.'),
      depth: z.number().int().positive().default(4).describe('Number of blocks.'),
      heads: z.number().int().positive().default(4).describe('Attention heads.'),
    }),
    vit,
  ),
  gpt: entry(
    'Decoder-only transformer.',
    z.object({
      vocabulary: z.number().int().positive().default(256).describe('Number of tokens.'),
      context: z.number().int().positive().default(128).describe('Positions that the model sees.'),
      width: z.number().int().positive().default(128).describe('Width of the blocks.'),
      depth: z.number().int().positive().default(4).describe('Number of blocks.'),
      heads: z.number().int().positive().default(4).describe('Attention heads.'),
      rotary: z.boolean().default(false).describe('Rotary positions.'),
    }),
    gpt,
  ),
};

export const DATASETS: Readonly<Record<string, Entry<Promise<Datasets>>>> = {
  mnist: entry(
    'Handwritten digits (60,000 + 10,000).',
    z.object({ limit: z.number().int().positive().optional().describe('Use only this many training images.') }),
    async ({ limit }) => {
      const train = await mnist('train');
      return {
        train: limit === undefined ? train : take(train, limit),
        test: await mnist('test'),
        classes: Array.from({ length: 10 }, (_, digit) => String(digit)),
      };
    },
  ),
  moons: entry(
    'Two interleaved half circles.',
    z.object({
      count: z.number().int().positive().default(2000).describe('Number of points.'),
      noise: z.number().min(0).default(0.1),
    }),
    ({ count, noise }) =>
      Promise.resolve({
        train: twoMoons({ count, noise, seed: 1 }),
        test: twoMoons({ count, noise, seed: 2 }),
        classes: ['upper', 'lower'],
      }),
  ),
  text: entry(
    'Bytes of a text file, in windows for language models.',
    z.object({
      file: z.string().describe('Path of the text.'),
      context: z.number().int().positive().default(128).describe('Tokens in a window.'),
      testFraction: z.number().gt(0).lt(1).default(0.1).describe('Share at the end of the text to test on.'),
    }),
    async ({ file, context, testFraction }) => {
      const tokens = byteTokenizer.encode(await readText(file));
      const border = Math.floor(tokens.length * (1 - testFraction));
      return {
        train: languageWindows(tokens.slice(0, border), context),
        test: languageWindows(tokens.slice(border), context),
      };
    },
  ),
  csv: entry(
    'A table with a header row.',
    z.object({
      file: z.string().describe('Path of the table.'),
      target: z.string().describe('Column to predict.'),
      features: z.array(z.string()).optional().describe('Columns to predict from; default: all others.'),
      testFraction: z.number().gt(0).lt(1).default(0.2).describe('Share of the rows to test on.'),
    }),
    async ({ file, testFraction, features, target }) => {
      const table = parseTable(await readText(file));
      const options = { target, ...(features === undefined ? {} : { features }) };
      const isClass = fitTable(table, options).target?.kind === 'class';
      // Files are often sorted by class, and statistics must come from the training rows alone.
      const [test, train] = splitTable(table, [testFraction, 1 - testFraction], {
        seed: 0,
        ...(isClass ? { stratifyBy: target } : {}),
      }) as [Table, Table];
      const schema = fitTable(train, { ...options, task: isClass ? 'class' : 'number' });
      return {
        train: tableDataset(train, schema),
        test: tableDataset(test, schema, { unknown: 'ignore' }),
        ...(schema.target?.kind === 'class' ? { classes: schema.target.classes } : {}),
      };
    },
  ),
};

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new DataError(`The file "${path}" cannot be read: ${(error as Error).message}.`, { cause: error });
  }
}

/** Make an entry of a catalogue by name. */
export function fromCatalogue<T>(
  what: string,
  catalogue: Readonly<Record<string, Entry<T>>>,
  { name, options }: { readonly name: string; readonly options: Readonly<Record<string, unknown>> },
): T {
  const found = catalogue[name];
  const names = Object.keys(catalogue);
  if (found === undefined)
    throw new CliError(`There is no ${what} named "${name}".`, {
      hint: `Did you mean "${closest(name, names)}"? Known are: ${names.join(', ')}.`,
    });
  return found.make(parseOptions(found.options, options, `${what} ${name}`) as never);
}
