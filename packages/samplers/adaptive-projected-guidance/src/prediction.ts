import type { Operand, Tensor } from '@updraft/graph';

/**
 * What a denoising network predicts from x = α·x₀ + σ·ε: the clean data x₀, the noise ε, the velocity v = α·ε − σ·x₀, or
 * the direction v = ε − x₀ of a flow, where α = 1 − t and σ = t.
 */
export type Prediction = 'denoised' | 'noise' | 'velocity' | 'flow';

/** Where a noised sample is: x = α·x₀ + σ·ε. Numbers, or tensors that broadcast with x. */
export interface NoiseLevel {
  readonly alpha: Operand;
  readonly sigma: Operand;
}

/** What a network predicted, as a prediction of the clean data. */
export function toDenoised(kind: Prediction, prediction: Tensor, x: Tensor, { alpha, sigma }: NoiseLevel): Tensor {
  switch (kind) {
    case 'denoised':
      return prediction;
    case 'noise':
      return x.sub(prediction.mul(sigma)).div(alpha);
    case 'velocity':
      return x.mul(alpha).sub(prediction.mul(sigma));
    case 'flow':
      return x.sub(prediction.mul(sigma));
  }
}

/** A prediction of the clean data, as what a solver wants of the network. σ is not 0, but for `denoised`. */
export function fromDenoised(kind: Prediction, denoised: Tensor, x: Tensor, { alpha, sigma }: NoiseLevel): Tensor {
  switch (kind) {
    case 'denoised':
      return denoised;
    case 'noise':
      return x.sub(denoised.mul(alpha)).div(sigma);
    case 'velocity':
      return x.mul(alpha).sub(denoised).div(sigma);
    case 'flow':
      return x.sub(denoised).div(sigma);
  }
}
