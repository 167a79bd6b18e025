import {
  defineOptions,
  instantiatePlugin,
  OPTIONS,
  plugin,
  type Batch,
  type DrawContext,
  type JsonValue,
  type RandomStream,
  type Sampler,
} from '@updraft/core';
import {
  augment,
  DATASET,
  DataError,
  imageSteps,
  imageStepsOf,
  provideDataset,
  requireDataset,
  selectColumns,
  shuffled,
  type Dataset,
  type ImageStep,
  type ImageStepOption,
} from '@updraft/data';
import type { TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const steps = (view: string) =>
  imageSteps()
    .default([])
    .describe(
      `Distortions of view ${view}, in order: functions, or in configurations { "type": "shift", "pixels": 1 }.`,
    );

const twinViewsOptions = defineOptions({
  augmentA: steps('A'),
  augmentB: steps('B'),
  column: z.string().optional().describe('Column to make views of; default: the only one of float32.'),
  batchSize: z.number().int().min(1).default(256).describe('Examples in a batch, N.'),
  seed: z
    .number()
    .int()
    .optional()
    .describe('Seed of the order and the views; default: drawn from the seed of the run and stored with the position.'),
  dropLast: z.boolean().default(true).describe('Leave out the last, smaller batch of an epoch.'),
  epochs: z.number().int().min(1).optional().describe('Passes over the data; default: no end.'),
});

/**
 * Two views of every example: `xA` and `xB` hold the same rows in the same order, each distorted on its own. The order is new
 * in every epoch. A column of fewer axes than an image has, [batch, …], counts as one channel. Other columns come along.
 */
@plugin({
  name: 'twin-views',
  contract: 'sampler',
  options: twinViewsOptions,
  summary: 'Two independently distorted views of every example.',
  paper: 'Zbontar et al. 2021, Barlow Twins: Self-Supervised Learning via Redundancy Reduction',
})
export class TwinViews implements Sampler {
  readonly columns: Sampler['columns'];
  readonly batchesPerEpoch: number | undefined;
  readonly #batches: Sampler;

  constructor(
    @inject(OPTIONS) { augmentA, augmentB, column, ...options }: z.output<typeof twinViewsOptions>,
    @inject(DATASET, { isOptional: true }) given: Dataset | undefined,
  ) {
    const dataset = requireDataset(given, 'twin-views');
    const name = column ?? onlyFloatColumn(dataset);
    const views = { xA: distortion(imageStepsOf(augmentA), 'xA'), xB: distortion(imageStepsOf(augmentB), 'xB') };
    const others = Object.keys(dataset.columns).filter((other) => other !== name);
    const twice = selectColumns(dataset, {
      ...Object.fromEntries(others.map((other) => [other, other])),
      xA: name,
      xB: name,
    });
    this.#batches = shuffled(twice, {
      ...options,
      transform: (columns, random) => {
        for (const [view, distort] of Object.entries(views)) distort(columns, random.split(view));
      },
    });
    this.columns = this.#batches.columns;
    this.batchesPerEpoch = this.#batches.batchesPerEpoch;
  }

  draw(context: DrawContext): Batch | undefined | Promise<Batch | undefined> {
    return this.#batches.draw(context);
  }
  state(): JsonValue {
    return this.#batches.state();
  }
  restore(state: JsonValue): void {
    this.#batches.restore(state);
  }
}

export type TwinViewsOptions = Omit<z.input<typeof twinViewsOptions>, 'augmentA' | 'augmentB'> & {
  readonly augmentA?: readonly ImageStepOption[];
  readonly augmentB?: readonly ImageStepOption[];
};

/** Two independently distorted views of every example of a dataset. @throws OptionsError, DataError */
export const twinViews = (dataset: Dataset, options: TwinViewsOptions = {}): Sampler =>
  instantiatePlugin(TwinViews, options, provideDataset(dataset));

function onlyFloatColumn({ columns }: Dataset): string {
  const [first, ...more] = Object.keys(columns).filter((name) => columns[name]?.dataType === 'float32');
  if (first === undefined || more.length > 0)
    throw new DataError(
      `The dataset has ${first === undefined ? 'no column' : 'several columns'} of float32 to make views of.`,
      { hint: `Say which with "column"; it has: ${Object.keys(columns).join(', ')}.` },
    );
  return first;
}

/** Apply steps to a view; columns of fewer axes than [batch, channels, height, width] count as one channel. */
function distortion(
  list: readonly ImageStep[],
  column: string,
): (columns: Record<string, TensorData>, random: RandomStream) => void {
  const apply = augment(list, { column });
  return (columns, random) => {
    const view = columns[column] as TensorData;
    const [count = 0, ...shape] = view.dims;
    const dims = [count, ...new Array<number>(Math.max(0, 3 - shape.length)).fill(1), ...shape];
    apply({ [column]: { ...view, dims } as TensorData }, random);
  };
}
