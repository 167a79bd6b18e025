import {
  byteTokenizer,
  fitTable,
  languageWindows,
  parseTable,
  splitTable,
  splitTokens,
  tableDataset,
  take,
  twoMoons,
  type Dataset,
  type Table,
  type Tokenizer,
} from '@updraft/data';
import { mnist } from '@updraft/data/node';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { fileError } from '../errors.js';
import { entry, type Catalogue } from './entry.js';

/** A training set and a test set. */
export interface Datasets {
  readonly train: Dataset;
  readonly test: Dataset;
  /** Names of the classes, where the labels are classes. */
  readonly classes?: readonly string[];
  /** What turned text into the tokens, where the examples are tokens. */
  readonly tokenizer?: Tokenizer;
}

export const DATASETS: Catalogue<Promise<Datasets>> = {
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
      noise: z.number().min(0).default(0.1).describe('Standard deviation of the noise added to each point.'),
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
      const { train, validation } = splitTokens(byteTokenizer.encode(await readText(file)), 1 - testFraction);
      return {
        train: languageWindows(train, context),
        test: languageWindows(validation, context),
        tokenizer: byteTokenizer,
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
    throw fileError(`The file "${path}" cannot be read`, error);
  }
}
