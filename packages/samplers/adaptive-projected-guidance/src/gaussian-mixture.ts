import { defineModel, type GenerationModel } from '@updraft/core';
import { concat, where, type Tensor, type TensorData } from '@updraft/graph';

/**
 * The exact denoiser of classes that are spherical normal distributions, for x = x₀ + σ·ε: of class k it is
 * (μ_k·σ² + x·s²)/(σ² + s²), and without a class the same with the mean that the posterior of the classes gives.
 *
 * @param means Means of the classes, float32 [classes, width]. Label `classes` means no class.
 * @param deviation Standard deviation s of every class.
 */
export function gaussianMixture(means: TensorData<'float32'>, deviation: number): GenerationModel {
  const [classes, width] = means.dims as readonly [number, number];
  const variance = deviation ** 2;
  const model = defineModel({
    name: 'gaussian-mixture',
    inputs: {
      x: { dataType: 'float32', shape: ['batch', width] },
      sigma: { dataType: 'float32', shape: ['batch'] },
      label: { dataType: 'int64', shape: ['batch'] },
    },
    build(scope, { x, sigma, label }) {
      const [sample, noise, index] = [x as Tensor, (sigma as Tensor).square().unsqueeze([1]), label as Tensor];
      const mean = scope.parameter('mean', [classes, width], { initialize: () => new Float32Array(classes * width) });
      const total = noise.add(variance);
      // Posterior of the classes: softmax of −‖x − μ_k‖²/(2(σ² + s²)), with equal priors.
      const distance = sample.unsqueeze([1]).sub(mean).square().sum([2]);
      const posterior = distance.div(total.mul(-2)).softmax(1);
      const zeros = scope.graph.constant({ dataType: 'float32', dims: [1, width], data: new Float32Array(width) });
      const none = index.equal(scope.graph.constant(classes, 'int64')).unsqueeze([1]);
      const centre = where(none, posterior.matMul(mean), concat([mean, zeros], 0).gather(index));
      return { denoised: centre.mul(noise).add(sample.mul(variance)).div(total) };
    },
  });
  return { model, values: { mean: means } };
}
