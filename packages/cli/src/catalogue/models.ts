import type { Model } from '@updraft/core';
import { gpt, lenet, mlp, resnet, vit } from '@updraft/nn';
import { z } from 'zod';
import { CliError } from '../errors.js';
import type { Datasets } from './datasets.js';
import { entry, type Catalogue } from './entry.js';

const count = z.number().int().positive();

// What follows from the data has no default here: see `inferredOptions`.
const classifier = {
  input: z.array(count).optional().describe('Shape of one example; default: that of the column.'),
  classes: count.optional().describe('Classes, or numbers to predict; default: as many as the data have.'),
  column: z.string().optional().describe('Column with the examples; default: the first with float32 numbers.'),
};

type Classifier = z.output<z.ZodObject<typeof classifier>>;

/** @throws CliError for options that were neither given nor could be told from the data. */
function known<Options extends object, Names extends keyof Options & string>(
  options: Options,
  ...names: Names[]
): Options & { readonly [Name in Names]-?: Exclude<Options[Name], undefined> } {
  const missing = names.filter((name) => options[name] === undefined);
  if (missing.length > 0)
    throw new CliError(
      `The model needs ${missing.map((name) => `"${name}"`).join(', ')}, which the data do not tell.`,
      { hint: 'Give it among the options of the model, or choose a model that fits the data.' },
    );
  return options as Options & { readonly [Name in Names]-?: Exclude<Options[Name], undefined> };
}

const classify = <Options extends Classifier>(options: Options) => known(options, 'input', 'classes', 'column');

export const MODELS: Catalogue<Model> = {
  mlp: entry(
    'Multi-layer perceptron.',
    z.object({ ...classifier, hidden: z.array(count).default([256]).describe('Sizes of the hidden layers.') }),
    (options) => mlp(classify(options)),
  ),
  lenet: entry(
    'Small convolutional network.',
    z.object({
      ...classifier,
      channels: z.array(count).default([16, 32]).describe('Channels of the convolutions.'),
      kernelSize: count.default(5).describe('Size of their kernels.'),
      hidden: count.default(128).describe('Size of the hidden layer.'),
    }),
    (options) => lenet(images('lenet', classify(options))),
  ),
  resnet: entry(
    'Residual network for small images.',
    z.object({
      ...classifier,
      width: count.default(16).describe('Channels of the first stage.'),
      blocksPerStage: count.default(1).describe('Blocks in each of the three stages.'),
    }),
    (options) => resnet(images('resnet', classify(options))),
  ),
  vit: entry(
    'Vision transformer.',
    z.object({
      ...classifier,
      patchSize: count.default(7).describe('Side of a patch.'),
      width: count.default(64).describe('Width of the blocks.'),
      depth: count.default(4).describe('Number of blocks.'),
      heads: count.default(4).describe('Attention heads.'),
    }),
    (options) => vit(images('vit', classify(options))),
  ),
  gpt: entry(
    'Decoder-only transformer.',
    z.object({
      vocabulary: count.optional().describe('Number of tokens; default: that of the data.'),
      context: count.optional().describe('Positions that the model sees; default: the windows of the data.'),
      width: count.default(128).describe('Width of the blocks.'),
      depth: count.default(4).describe('Number of blocks.'),
      heads: count.default(4).describe('Attention heads.'),
      rotary: z.boolean().default(false).describe('Rotary positions.'),
    }),
    (options) => gpt(known(options, 'vocabulary', 'context')),
  ),
};

function images<Options extends { readonly input: readonly number[]; readonly column: string }>(
  name: string,
  options: Options,
): Options {
  if (options.input.length !== 3)
    throw new CliError(
      `The model "${name}" takes images [channels, height, width]; the column "${options.column}" has [${options.input.join(', ')}].`,
      { hint: 'Choose another model ("mlp" takes any shape), or give the shape as the option "input".' },
    );
  return options;
}

/** Options of a model that follow from the data: what it sees and how many things it tells apart. */
export function inferredOptions(
  name: string,
  { train, classes, tokenizer }: Datasets,
  column?: unknown,
): Record<string, unknown> {
  const { columns } = train;
  if (name === 'gpt') return defined({ vocabulary: tokenizer?.vocabulary, context: columns['tokens']?.shape[0] });
  if (typeof column === 'string' && columns[column] === undefined)
    throw new CliError(`The data have no column "${column}" for the model.`, {
      hint: `They have: ${Object.keys(columns).join(', ')}.`,
    });
  const found =
    typeof column === 'string'
      ? column
      : Object.keys(columns).find((each) => each !== 'target' && columns[each]?.dataType === 'float32');
  return defined({
    column: found,
    input: found === undefined ? undefined : columns[found]?.shape,
    classes: classes?.length ?? columns['label']?.classes?.length ?? columns['target']?.shape[0],
  });
}

const defined = (options: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** Name of the reward that fits data with these columns. */
export const inferredReward = ({ train }: Datasets): string =>
  train.columns['label'] === undefined && train.columns['target'] !== undefined
    ? 'mean-squared-error'
    : 'cross-entropy';
