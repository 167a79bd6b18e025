import { defineModel, type Model, type Reward } from '@updraft/core';
import { concat, where, type Tensor } from '@updraft/graph';
import { dense, embedding } from '@updraft/nn';

export interface LabelledDenoiserOptions {
  /** Size of one sample. */
  readonly width: number;
  readonly classes: number;
  /** Units of each hidden layer. */
  readonly hidden: readonly number[];
  /** Standard deviation of the data, over all elements. */
  readonly dataDeviation: number;
}

/**
 * A small denoiser of vectors with classes, preconditioned as in Karras et al. 2022 (table 1): x [batch, width], sigma
 * [batch], label int64 [batch], where the label `classes` means no class → denoised [batch, width].
 */
export function labelledDenoiser({ width, classes, hidden, dataDeviation }: LabelledDenoiserOptions): Model {
  return defineModel({
    name: 'labelled-denoiser',
    inputs: {
      x: { dataType: 'float32', shape: ['batch', width] },
      sigma: { dataType: 'float32', shape: ['batch'] },
      label: { dataType: 'int64', shape: ['batch'] },
    },
    build(scope, { x, sigma, label }) {
      const [sample, noise] = [x as Tensor, (sigma as Tensor).unsqueeze([1])];
      const total = noise.square().add(dataDeviation ** 2);
      const scaled = sample.div(total.sqrt());
      const level = noise.log().mul(0.25);
      const time = concat([level, level.mul(2).tanh(), level.mul(4).tanh()], 1);
      const condition = embedding({ vocabulary: classes + 1, width: 32, name: 'label' })(scope, label as Tensor);
      let value = concat([scaled, time, condition], 1);
      for (const units of hidden) {
        value = dense({ units })(scope, value);
        value = value.mul(value.sigmoid());
      }
      const network = dense({ units: width, name: 'output' })(scope, value);
      const skip = sample.mul(dataDeviation ** 2).div(total);
      return { denoised: skip.add(network.mul(noise.mul(dataDeviation)).div(total.sqrt())) };
    },
  });
}

export interface DenoisingLossOptions {
  /** Batch column with the data; the label is in `label`. */
  readonly column: string;
  readonly classes: number;
  readonly dataDeviation: number;
  /** Share of the labels that are replaced by "no class", so that the model learns both. Default 0.1. */
  readonly labelDropout?: number;
}

/** Mean and deviation of ln σ in training (Karras et al. 2022, table 1). */
const [LOG_MEAN, LOG_DEVIATION] = [-1.2, 1.2];

/** Weighted squared error of the denoised data at noise levels drawn for every example (Karras et al. 2022, table 1). */
export function denoisingLoss({ column, classes, dataDeviation, labelDropout = 0.1 }: DenoisingLossOptions): Reward {
  return {
    objective({ batch, forward, noise }) {
      const [clean, label] = [batch[column] as Tensor, batch['label'] as Tensor];
      const count = clean.shape.slice(0, 1);
      const sigma = noise('sigma', count).mul(LOG_DEVIATION).add(LOG_MEAN).exp();
      const x = clean.add(noise('noise', clean.shape).mul(sigma.unsqueeze([1])));
      const dropped = noise('dropout', count, 'uniform').less(labelDropout);
      const condition = where(dropped, label.graph.constant(classes, 'int64'), label);
      const { denoised } = forward({ x, sigma, label: condition });
      const error = (denoised as Tensor).sub(clean).square().mean([1]);
      const loss = error.mul(sigma.square().add(dataDeviation ** 2)).div(sigma.mul(dataDeviation).square());
      return { loss: loss.mean(), perExample: { loss } };
    },
  };
}
