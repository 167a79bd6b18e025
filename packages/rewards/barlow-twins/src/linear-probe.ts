import type { Backend } from '@updraft/backend';
import { defineModel, evaluate, inferenceGraph, train, type Model } from '@updraft/core';
import { batchBuffers, DataError, fromTensors, gather, inOrder, shuffled, type Dataset } from '@updraft/data';
import type { Tensor, TensorData } from '@updraft/graph';
import { crossEntropy, dense, zeros } from '@updraft/nn';
import { partition, sgd } from '@updraft/rules';

export interface LinearProbeOptions {
  readonly backend: Backend;
  /** Gives features [batch, size] as its first output: see `encoderModel`. */
  readonly model: Model;
  /** Values of the frozen model, such as those of a training result. */
  readonly values: Readonly<Record<string, TensorData>>;
  /** Labelled examples; the column of each part that the model's input is fed with, and `label`. */
  readonly train: Dataset;
  readonly test: Dataset;
  /** Column with the examples; default `image`. */
  readonly column?: string;
  /** Full-batch steps of gradient descent; default 300. */
  readonly steps?: number;
  /** Default 0.5. */
  readonly learningRate?: number;
  /** L2 penalty on the weights; default 0.01. */
  readonly weightDecay?: number;
}

export interface LinearProbeResult {
  readonly trainAccuracy: number;
  readonly testAccuracy: number;
}

/**
 * Linear evaluation: freeze the network, train multinomial logistic regression on its features (each standardised with mean and
 * deviation over the training examples), and measure it. Labels count classes from 0.
 *
 * @throws DataError where a part has no such column or no labels.
 */
export async function linearProbe(options: LinearProbeOptions): Promise<LinearProbeResult> {
  const { backend, column = 'image', steps = 300, learningRate = 0.5, weightDecay = 1e-2 } = options;
  const parts = {
    train: await encode(options, options.train, column),
    test: await encode(options, options.test, column),
  };
  const size = parts.train.features.dims[1] as number;
  const { mean, deviation } = statistics(parts.train.features);
  const standard = ({ features, label }: Encoded): Dataset =>
    fromTensors({
      features: {
        ...features,
        data: features.data.map(
          (value, at) => (value - (mean[at % size] as number)) / (deviation[at % size] as number),
        ),
      },
      label,
    });
  const classes =
    1 + Math.max(...Array.from(parts.train.label.data, Number), ...Array.from(parts.test.label.data, Number));
  const model = defineModel({
    name: 'linear-probe',
    inputs: { features: { dataType: 'float32', shape: ['batch', size] } },
    build: (scope, { features }) => ({
      logits: dense({ units: classes, initialize: () => zeros, name: 'head' })(scope, features as Tensor),
    }),
  });
  const [known, unknown] = [standard(parts.train), standard(parts.test)];
  const { params } = await train({
    backend,
    model,
    reward: crossEntropy(),
    sampler: shuffled(known, { batchSize: known.length, seed: 0 }),
    updateRule: partition({
      rules: { weight: sgd({ learningRate, weightDecay }), bias: sgd({ learningRate }) },
      assign: ({ role }) => role,
    }),
    steps,
  }).result();
  const accuracy = async (data: Dataset): Promise<number> => {
    const found = await evaluate({
      backend,
      model,
      reward: crossEntropy(),
      sampler: () => inOrder(data),
      residents: params,
    });
    return found.metrics['accuracy'] as number;
  };
  return { trainAccuracy: await accuracy(known), testAccuracy: await accuracy(unknown) };
}

interface Encoded {
  readonly features: TensorData<'float32'>;
  readonly label: TensorData;
}

/** Features of all examples in one batch. */
async function encode(
  { backend, model, values }: LinearProbeOptions,
  dataset: Dataset,
  column: string,
): Promise<Encoded> {
  const [input] = Object.keys(model.inputs);
  const missing = [column, 'label'].find((name) => dataset.columns[name] === undefined);
  if (input === undefined || missing !== undefined)
    throw new DataError(`There is no column "${missing ?? column}" to evaluate the features on.`, {
      hint: `The dataset has: ${Object.keys(dataset.columns).join(', ')}.`,
    });
  const rows = Uint32Array.from({ length: dataset.length }, (_, row) => row);
  const { [column]: examples, label } = gather(dataset, rows, batchBuffers(dataset, dataset.length));
  const program = await backend.compile(inferenceGraph(model, values));
  try {
    const [features] = Object.values(await program.run({ [input]: examples as TensorData }));
    return { features: features as TensorData<'float32'>, label: label as TensorData };
  } finally {
    await program.dispose();
  }
}

/** Mean and deviation (biased; 1 where there is none) of every column of a matrix. */
function statistics({ data, dims }: TensorData<'float32'>): {
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
} {
  const [count, size] = dims as [number, number];
  const [mean, deviation] = [new Float64Array(size), new Float64Array(size)];
  for (let at = 0; at < data.length; at++) mean[at % size] = (mean[at % size] as number) + (data[at] as number) / count;
  for (let at = 0; at < data.length; at++)
    deviation[at % size] =
      (deviation[at % size] as number) + ((data[at] as number) - (mean[at % size] as number)) ** 2 / count;
  // A feature without variance stays 0.
  return { mean, deviation: deviation.map((variance) => Math.sqrt(variance) || 1) };
}
