import {
  defineOptions,
  OPTIONS,
  plugin,
  pluginFactory,
  scalar,
  type Objective,
  type ObjectiveContext,
  type Reward,
} from '@updraft/core';
import { eyeLike, sizeOf, UpdraftError, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const barlowTwinsOptions = defineOptions({
  lambda: scalar({ min: 0 })
    .default(0.0051)
    .describe(
      'Weight λ of the redundancy term; retune with the size D of the embeddings. 0 is the ablation without it.',
    ),
  epsilon: z.number().min(0).default(1e-5).describe('Added to the variance of every feature.'),
  invariance: z.boolean().default(true).describe('Ablation: false leaves the on-diagonal term out.'),
  outputA: z.string().default('zA').describe('Output of the model with the embeddings of view A, [batch, D].'),
  outputB: z.string().default('zB').describe('Output of the model with the embeddings of view B, [batch, D].'),
});

/**
 * Barlow Twins (Zbontar et al. 2021): the cross-correlation matrix of the embeddings of two views of one batch is pushed to
 * the identity. The standardisation over the batch is what rules out constant embeddings. Metrics: `onDiag` and `offDiag`,
 * the two sums before λ, and `meanOffDiag`, the mean |C_ij| of i ≠ j (0 where D is 1); the matrix itself is the output `C`. The loss
 * is no mean over examples, and grows with D.
 */
@plugin({
  name: 'barlow-twins',
  contract: 'reward',
  options: barlowTwinsOptions,
  summary: 'Two views agree feature by feature, and features do not repeat each other.',
  paper: 'Zbontar et al. 2021, Barlow Twins: Self-Supervised Learning via Redundancy Reduction',
})
export class BarlowTwins implements Reward {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof barlowTwinsOptions>) {}

  objective({ forward, scalar }: ObjectiveContext): Objective {
    const { epsilon, invariance, outputA, outputB } = this.options;
    // 1. z^A, z^B: two passes of one network, which the model makes (see twinModel).
    const outputs = forward();
    const [zA, zB] = [embedding(outputs, outputA), embedding(outputs, outputB)];
    // 2., 3. C = (ẑ^A)ᵀ ẑ^B / N.
    const c = crossCorrelation(zA, zB, epsilon);
    // 4. L = Σ_i (1 − C_ii)² + λ·Σ_{i≠j} C_ij², sums and not means.
    const identity = eyeLike(c);
    const others = identity.neg().add(1);
    const onDiag = c.sub(identity).mul(identity).square().sum();
    const offDiag = c.mul(others).square().sum();
    const redundancy = offDiag.mul(scalar('lambda', this.options.lambda).cast(c.dataType));
    return {
      loss: invariance ? onDiag.add(redundancy) : redundancy,
      metrics: { onDiag, offDiag, meanOffDiag: c.mul(others).abs().sum().div(others.sum().maximum(1)) },
      outputs: { C: c },
    };
  }
}

/** Barlow Twins (Zbontar et al. 2021). */
export const barlowTwins = pluginFactory(BarlowTwins, barlowTwinsOptions);

/**
 * Step 2: every feature minus its mean over the batch, by the root of its biased variance plus ε. z and the result are
 * [batch, D]; gradients flow through both statistics. A feature without variance gives 0, with a derivative of 0 only where
 * ε is above 0.
 */
export function standardised(z: Tensor, epsilon = 1e-5): Tensor {
  const centred = z.sub(z.mean([0], { keepDims: true }));
  const variance = centred.square().mean([0], { keepDims: true });
  return centred.div(variance.add(epsilon).sqrt());
}

/**
 * Steps 2 and 3: C = (ẑ^A)ᵀ ẑ^B / N, the cross-correlation [D, D] of two batches of embeddings [batch, D]; its entries lie in
 * [−1, 1].
 */
export function crossCorrelation(zA: Tensor, zB: Tensor, epsilon = 1e-5): Tensor {
  const size = sizeOf(zA, [0]).cast(zA.dataType);
  return standardised(zA, epsilon).transpose([1, 0]).matMul(standardised(zB, epsilon)).div(size);
}

function embedding(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = outputs[name];
  if (found === undefined)
    throw new UpdraftError('reward', `The model has no output "${name}".`, {
      hint: `It has: ${Object.keys(outputs).join(', ')}. twinModel() makes a model with two of a network.`,
    });
  if (found.rank !== 2)
    throw new UpdraftError('reward', `The output "${name}" has ${found.rank} axes; embeddings are [batch, D].`, {
      hint: 'Flatten or pool it in the model.',
    });
  return found;
}
